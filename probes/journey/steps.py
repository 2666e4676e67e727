"""A journey as frozen data, compiled once: what the interpreter plays.

    Journey
    ├── setup, steps, cleanup     Step, ...
    ├── vars, secrets, feeder     where values come from
    └── timeouts, TLS options

    Step = HttpStep | SocketStep | SqlStep | WaitStep | ThinkStep | LogStep | RepeatStep

Includes are spliced in, defaults of ``http:`` are merged into each step, every text with ``${}`` is
a `Template`, every pattern and path is compiled. Knows no file and no I/O.
"""

from dataclasses import dataclass, field
from typing import Literal

from probes.journey.language.data import Feeder
from probes.journey.language.expression import Condition, Template, Tree
from probes.journey.language.extract import Extract
from probes.journey.language.judge import Expect
from probes.journey.model import Part
from probes.redact import Secret
from probes.wire.tls.settings import TlsOptions

WhereLoad = Literal["both", "skip", "only"]


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request.

    Args:
        form: ``json`` serialises the tree, ``form`` encodes a mapping of texts, ``text`` is as it
            is.
        tree: what is rendered.
    """

    form: Literal["json", "form", "text"]
    tree: Tree


@dataclass(frozen=True, slots=True)
class Poll:
    """Repeat a request until its answer is as wanted; seconds."""

    until: Expect
    every_s: float = 0.5
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Common:
    """What every step may have.

    Args:
        name: static; empty only for steps without a result of their own (wait, think, repeat).
        condition: played only when it holds; None: always.
        load: whether a load plays it: ``skip`` = probe only, ``only`` = load only.
        where: keys and indices below the journey as it was written, for messages.
    """

    name: str
    condition: Condition | None = None
    load: WhereLoad = "both"
    where: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpStep:
    """One HTTP request; ``graphql`` and ``rpc`` steps are ones with an envelope.

    Args:
        common: name, condition, load.
        method: upper case.
        url: absolute, or relative to the base URL.
        params: added to the query.
        headers: defaults included; a later one replaces an earlier one of that name (any case).
        inherited: names of those that are defaults, as they are written: they go to no origin that
            only an answer names.
        body: None means none.
        timeout_s: total seconds of one request.
        redirects: hops at most.
        max_body: decoded bytes at most.
        expect: what fails the step; status 2xx when the file does not say.
        warn: what degrades the run.
        extract: in order.
        poll: None: once.
        envelope: what is judged beside ``expect``: ``graphql`` wants no ``errors``, ``rpc`` wants
            no ``error`` and a ``result``.
    """

    common: Common
    method: str
    url: Template
    params: tuple[tuple[str, Tree], ...] = ()
    headers: tuple[tuple[str, Template], ...] = ()
    inherited: frozenset[str] = frozenset()
    body: Body | None = None
    timeout_s: float = 5.0
    redirects: int = 5
    max_body: int = 2 * 1024 * 1024
    expect: Expect = field(default_factory=Expect.status_2xx)
    warn: Expect | None = None
    extract: tuple[Extract, ...] = ()
    poll: Poll | None = None
    envelope: Literal["plain", "graphql", "rpc"] = "plain"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a WebSocket's talk: either something is sent or something is awaited.

    Args:
        send: text, or a tree that is sent as JSON; None: this turn receives.
        send_as: form of ``send``.
        expect: what the awaited message must be: ``body`` and ``json`` are judged.
        within: messages that are looked at.
        timeout_s: seconds for this turn.
        extract: out of the message.
    """

    send: Tree | None = None
    send_as: Literal["json", "text"] = "text"
    expect: Expect | None = None
    within: int = 1
    timeout_s: float = 5.0
    extract: tuple[Extract, ...] = ()


@dataclass(frozen=True, slots=True)
class SocketStep:
    """``ws``: open a WebSocket, talk, close."""

    common: Common
    url: Template
    headers: tuple[tuple[str, Template], ...] = ()
    subprotocol: str = ""
    turns: tuple[Turn, ...] = ()
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class SqlStep:
    """``sql``: one read-only query; ``json`` of expect and extract looks at the list of rows."""

    common: Common
    kind: str
    target: Template
    query: str
    parameters: tuple[Tree, ...] = ()
    timeout_s: float = 5.0
    expect: Expect = field(default_factory=Expect.anything)
    warn: Expect | None = None
    extract: tuple[Extract, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitStep:
    """``wait``: a fixed pause in seconds, in a check and in a load."""

    common: Common
    seconds: float


@dataclass(frozen=True, slots=True)
class ThinkStep:
    """``think``: a user's pause, even between both ends, in seconds."""

    common: Common
    low_s: float
    high_s: float


@dataclass(frozen=True, slots=True)
class LogStep:
    """``log``: a fact of the run."""

    common: Common
    text: Template


@dataclass(frozen=True, slots=True)
class RepeatStep:
    """``repeat``: steps several times.

    Args:
        common: condition, load.
        times: rounds; None: one for each element of ``over``.
        over: a list; inside, ``item`` and ``index`` are variables.
        steps: of one round.
    """

    common: Common
    times: int | None
    over: Tree | None
    steps: tuple["Step", ...]


Step = HttpStep | SocketStep | SqlStep | WaitStep | ThinkStep | LogStep | RepeatStep


@dataclass(frozen=True, slots=True, eq=False)
class Journey:
    """One journey, ready to be played.

    Two are equal when they were compiled from equal texts: what a reload need not touch.

    Args:
        name: in the file.
        description: text.
        base_url: prefix of relative URLs; empty: whoever plays it must give one.
        timeout_s: setup and steps.
        cleanup_timeout_s: cleanup.
        vars: lowest precedence.
        secrets: used as ``${secrets.name}``.
        feeder: rows of data; None: no data.
        keeps_cookies: load: the user's jar outlives an iteration.
        tls: how servers are verified.
        setup, steps, cleanup: the steps.
        reads: every name that its texts read, such as ``token`` or ``vars.currency``.
        origin: everything that it was compiled from; None equals itself alone.
    """

    name: str
    description: str = ""
    base_url: str = ""
    timeout_s: float = 30.0
    cleanup_timeout_s: float = 5.0
    vars: tuple[tuple[str, Tree], ...] = ()
    secrets: tuple[tuple[str, Secret], ...] = ()
    feeder: Feeder | None = None
    keeps_cookies: bool = True
    tls: TlsOptions = field(default_factory=TlsOptions)
    setup: tuple[Step, ...] = ()
    steps: tuple[Step, ...] = ()
    cleanup: tuple[Step, ...] = ()
    reads: frozenset[str] = frozenset()
    origin: object = field(default=None, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Journey) or self.origin is None:
            return self is other
        return (self.name, self.origin) == (other.name, other.origin)

    def __hash__(self) -> int:
        return hash(self.name)

    def part(self, part: Part) -> tuple[Step, ...]:
        """Return the steps of one part."""
        return {Part.SETUP: self.setup, Part.STEPS: self.steps, Part.CLEANUP: self.cleanup}[part]
