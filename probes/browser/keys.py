"""The steps of a browser journey as the file writes them: one class for each action.

    BrowserStepKeys                       name, if, timeout
    ├── GotoKeys                          goto, wait, status
    ├── ClickKeys FillKeys PressKeys      click, fill, press
    ├── SelectKeys CheckKeys UploadKeys   select, check, upload
    ├── SeeKeys NotSeeKeys ExpectKeys     see, not_see, expect
    ├── ExtractKeys EvaluateKeys          extract, evaluate
    └── ScreenshotKeys WaitKeys           screenshot, wait

Fields are the keys, docstrings their descriptions in the schema; the tables that choose a class
stand in `probes.browser.families`.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from probes.browser.plan import By, WaitFor
from probes.expect import Statuses
from probes.journey.language.wish import Wish
from probes.journey.loading.keys import Static, StepName, VariableName
from probes.pattern import Pattern
from probes.settings import Settings
from probes.units import Duration

BYS: tuple[By, ...] = ("role", "label", "text", "placeholder", "test_id", "css")
# What needs no element.
OF_PAGE = frozenset({"url", "title"})
MAX_EXTRACTS = 50


class LocatorKeys(Settings):
    """Which element of the page is meant: exactly one must fit."""

    role: str | None = Field(default=None, min_length=1)
    """Its ARIA role, such as ``button``, ``link`` or ``textbox``; with ``name``."""
    name: str | None = Field(default=None, min_length=1)
    """Accessible name of the element with that ``role``."""
    label: str | None = Field(default=None, min_length=1)
    """Text of its label."""
    text: str | None = Field(default=None, min_length=1)
    """Text in it."""
    placeholder: str | None = Field(default=None, min_length=1)
    """Its placeholder."""
    test_id: str | None = Field(default=None, min_length=1)
    """Its ``data-testid``."""
    css: str | None = Field(default=None, min_length=1)
    """CSS selector."""
    exact: bool = False
    """The whole text and its case, not any part of it in any case."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = self.ways
        if len(given) > 1 or (not given and self._wants_element()):
            got = " and ".join(given) or "none"
            raise ValueError(f"want one of {', '.join(BYS)} to find the element by, got {got}")
        if self.name is not None and self.role is None:
            raise ValueError("want name beside role, got it without")
        if self.exact and self.css is not None:
            raise ValueError("want exact beside a text, got it beside css")
        return self

    @property
    def ways(self) -> list[By]:
        """Ways in which the element is to be found."""
        return [by for by in BYS if getattr(self, by) is not None]

    def _wants_element(self) -> bool:
        return True


class ElementKeys(LocatorKeys):
    """An element, and how long it may take."""

    timeout: Duration | None = None
    """Time for this step; 5s by default."""


def _bare_text(value: object) -> object:
    """Take ``see: Welcome`` for ``see: {text: Welcome}``."""
    return {"text": value} if isinstance(value, str) else value


SeenKeys = Annotated[
    ElementKeys, BeforeValidator(_bare_text, json_schema_input_type=str | ElementKeys)
]


class FillTarget(ElementKeys):
    """A field, and what is typed into it."""

    value: str
    """Text; it replaces what stands there."""


class PressTarget(ElementKeys):
    """A key, and the element that gets it."""

    key: str = Field(min_length=1, max_length=64)
    """Such as ``Enter``, ``Escape`` or ``Control+a``."""

    def _wants_element(self) -> bool:
        return False  # what has the focus gets it


class SelectTarget(ElementKeys):
    """A list, and which of its options is chosen."""

    option: str
    """Text or value of the option."""


class CheckTarget(ElementKeys):
    """A check box or radio button."""

    checked: bool = True
    """``false`` takes the check away."""


class UploadTarget(ElementKeys):
    """A field for files, and the file."""

    file: Static = Field(min_length=1)
    """Path inside the directory of this file."""


