"""What a browser is to do in one journey, as frozen data that goes over a pipe as JSON.

    Plan
    ├── steps      Step, ...: one action each
    │   ├── target     Locator: the element that is meant
    │   ├── expect     what -> source of a matcher
    │   └── extract    Take, ...
    ├── vitals     vital -> what it must be on each page
    └── look       Look: viewport, locale ...

Texts may hold ``${}``: the child renders each right before its step, since a value that was taken
out of one page may be typed into the next. Judged at load by `probes.browser.compile`; compiled
again by the child, whose matchers and templates cannot fail then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

# load.md 4.1
DEFAULT_STEP_TIMEOUT_S = 5.0
WaitFor = Literal["load", "domcontentloaded", "networkidle"]
By = Literal["role", "label", "text", "placeholder", "test_id", "css"]
Source = Literal["text", "attribute", "value", "url", "title", "count", "cookie"]
EXPECTABLE = ("url", "title", "text", "console_errors", "page_errors", "failed_requests")
VITALS = ("ttfb", "fcp", "lcp", "inp", "tbt", "cls")


class Action(StrEnum):
    """What a step does."""

    GOTO = "goto"
    CLICK = "click"
    FILL = "fill"
    PRESS = "press"
    SELECT = "select"
    CHECK = "check"
    UPLOAD = "upload"
    SEE = "see"
    NOT_SEE = "not_see"
    SCREENSHOT = "screenshot"
    EXPECT = "expect"
    WAIT = "wait"
    EXTRACT = "extract"
    EVALUATE = "evaluate"


@dataclass(frozen=True, slots=True)
class Locator:
    """One element of a page; two that fit are a failure.

    Args:
        by: how it is found.
        value: role, label, text, placeholder, test id or CSS selector; a template.
        name: accessible name of a role; a template; empty: any.
        exact: the whole text, upper and lower case included.
    """

    by: By
    value: str
    name: str = ""
    exact: bool = False

    def __str__(self) -> str:
        return f"{self.value} {self.name!r}" if self.name else f"{self.by} {self.value!r}"


@dataclass(frozen=True, slots=True)
class Take:
    """One value to take out of the page.

    Args:
        name: of the variable.
        source: what is taken: of the element, or ``url``, ``title``, ``cookie`` of the page;
            ``count``: how many elements there are.
        target: the element; None for ``url``, ``title``, ``cookie``.
        attribute: its name, or that of the cookie.
        pattern: RE2; empty: all of it.
        group: of the pattern.
        is_optional: a value that is not there leaves the variable unset.
        has_default: ``default`` stands in for what is not there.
        default: any JSON value.
    """

    name: str
    source: Source
    target: Locator | None = None
    attribute: str = ""
    pattern: str = ""
    group: int = 0
    is_optional: bool = False
    has_default: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class Step:
    """One action.

    Args:
        name: static; of a ``goto`` it is also the name of the page in metrics.
        action: what is done.
        target: the element that is meant; None where the action has none (a ``press`` without one
            goes to what has the focus).
        text: URL of ``goto``, text of ``fill``, key of ``press``, option of ``select``, absolute
            path of ``upload``, script of ``evaluate``; a template but for ``upload`` and
            ``evaluate``.
        timeout_s: of this step.
        wait: what ``goto`` waits for.
        statuses: sources of the statuses that ``goto`` takes, such as ``["2xx"]``; none: < 400.
        checked: the state that ``check`` makes.
        seconds: of ``wait``.
        expect: `EXPECTABLE` -> source of a matcher; its texts may be templates. ``evaluate``:
            ``result``.
        extract: what ``extract`` takes; ``evaluate``: none.
        condition: source of a condition; empty: always.
    """

    name: str
    action: Action
    target: Locator | None = None
    text: str = ""
    timeout_s: float = DEFAULT_STEP_TIMEOUT_S
    wait: WaitFor = "load"
    statuses: tuple[Any, ...] = ()
    checked: bool = True
    seconds: float = 0.0
    expect: Mapping[str, Any] = field(default_factory=dict)
    extract: tuple[Take, ...] = ()
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How the browser looks to the page; empty: Chromium's own."""

    width: int = 1280
    height: int = 720
    locale: str = ""
    timezone: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A browser journey, ready to be played.

    Args:
        journey: its name.
        base_url: absolute; the origin that the policy trusts as hop 0.
        steps: in order.
        vitals: `VITALS` -> how long it may take, such as ``{"lt": "2.5s"}``; ``cls``: source of a
            matcher over a number.
        look: of the browser.
        headers: sent to the origin of ``base_url`` with each request; templates.
        block: globs over host names (and ``host/path``) that the page must not load.
        verifies: certificates are judged.
        may_evaluate: ``evaluate`` steps are allowed.
    """

    journey: str
    base_url: str
    steps: tuple[Step, ...]
    vitals: Mapping[str, Any] = field(default_factory=dict)
    look: Look = field(default_factory=Look)
    headers: tuple[tuple[str, str], ...] = ()
    block: tuple[str, ...] = ()
    verifies: bool = True
    may_evaluate: bool = False
