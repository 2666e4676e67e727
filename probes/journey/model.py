"""What the interpreter of a journey and whoever drives it say to each other, as frozen values.

    the interpreter yields           and is sent
    ├── Request   one HTTP request   Response
    ├── Dialog    a WebSocket's talk  Heard
    ├── Query     one SQL query      Rows
    └── Pause     do nothing         None

    and returns Played ── StepResult, ...

Redirects, cookies, retries of a poll and every judgement are the interpreter's: a driver sends what
it is given, once, and tells what came. Knows no loop, no socket and no clock.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from probes.result import NO_FACTS, Failure, Phase
from probes.wire.url import Url

NO_COUNTS: Mapping[tuple[str, str], int] = MappingProxyType({})


class Part(StrEnum):
    """Which part of a journey a step belongs to."""

    SETUP = "setup"
    STEPS = "steps"
    CLEANUP = "cleanup"


class State(StrEnum):
    """How a step ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


# Tuples, not dataclasses, are the request and the step result: a play makes one of each for every
# step, and a tuple is made in a third of the time (2026-11).
class Request(NamedTuple):
    """One HTTP request; each hop of a redirect and each attempt of a poll is one.

    Args:
        step: name of its step.
        method: upper case.
        url: absolute.
        headers: everything to be sent but Host, Connection and Content-Length; ``Cookie`` is there.
        body: empty means none.
        timeout_s: seconds from now to the last byte of the answer; > 0.
        max_body: decoded bytes of the answer at most.
        part: of the journey.
        hop: 0 as the journey wrote it, later ones came from a redirect (or are an address out of an
            answer) and are judged as such.
    """

    step: str
    method: str
    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    timeout_s: float = 5.0
    max_body: int = 2 * 1024 * 1024
    part: Part = Part.STEPS
    hop: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """What came of a `Request`.

    Args:
        status: 0 when no whole head came.
        headers: lower-case names, clean text (no surrogates), in order.
        body: decoded; what came of it when ``failure`` is set behind a whole head.
        seconds: from the start to the last byte.
        phases: resolve, connect, tls, processing, transfer; only those that took place.
        sent: bytes of the body that went out.
        received: bytes of the body on the wire.
        failure: why there is no whole answer; its reason may be the prober's own.
        reused: it came over a connection that had carried an answer before.
        facts: for people, such as ``peer`` and ``tls version``.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    seconds: float = 0.0
    phases: tuple[Phase, ...] = ()
    sent: int = 0
    received: int = 0
    failure: Failure | None = None
    reused: bool = False
    facts: Mapping[str, str] = field(default_factory=lambda: NO_FACTS)


@dataclass(frozen=True, slots=True)
class Dialog:
    """A WebSocket: opened, talked over, closed.

    Args:
        step: name of its step.
        url: ws:// or wss://.
        headers: of the upgrade.
        subprotocol: that is asked for; empty: none.
        says: what to send, in turn with ``hears``: see `Say` and `Hear`.
        timeout_s: seconds for all of it.
        max_message: bytes of one message at most.
        part: of the journey.
    """

    step: str
    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    subprotocol: str = ""
    turns: tuple["Say | Hear", ...] = ()
    timeout_s: float = 5.0
    max_message: int = 1024 * 1024
    part: Part = Part.STEPS


@dataclass(frozen=True, slots=True)
class Say:
    """Send one message; text as text, bytes as binary.

    Args:
        said: what to send, or what makes it of what earlier turns have brought.
    """

    said: str | bytes | Callable[[], str | bytes]

    @property
    def message(self) -> str | bytes:
        """What to send; to be read when its turn has come, once.

        Raises:
            probes.errors.CheckFailed: an earlier turn did not bring what it needs.
        """
        return self.said if isinstance(self.said, str | bytes) else self.said()


@dataclass(frozen=True, slots=True)
class Hear:
    """Receive messages until one is as wanted.

    Args:
        wanted: tells whether a message is the one.
        within: messages that are looked at, at most.
        timeout_s: seconds for this one.
    """

    wanted: "Wanted"
    within: int = 1
    timeout_s: float = 5.0


class Wanted:
    """Tells whether a message is the one that is waited for. Subclassed by the interpreter."""

    __slots__ = ()

    def miss(self, message: str | bytes) -> str | None:
        """Return ``want X, got Y``, or None when *message* is the one.

        Raises:
            CheckFailed: it is the one, but without what is to be taken out of it.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a `Dialog`.

    Args:
        messages: the one of each `Hear` that was met, in order.
        seconds: for all of it.
        phases: resolve, connect, tls, upgrade, transfer.
        failure: why it broke off; a `Hear` that was not met has the reason ``body``.
        status: of the upgrade.
        facts: for people.
    """

    messages: tuple[str | bytes, ...] = ()
    seconds: float = 0.0
    phases: tuple[Phase, ...] = ()
    failure: Failure | None = None
    status: int = 0
    facts: Mapping[str, str] = field(default_factory=lambda: NO_FACTS)


@dataclass(frozen=True, slots=True)
class Query:
    """One SQL query, read-only, with parameters that are never text of the query.

    Args:
        step: name of its step.
        kind: that speaks to the database, such as ``postgres``.
        target: in the form of that kind.
        query: with ``$1``, ``$2`` ... for the parameters.
        parameters: their values.
        timeout_s: seconds for connection and query.
        max_rows: rows at most; more is ``too_large``.
        part: of the journey.
    """

    step: str
    kind: str
    target: str
    query: str
    parameters: tuple[Any, ...] = ()
    timeout_s: float = 5.0
    max_rows: int = 1000
    part: Part = Part.STEPS


@dataclass(frozen=True, slots=True)
class Rows:
    """What came of a `Query`: rows as JSON-ready mappings from column to value."""

    rows: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0
    phases: tuple[Phase, ...] = ()
    failure: Failure | None = None
    facts: Mapping[str, str] = field(default_factory=lambda: NO_FACTS)


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while.

    Args:
        seconds: >= 0; not more than the journey has left.
        is_thinking: a user's own pause: a probe makes none unless it is told to.
    """

    seconds: float
    is_thinking: bool = False


