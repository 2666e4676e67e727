"""A module that loads, because upstream loads it, and that no run can work with.

Each run says why, as a fault of the prober's own, and sends nothing.
"""

from functools import cache
from typing import Any, cast

from pydantic import PrivateAttr

from probes.errors import CheckFailed
from probes.kind import Kind
from probes.recorder import Recorder
from probes.redact import secrets_in_target
from probes.result import Reason


class _Unfit(Kind):
    """Stands in front of a kind and runs in its place."""

    _why: str = PrivateAttr(default="")
    _is_whole: bool = PrivateAttr(default=False)

    def check_target(self, target: str) -> None:
        """Take any: none is asked."""

    def secrets(self, target: str) -> set[str]:
        return super().secrets(target) if self._is_whole else secrets_in_target(target)

    def prepare(self, target: str) -> None:
        """Prepare nothing."""

    async def run(self, target: str, recorder: Recorder) -> None:  # noqa: ARG002 - of `Kind`
        raise CheckFailed(Reason.CONFIG, self._why)


@cache
def _unfit_kind(kind: type[Kind]) -> type[Any]:
    make: Any = type(kind)
    return cast("type[Any]", make(f"Unfit{kind.__name__}", (_Unfit, kind), {}))


def unfit(kind: type[Kind], why: str, like: Kind | None) -> Kind:
    """Return settings of *kind* whose every run ends unknown.

    Args:
        kind: that cannot run.
        why: the message of each run.
        like: what of the settings can be shown to people; None: nothing.
    """
    names = kind.model_fields
    values = dict.fromkeys(names) if like is None else {it: getattr(like, it) for it in names}
    made = _unfit_kind(kind).model_construct(**values)
    made._why, made._is_whole = why, like is not None  # noqa: SLF001 - of this very module
    return cast("Kind", made)
