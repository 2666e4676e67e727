"""What the supervisor and the child that holds the browser say to each other: one JSON a line.

    supervisor -> child                   child -> supervisor
    ├── Hello   which browser             ├── Ready    it is up; or Trouble without an id
    ├── Run     play this now             ├── Begun    a step of a run begins
    ├── Stop    end that run, 2 s         ├── Ended    a step of a run has ended
    └── Quit    close and exit            ├── Done     a run has ended
                                          └── Trouble  a run, or the whole child, cannot go on

Each `Run` is answered by exactly one `Done` or `Trouble` with its id, a stopped one too. An end of
file on the child's standard input means ``Quit`` at once. Frozen values only: knows no pipe.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from probes.browser.plan import Plan
from probes.journey.codec import decode, encode
from probes.result import Reason
from probes.units import short
from probes.wire.policy import Policy

# Grows with every change of a message: both sides come from one installation, but an upgrade may
# replace the files of a supervisor that runs.
PROTOCOL = 1
# A report has numbers and cut texts; beyond this the child has lost its mind, and dies.
MAX_LINE_BYTES = 4 * 1024 * 1024
# Environment variable of everything that the supervisor starts: what has it may be killed.
MARKER = "SONDE_BROWSER"
# Seconds from `Stop` to `Done` at most: the page is closed, and nothing asked any more.
STOP_S = 2.0

Record = Literal["never", "failure", "full"]
"""``failure``: screenshot, console and requests when a run fails; ``full``: trace and HAR too.

Whatever the word, a run that went well leaves no file but what its ``screenshot`` steps took.
"""
State = Literal["ok", "failed", "skipped"]
Party = Literal["first", "third"]
Ending = Literal["good", "bad", "failed"]
"""``good``: status < 400; ``bad``: status >= 400; ``failed``: no answer, or blocked."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first line.

    Args:
        version: `PROTOCOL`.
        executable: path of Chromium.
        sandbox: of Chromium.
        work: absolute path of a directory for everything temporary (TMPDIR and HOME are there
            too); the child removes it as its last act.
        max_heap_bytes: of one page's JavaScript.
    """

    version: int
    executable: str
    sandbox: bool
    work: str
    max_heap_bytes: int = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Values:
    """Where the expressions of a run find their values, as in a `Scope` of journeys.

    A bare name means what was extracted, else a column of the row, else a variable.

    Args:
        run_id: of the run.
        iteration: ``seq()``.
        seed: of the random numbers.
        vars: ``vars.name``; already rendered.
        row: of the data.
        secrets: ``secrets.name``.
        environ: what ``env(name)`` may read.
        hidden: further texts that must not be shown or written into an artefact.
    """

    run_id: str = ""
    iteration: int = 0
    seed: int = 0
    vars: Mapping[str, Any] = field(default_factory=dict)
    row: Mapping[str, Any] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Run:
    """Play a plan in a context of its own.

    Args:
        id: of the run; never twice in one child.
        plan: what is played.
        values: for its expressions.
        deadline_s: seconds from now; a step that is under way then fails with ``timeout``.
        policy: who may be reached: the origin of the plan's ``base_url`` is hop 0, all else hop 1.
        record: what is kept of a failure.
        artefacts: absolute path of an existing directory of this run's own for the files.
    """

    id: str
    plan: Plan
    values: Values
    deadline_s: float
    policy: Policy
    record: Record
    artefacts: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End a run: its context is closed within `STOP_S`, its `Done` comes then."""

    id: str


