"""Which key makes which step of a browser journey, and what is said where none or two do."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Tag

from probes.browser.keys import (
    BrowserStepKeys,
    CheckKeys,
    ClickKeys,
    EvaluateKeys,
    ExpectKeys,
    ExtractKeys,
    FillKeys,
    GotoKeys,
    NotSeeKeys,
    PressKeys,
    ScreenshotKeys,
    SeeKeys,
    SelectKeys,
    UploadKeys,
    WaitKeys,
)
from probes.journey.loading.families import FAMILIES as OVER_HTTP
from probes.pattern import suggest
from probes.units import short

FAMILIES: tuple[type[BrowserStepKeys], ...] = (
    GotoKeys, ClickKeys, FillKeys, PressKeys, SelectKeys, CheckKeys, UploadKeys,
    SeeKeys, NotSeeKeys, ExpectKeys, ExtractKeys, EvaluateKeys, ScreenshotKeys, WaitKeys,
)  # fmt: skip
_FAMILY_OF = {family.told_by: family for family in FAMILIES}
# Keys of steps that only other families have.
_FOREIGN = frozenset(key for family in OVER_HTTP for key in family.told_by) - _FAMILY_OF.keys()
_COMMON = frozenset({"name", "if", "timeout", "status", "result"})
# What others call our keys, where no likeness of letters helps.
_OTHER_WORDS = {
    "open": "goto", "navigate": "goto", "url": "goto", "visit": "goto", "type": "fill",
    "input": "fill", "key": "press", "tap": "click", "sleep": "wait", "pause": "wait",
    "assert": "expect", "script": "evaluate", "file": "upload", "choose": "select",
}  # fmt: skip


def _told(value: Mapping[object, object]) -> list[str]:
    """Return the keys that each say what to do; beside ``goto``, ``wait`` only says until when."""
    told = [str(key) for key in value if key in _FAMILY_OF]
    return [key for key in told if key != "wait"] if "goto" in told else told


def _one_family(value: object) -> object:
    """Judge what a step is to do, in words that no union of classes has.

    Raises:
        ValueError: nothing, several things, or what only a journey over HTTP does.
    """
    if isinstance(value, BrowserStepKeys):
        return value
    if not isinstance(value, Mapping):
        got = "nothing" if value is None else short(value)
        raise ValueError(f"want a step such as {{name: home, goto: /}}, got {got}")  # noqa: TRY004 - pydantic reads ValueError
    told = _told(value)
    if len(told) > 1:
        raise ValueError(
            f"want one thing to do in a step, got {' and '.join(told)}: each is a step of its own"
        )
    if not told:
        raise ValueError(f"want a key such as goto, click, fill or see, {_got(value)}")
    if value[told[0]] is None:
        raise ValueError(f"want a value behind {told[0]}:, got nothing")
    return value


def _got(value: Mapping[object, object]) -> str:
    odd = next((str(key) for key in value if key not in _COMMON), "")
    if not odd:
        return "got none"
    if odd in _FOREIGN:
        return f"got {short(odd)}: a journey with browser: has no steps over HTTP"
    other = _OTHER_WORDS.get(odd)
    return f"got {short(odd)}" + (
        f"; did you mean {other!r}?" if other else suggest(odd, _FAMILY_OF)
    )


def _tag(value: object) -> str:
    """Return the tag of a step's class; no key can be spelt like one."""
    family = _FAMILY_OF[_told(value)[0]] if isinstance(value, Mapping) else type(value)
    return f"step {family.__name__}"


AnyBrowserStep = Annotated[
    Annotated[GotoKeys, Tag("step GotoKeys")]
    | Annotated[ClickKeys, Tag("step ClickKeys")]
    | Annotated[FillKeys, Tag("step FillKeys")]
    | Annotated[PressKeys, Tag("step PressKeys")]
    | Annotated[SelectKeys, Tag("step SelectKeys")]
    | Annotated[CheckKeys, Tag("step CheckKeys")]
    | Annotated[UploadKeys, Tag("step UploadKeys")]
    | Annotated[SeeKeys, Tag("step SeeKeys")]
    | Annotated[NotSeeKeys, Tag("step NotSeeKeys")]
    | Annotated[ExpectKeys, Tag("step ExpectKeys")]
    | Annotated[ExtractKeys, Tag("step ExtractKeys")]
    | Annotated[EvaluateKeys, Tag("step EvaluateKeys")]
    | Annotated[ScreenshotKeys, Tag("step ScreenshotKeys")]
    | Annotated[WaitKeys, Tag("step WaitKeys")],
    Discriminator(_tag),
    BeforeValidator(_one_family),
]
"""One step; its class is chosen by its key, and judges it alone."""
