"""The interface of a check kind: settings as fields, one coroutine that checks one target once.

A kind returns when the target is up, calls ``recorder.warn`` when it is degraded and raises
`CheckFailed` when it is down; any other exception is the prober's own fault. There is no timeout,
clock, retry, label, registry or logging in a kind: `probes.run` owns them. Knows neither YAML nor
Prometheus nor any particular kind.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, Self

from pydantic import BaseModel

from probes.recorder import Recorder
from probes.redact import Secret, display_target, secrets_in_target
from probes.settings import Settings

NO_FOLDS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a kind may record.

    Args:
        name: without prefix, such as ``tcp_banner_bytes``; a counter ends in ``_total``.
        help: what it is, and its unit.
        labels: names of its own labels.
        type: ``counter`` is an absolute count read at the target. The samples of a ``histogram``
            are ``<name>_bucket`` (label ``le``, cumulative), ``<name>_sum`` and ``<name>_count``.
        dynamic: label values come from the target; only such families may take them.
        lasting: it speaks of the probe rather than of its last run: still shown when the last
            result is too old.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    type: Literal["gauge", "counter", "histogram"] = "gauge"
    dynamic: bool = False
    lasting: bool = False


class Watch(Protocol):
    """What listens to a target between the runs; only the service has one."""

    async def run(self) -> None:
        """Listen until cancelled; leave no socket."""
        ...

    def news(self) -> object:
        """Return what has come so far, as a frozen value; `Keep.news` hands it to the next run."""
        ...


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
    phase_folds: ClassVar[Mapping[str, str]] = NO_FOLDS
    """Phase -> the coarser one that it counts for in `phase_family`; the others are as they are."""
    parameters: ClassVar[tuple[str, ...]] = ()
    """Settings that a module may let a request of ``/probe`` give; nothing that names who is asked,
    by which way or with what credentials."""
    is_group: ClassVar[bool] = False
    """Whether it checks several endpoints under one name: an entry of ``chains``."""
    named_by: ClassVar[str | None] = None
    """Key that takes the probe's name when the file leaves it out."""
    tells_unknown: ClassVar[bool] = False
    """Whether the samples of a run that ended unknown are shown too."""

    answers_queries: ClassVar[bool] = False
    """Whether `rows` asks a database for a step of a journey."""

    ends_at_once: ClassVar[bool] = False
    """Whether a run that is cancelled ends in the same turn of the loop: no clean-up awaits
    anything. Such a run needs no task of its own."""

    takes_over: ClassVar[frozenset[str]] = frozenset()
    """Keys common to all probes that mean something finer here, and become fields of the kind."""

    @property
    def default_every_s(self) -> float | None:
        """Seconds between two runs when the file does not say; None: as all kinds."""
        return None

    @property
    def default_timeout_s(self) -> float | None:
        """Seconds a run may take when the file does not say, if ``every`` allows; None: as all."""
        return None

    @property
    def settle_s(self) -> float:
        """Seconds that a run that stands alone may take longer, to look twice."""
        return 0.0

    @property
    def cleanup_s(self) -> float:
        """Seconds that any run may take beyond its timeout, to tidy up what it has done."""
        return 0.0

    @property
    def default_target(self) -> str | None:
        """What is checked when the file names no target; None: it must name one."""
        return None

    @property
    def named_metrics(self) -> tuple[Metric, ...]:
        """Families that these settings name, as they stand on the page: no prefix comes before."""
        return ()

    @property
    def series_limit(self) -> int | None:
        """Series that one probe may have when the limit of all probes is lower; None: that."""
        return None

    def canonical_target(self, target: str) -> str:
        """Return *target* in full, where a file may leave out a part: everybody else sees this."""
        return target

    def check_target(self, target: str) -> None:
        """Judge a target at load.

        Raises:
            ValueError: becomes ``probes.yaml:9: probes.1.target: ...``.
        """

    def check_times(self, every_s: float, timeout_s: float) -> None:
        """Judge at load what depends on how often and how long a run goes, in seconds.

        Raises:
            ValueError: becomes a mistake of the probe.
        """

    def advice(self, target: str) -> Iterable[str]:  # noqa: ARG002 - for those who override
        """Return what is odd about settings or target but works; warnings of ``sonde lint``."""
        return ()

    def rule_numbers(self) -> Mapping[str, float]:
        """Return numbers for generated alert rules that no metric carries, by their word."""
        return {}

    def display_target(self, target: str) -> str:
        """Return the form of a target that may be shown, without secrets, <= 200 bytes."""
        return display_target(target)

    def named_targets(self, target: str) -> Iterable[str]:
        """Return everything that a probe with *target* checks, in the form of targets."""
        return (target,)

    def for_hostname(self, hostname: str) -> Self:  # noqa: ARG002 - for those who override
        """Return the kind as it asks any target for *hostname*; itself where that means nothing.

        Raises:
            ValueError: its settings name another one.
        """
        return self

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

    def watch(self, target: str) -> Watch | None:  # noqa: ARG002 - for those who override
        """Return what the service lets listen to *target* between the runs; None: nothing."""
        return None

    def first_memory(
        self,
        target: str,  # noqa: ARG002 - for those who override
        kept: Mapping[str, Any] | None,  # noqa: ARG002 - for those who override
    ) -> object:
        """Return what `Keep.memory` begins with in a service.

        Args:
            target: what is checked.
            kept: what `durable` gave before a restart; None: nothing is known.
        """
        return None

    def durable(self, memory: object) -> Mapping[str, Any] | None:  # noqa: ARG002 - for those who override
        """Return what of `Keep.memory` must survive a restart, JSON-ready; None: nothing."""
        return None

    @classmethod
    async def release(cls) -> None:
        """End what all runs of this kind share, such as a browser; nothing runs any more."""

    async def rows(
        self,
        target: str,
        query: str,
        parameters: Sequence[Any],
        recorder: Recorder,
        *,
        max_rows: int,
    ) -> tuple[Mapping[str, Any], ...]:
        """Ask a database without changing it, and return its rows, JSON-ready.

        Args:
            target: as of a probe.
            query: one statement, with places for the parameters as the database writes them.
            parameters: their values; never part of the statement's text.
            recorder: of this query alone: gets the phases, says how long it may take.
            max_rows: rows at most.

        Raises:
            CheckFailed: as `run` does; ``too_large``: more rows.
        """
        raise NotImplementedError

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