class PageExpect(Settings):
    """What the page must be, at once or within the time of the step."""

    url: Wish | None = None
    """Its address."""
    title: Wish | None = None
    """Its title."""
    text: Wish | None = None
    """Its visible text."""
    console_errors: Wish | None = None
    """How many errors its console has told since the journey began."""
    page_errors: Wish | None = None
    """How many exceptions nobody caught since the journey began."""
    failed_requests: Wish | None = None
    """How many requests got no answer, or a status of 400 and more, since the journey began."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            known = ", ".join(type(self).model_fields)
            raise ValueError(f"want something to expect ({known}), got nothing")
        return self


class TakeKeys(LocatorKeys):
    """One value to take out of the page."""

    take: Literal["text", "value", "count", "url", "title"] = "text"
    """``text`` or ``value`` of the element, ``count`` of elements; ``url`` or ``title`` of the
    page."""
    attribute: str | None = Field(default=None, min_length=1)
    """This attribute of the element instead."""
    cookie: str | None = Field(default=None, min_length=1)
    """This cookie of the page instead; without an element."""
    regex: Pattern | None = None
    """RE2 pattern; the first match in the value."""
    group: int | None = Field(default=None, ge=0)
    """Group of the pattern; by default the first, or all without any."""
    optional: bool = False
    """Whether the variable may stay without a value."""
    default: Any = None
    """Value when there is none."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        groups = 0 if self.regex is None else self.regex.groups
        if self.group is not None and (self.regex is None or self.group > groups):
            raise ValueError(f"want a group of the regex (0 to {groups}), got {self.group}")
        if self.optional and "default" in self.model_fields_set:
            raise ValueError("want optional or default, got both")
        if self.attribute is not None and "take" in self.model_fields_set:
            raise ValueError("want take or attribute, got both")
        if self.ways and not self._wants_element():
            raise ValueError(
                f"want no element for {(self.cookie and 'cookie') or self.take}, got one"
            )
        return self

    def _wants_element(self) -> bool:
        return self.cookie is None and self.take not in OF_PAGE


def _bare_take(value: object) -> object:
    """Take ``here: url`` for ``here: {take: url}``."""
    return {"take": value} if isinstance(value, str) else value


Takes = Annotated[
    dict[
        VariableName,
        Annotated[
            TakeKeys,
            BeforeValidator(_bare_take, json_schema_input_type=Literal["url", "title"] | TakeKeys),
        ],
    ],
    Field(min_length=1, max_length=MAX_EXTRACTS),
]


class BrowserStepKeys(Settings):
    """What every step of a browser journey may have."""

    told_by: ClassVar[str] = ""
    """The key that makes a step one of this class."""

    name: StepName
    """Fixed and unique in the journey; the label ``step`` of its series."""
    if_: str | None = Field(default=None, alias="if")
    """Played only when it holds: ``"${row.can_pay} == true"``, or the truth of ``"${token}"``."""
    timeout: Duration | None = None
    """Time for this step; 5s by default."""


class GotoKeys(BrowserStepKeys):
    """Open an address; the step's name is the label ``page`` of what is measured there."""

    told_by = "goto"
    goto: str
    """Path or http(s) URL."""
    wait: WaitFor = "load"
    """What ends the step: ``domcontentloaded``, ``load``, or ``networkidle``: no request for half
    a second."""
    status: Statuses | None = None
    """Status codes of the document; by default any below 400."""


class ClickKeys(BrowserStepKeys):
    """Click an element."""

    told_by = "click"
    click: ElementKeys
    """The element."""


class FillKeys(BrowserStepKeys):
    """Type a text into a field."""

    told_by = "fill"
    fill: FillTarget
    """The field and the text."""


class PressKeys(BrowserStepKeys):
    """Press a key."""

    told_by = "press"
    press: PressTarget
    """The key, and the element that gets it; else what has the focus."""


class SelectKeys(BrowserStepKeys):
    """Choose an option of a list."""

    told_by = "select"
    select: SelectTarget
    """The list and the option."""


class CheckKeys(BrowserStepKeys):
    """Check a box, or take the check away."""

    told_by = "check"
    check: CheckTarget
    """The box."""


class UploadKeys(BrowserStepKeys):
    """Give a file to a field."""

    told_by = "upload"
    upload: UploadTarget
    """The field and the file."""


class SeeKeys(BrowserStepKeys):
    """Wait until an element is visible."""

    told_by = "see"
    see: SeenKeys
    """The element; a bare text is ``text``."""


class NotSeeKeys(BrowserStepKeys):
    """Wait until an element is gone or hidden."""

    told_by = "not_see"
    not_see: SeenKeys
    """The element; a bare text is ``text``."""


class ScreenshotKeys(BrowserStepKeys):
    """Keep a picture of the page, of a good run too."""

    told_by = "screenshot"
    screenshot: Literal[True]
    """Always ``true``."""


class ExpectKeys(BrowserStepKeys):
    """Judge the page."""

    told_by = "expect"
    expect: PageExpect
    """What it must be."""


class WaitKeys(BrowserStepKeys):
    """A fixed pause."""

    told_by = "wait"
    wait: Duration
    """How long; ``see`` is better, for it waits no longer than needed."""


class ExtractKeys(BrowserStepKeys):
    """Take values out of the page, for later steps."""

    told_by = "extract"
    extract: Takes
    """Variable -> what is taken; ``url`` or ``title`` for those of the page."""


class EvaluateKeys(BrowserStepKeys):
    """Run a script in the page; only with ``browser: {evaluate: true}``."""

    told_by = "evaluate"
    evaluate: Static = Field(min_length=1)
    """JavaScript expression or function; a promise is awaited."""
    result: Wish | None = None
    """What it must give; by default anything, as long as it does not throw."""
