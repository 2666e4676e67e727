"""Which addresses may be reached: pure judgement of the address that is then dialled.

Knows no socket and no resolver; `probes.wire.net` asks it before every dial.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may be reached."""


_current: ContextVar[Policy] = ContextVar("policy", default=Policy())


class _Current:
    """The policy of the running task."""

    def get(self) -> Policy:
        return _current.get()

    @contextmanager
    def set(self, policy: Policy) -> Iterator[None]:
        token = _current.set(policy)
        try:
            yield
        finally:
            _current.reset(token)


POLICY = _Current()