Effect = Request | Dialog | Query | Pause
Answer = Response | Heard | Rows | None


class StepResult(NamedTuple):
    """How one step ended; of a repeated step, of all its rounds together.

    Args:
        step: its name.
        part: of the journey.
        state: ``skipped`` steps have no seconds.
        failure: why it failed.
        seconds: by the clock of the context: requests, hops and polls, without thinking.
        phases: of all its requests, added up.
        status: status code of the last answer; 0 when none came or none is meant.
        requests: that were sent, by how they ended: (good, bad).
        sent: bytes of bodies.
        received: bytes of bodies on the wire.
        warnings: what missed a ``warn``.
        expectations: ``(expect, result) -> number``: expect is status, header, json, body or
            duration, result is passed, failed or warned.
        facts: evidence of a failed step: request and answer, cut, not yet redacted.
        rounds: how often it was played.
    """

    step: str
    part: Part
    state: State
    failure: Failure | None = None
    seconds: float = 0.0
    phases: tuple[Phase, ...] = ()
    status: int = 0
    requests: tuple[int, int] = (0, 0)
    sent: int = 0
    received: int = 0
    warnings: tuple[Failure, ...] = ()
    expectations: Mapping[tuple[str, str], int] = NO_COUNTS
    facts: Mapping[str, str] = NO_FACTS
    rounds: int = 1


@dataclass(frozen=True, slots=True)
class Played:
    """What became of one play of a journey.

    Args:
        steps: every named step of it in order, those that were not reached as ``skipped``.
        failure: of the first failed step of setup or steps; None: it went through. A failed
            clean-up is a warning.
        warnings: of all steps, and failed clean-ups.
        logs: what ``log`` steps said: (name of the fact, text).
        values: what was extracted, by name; for tests and for people who debug.
        hidden: texts that no outlet may show although no file names them: tokens, cookies.
    """

    steps: tuple[StepResult, ...] = ()
    failure: Failure | None = None
    warnings: tuple[Failure, ...] = ()
    logs: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
