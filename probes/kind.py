"""The interface of a check kind: settings as fields, one coroutine that checks one target once.

A kind returns when the target is up, calls ``recorder.warn`` when it is degraded and raises
`CheckFailed` when it is down; any other exception is the prober's own fault. There is no timeout,
clock, retry, label, registry or logging in a kind: `probes.run` owns them. Knows neither YAML nor
Prometheus nor any particular kind.
"""

from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar, Literal

from pydantic import BaseModel

from probes.recorder import Recorder
from probes.redact import Secret, display_target, secrets_in_target
from probes.settings import Settings


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a kind may record.

    Args:
        name: without prefix, such as ``tcp_banner_bytes``; a counter ends in ``_total``.
        help: what it is, and its unit.
        labels: names of its own labels.
        type: ``counter`` is an absolute count read at the target.
        dynamic: label values come from the target; only such families may take them.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    type: Literal["gauge", "counter"] = "gauge"
    dynamic: bool = False


class Kind(Settings):
    """What checks one target once. A subclass in ``probes/kinds/<name>.py`` is a new kind."""

    name: ClassVar[str]
    """The word in the probe file; equals the module's name."""
    metrics: ClassVar[tuple[Metric, ...]] = ()
    """Everything `run` may record as a sample."""
    requires: ClassVar[str | None] = None
    """The pip extra that brings the driver; None when the core suffices."""
    driver: ClassVar[str | None] = None
    """The module that the extra brings, to tell whether it is installed."""
    network: ClassVar[bool] = True
    """Whether a target is reached over the network."""
    phase_family: ClassVar[str | None] = None
    """Family (without ``probe_``) of the phase durations where blackbox_exporter has one."""
    phases: ClassVar[tuple[str, ...]] = ()
    """Names of the phases in their order, for the reference page."""

    def check_target(self, target: str) -> None:
        """Judge a target at load.

        Raises:
            ValueError: becomes ``probes.yaml:9: probes.1.target: ...``.
        """

    def display_target(self, target: str) -> str:
        """Return the form of a target that may be shown, without secrets, <= 200 bytes."""
        return display_target(target)

    def secrets(self, target: str) -> set[str]:
        """Return every text of settings and target that must not be shown."""
        return _secret_values(self) | secrets_in_target(target)

    def prepare(self, target: str) -> None:  # noqa: ARG002 - for those who override
        """Do what is costly and the same in every run: build a TLS context, import a library.

        Called off the loop, before the first run and after each reload. It must not reach out, and
        raises nothing: what is wrong is told by the run.
        """
        if self.driver is not None:
            with suppress(ImportError):
                import_module(self.driver)

    async def run(self, target: str, recorder: Recorder) -> None:
        """Check *target* once and write what is found into *recorder*.

        Raises:
            CheckFailed: the target does not work; or a reason of the prober's own.
        """
        raise NotImplementedError


def _secret_values(value: object) -> set[str]:
    if isinstance(value, Secret):
        return {value.get_secret_value()}
    found: set[str] = set()
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            found |= _secret_values(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            found |= _secret_values(item)
    elif isinstance(value, list | tuple):
        for item in value:
            found |= _secret_values(item)
    return found