@dataclass(frozen=True, slots=True)
class Quit:
    """Close the browser, remove the working directory, exit 0."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The browser is up.

    Args:
        version: `PROTOCOL`.
        chromium: its version, such as ``156.0.7300.0``.
        playwright: its version.
    """

    version: int
    chromium: str
    playwright: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A step of a run begins; who is killed in it leaves its name."""

    id: str
    step: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a step or a run failed.

    Args:
        reason: may be the prober's own.
        message: ``want X, got Y``; may hold a secret: the supervisor's side redacts it.
        step: its name; empty: none in particular, such as vitals.
    """

    reason: Reason
    message: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A step of a run has ended.

    Args:
        id: of the run.
        step: its name.
        action: its word.
        state: how it ended; those behind a failed one are not told.
        seconds: it took.
        fault: why it failed.
        phases: (name, seconds) of a ``goto``: resolve, connect, tls, processing, transfer, render.
        status: of the document of a ``goto``; 0: none.
        facts: for people: ``url``, ``title`` ...
    """

    id: str
    step: str
    action: str
    state: State
    seconds: float
    fault: Fault | None = None
    phases: tuple[tuple[str, float], ...] = ()
    status: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """What was measured of one page, that is from one ``goto`` to the next.

    Args:
        page: name of the ``goto`` step.
        vitals: `probes.browser.plan.VITALS` -> seconds, ``cls`` a number; only what was observed.
        timing: seconds since the navigation began: dom_content_loaded, load; and as durations
            dns, connect, tls, request, response, processing. Only what was observed.
    """

    page: str
    vitals: Mapping[str, float] = field(default_factory=dict)
    timing: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file in the run's directory.

    Args:
        kind: what it is.
        name: of the file, without a directory.
    """

    kind: Literal["screenshot", "trace", "har", "console", "requests"]
    name: str


@dataclass(frozen=True, slots=True)
class Done:
    """A run has ended.

    Args:
        id: of the run.
        fault: why it failed; None: every step went well and every vital is as wanted.
        pages: in order.
        requests: (type, party, ending, how many); type is Playwright's ``resource_type``.
        bytes: (party, received on the wire).
        console_errors: how many.
        page_errors: exceptions that nobody caught, how many.
        failed_requests: without an answer or with a status >= 400, how many.
        facts: for people: first console error, first failed request, dialogs, popups, downloads,
            origins that were refused.
        hidden: texts that came up in the run and no outlet may show.
        artefacts: that were written.
        is_cut: the run's deadline ended it, and no step of its own accord.
    """

    id: str
    fault: Fault | None = None
    pages: tuple[Page, ...] = ()
    requests: tuple[tuple[str, Party, Ending, int], ...] = ()
    bytes: tuple[tuple[Party, int], ...] = ()
    console_errors: int = 0
    page_errors: int = 0
    failed_requests: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = field(default=(), repr=False)
    artefacts: tuple[Artefact, ...] = ()
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something broke that is no verdict about the target.

    Args:
        id: of the run that cannot go on; empty: the child as a whole; it is killed and replaced.
        reason: of the prober's own.
        message: ``want X, got Y``, with what remedies it.
    """

    id: str
    reason: Reason
    message: str


Order = Hello | Run | Stop | Quit
Report = Ready | Begun | Ended | Done | Trouble
_ORDERS: Mapping[str, type[Any]] = {"hello": Hello, "run": Run, "stop": Stop, "quit": Quit}
_REPORTS: Mapping[str, type[Any]] = {
    "ready": Ready, "begun": Begun, "ended": Ended, "done": Done, "trouble": Trouble,
}  # fmt: skip
_WORDS = {form: word for words in (_ORDERS, _REPORTS) for word, form in words.items()}


def line(message: Order | Report) -> bytes:
    """Return *message* as one line, with its newline.

    Raises:
        ValueError: it is longer than `MAX_LINE_BYTES`, or holds a number without a form in JSON.
    """
    data = {"t": _WORDS[type(message)], **encode(message)}
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    if len(text) > MAX_LINE_BYTES:
        raise ValueError(f"want a line of at most {MAX_LINE_BYTES} bytes, got {len(text)}")
    return text


def read_order(text: bytes) -> Order:
    """Read a line of the supervisor.

    Raises:
        ValueError: it is none.
    """
    order: Order = _read(text, _ORDERS)
    return order


def read_report(text: bytes) -> Report:
    """Read a line of the child.

    Raises:
        ValueError: it is none.
    """
    report: Report = _read(text, _REPORTS)
    return report


def _read(text: bytes, forms: Mapping[str, type[Any]]) -> Any:
    if len(text) > MAX_LINE_BYTES:
        raise ValueError(f"want a line of at most {MAX_LINE_BYTES} bytes, got {len(text)}")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"want one JSON text a line, got {short(text)}") from None
    word = data.get("t") if isinstance(data, dict) else None
    if not isinstance(word, str) or word not in forms:
        raise ValueError(f"want a message of {', '.join(forms)}, got {short(data)}")
    del data["t"]
    return decode(forms[word], data)
