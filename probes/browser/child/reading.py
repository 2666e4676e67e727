"""The steps that look and do nothing: ``expect``, ``extract`` and ``evaluate``.

What a page should be is asked again and again until it is, or the step's time is over: pages
change. Values are judged by the grammar of all matchers, patterns by RE2.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from probes.browser.child.elements import find, gone, plain_locator, use
from probes.browser.child.stage import Miss, Stage, miss, within
from probes.browser.plan import Locator, Step, Take
from probes.browser.protocol import Fault
from probes.journey.playing.evidence import looks_secret
from probes.matcher import MISSING, Matcher
from probes.pattern import pattern, searchable
from probes.result import Reason
from probes.units import short

if TYPE_CHECKING:
    from playwright.async_api import Locator as Element

# Often enough for a page that a user watches; each look is a question to the page.
LOOK_AGAIN_S = 0.1
# Text that is judged, and values that are kept.
MAX_TEXT_CHARACTERS = 1024 * 1024
MAX_RESULT_CHARACTERS = 64 * 1024
_COUNTS = frozenset({"console_errors", "page_errors", "failed_requests"})


async def expect(stage: Stage, step: Step) -> None:
    """Judge the page until all is as wanted, then the errors so far, once: they never get fewer.

    Raises:
        Miss: it is not within the time of the step.
    """
    matchers = {what: _matcher(stage, source) for what, source in step.expect.items()}
    page = {what: matcher for what, matcher in matchers.items() if what not in _COUNTS}
    counts = {what: matcher for what, matcher in matchers.items() if what in _COUNTS}
    deadline = asyncio.get_running_loop().time() + step.timeout_s
    while (fault := await _first_miss(stage, step, page)) is not None:
        if asyncio.get_running_loop().time() + LOOK_AGAIN_S > deadline:
            raise Miss(fault)
        await asyncio.sleep(LOOK_AGAIN_S)
    if counts:
        await _settled(stage, deadline)
        fault = await _first_miss(stage, step, counts)
        if fault is not None:
            raise Miss(fault)


async def _settled(stage: Stage, deadline: float) -> None:
    """Wait until the page is loaded and has said what went wrong meanwhile."""
    from playwright.async_api import Error

    with suppress(Error, TimeoutError):
        async with asyncio.timeout_at(deadline):
            await stage.page.wait_for_load_state("load")
            # asked last, answered last: what was reported before has come in by then
            await stage.pages.report()


def _matcher(stage: Stage, source: Any) -> Matcher:
    try:
        return Matcher(stage.value(source))
    except ValueError as error:
        raise miss(Reason.CONFIG, str(error)) from None


async def _first_miss(stage: Stage, step: Step, matchers: Mapping[str, Matcher]) -> Fault | None:
    for what, matcher in matchers.items():
        text = matcher.miss(await _observed(stage, step, what))
        if text is not None:
            reason = Reason.VALUE if what in _COUNTS else Reason.BODY
            return Fault(reason, f"{what.replace('_', ' ')}: {text}")
    return None


async def _observed(stage: Stage, step: Step, what: str) -> Any:
    from playwright.async_api import Error

    if what in _COUNTS:
        return getattr(stage.watch, what)
    if what == "url":
        return stage.page.url
    try:
        if what == "title":
            return await within(step, stage.page.title(), "the title of the page")
        return await _text(stage, step)
    except Error as error:
        # a page on its way to the next one has no text for a moment: asked again
        fault = gone(stage, error.message)
        if fault is not None:
            raise Miss(fault) from None
        return MISSING


async def _text(stage: Stage, step: Step) -> str:
    target = step.target or Locator("css", "body")
    element = find(stage.page, plain_locator(stage, target))
    asked = element.inner_text(timeout=step.timeout_s * 1000)
    return (await within(step, asked, "the text of the page"))[:MAX_TEXT_CHARACTERS]


# --- extract


async def extract(stage: Stage, step: Step) -> None:
    """Take values out of the page, in order.

    Raises:
        Miss: ``extract``: one that must be there is not, or is not what was wanted.
    """
    for take in step.extract:
        value = await _taken(stage, step, take)
        if value is MISSING:
            if take.has_default:
                value = take.default
            elif take.is_optional:
                continue
            else:
                raise miss(Reason.EXTRACT, f"want {take.name} in the page, got nothing")
        stage.scope.values[take.name] = value
        if looks_secret(take.name) and isinstance(value, str):
            stage.hidden.append(value)


async def _taken(stage: Stage, step: Step, take: Take) -> Any:
    value = await _raw(stage, step, take)
    if not take.pattern or not isinstance(value, str):
        return value
    found = pattern(take.pattern).search(searchable(value.encode("utf-8", "replace")))
    if found is None or take.group > len(found.groups()):
        return MISSING
    group = found.group(take.group)
    return MISSING if group is None else group.decode("utf-8", "replace")


async def _raw(stage: Stage, step: Step, take: Take) -> Any:
    if take.source == "url":
        return stage.page.url
    if take.source == "title":
        return await _observed(stage, step, "title")
    if take.source == "cookie":
        return await _cookie(stage, step, take.attribute)
    if take.target is None:
        raise miss(Reason.CONFIG, f"want an element for {take.name}, got none")
    if take.source == "count":
        return await _count(stage, step, take.target)
    return await _of_element(stage, step, take, take.target)


async def _cookie(stage: Stage, step: Step, name: str) -> Any:
    cookies = await within(step, stage.page.context.cookies(stage.page.url), f"the cookie {name}")
    value = next((it.get("value") for it in cookies if it.get("name") == name), MISSING)
    if isinstance(value, str):
        # whoever has the cookie is the user
        stage.hidden.append(value)
    return value


async def _count(stage: Stage, step: Step, target: Locator) -> int:
    found: list[int] = []

    async def count(element: "Element") -> None:
        found.append(await element.count())

    await use(stage, step, target, "to be counted", count)
    return found[0]


async def _of_element(stage: Stage, step: Step, take: Take, target: Locator) -> Any:
    ms = step.timeout_s * 1000
    may_miss = take.is_optional or take.has_default
    # what may be missing is looked for now, not waited for
    if may_miss and not await _count(stage, step, target):
        return MISSING
    found: list[str | None] = []

    async def read(element: "Element") -> None:
        found.append(await _read(element, take, ms))

    try:
        await use(stage, step, target, f"for {take.name}", read)
    except Miss as error:
        if error.fault.reason is not Reason.BODY:
            raise
        raise miss(Reason.EXTRACT, error.fault.message) from None
    value = found[0]
    return MISSING if value is None else value[:MAX_RESULT_CHARACTERS]


async def _read(element: "Element", take: Take, ms: float) -> str | None:
    match take.source:
        case "attribute":
            return await element.get_attribute(take.attribute, timeout=ms)
        case "value":
            return await element.input_value(timeout=ms)
        case _:
            return (await element.inner_text(timeout=ms)).strip()


# --- evaluate


async def evaluate(stage: Stage, step: Step) -> None:
    """Run a script of the journey in the page; its result is JSON.

    Raises:
        Miss: ``config``: the journey does not allow it; ``body``: it broke, or returned no JSON.
    """
    from playwright.async_api import Error

    if not stage.plan.may_evaluate:
        raise miss(Reason.CONFIG, "want browser.evaluate: true for evaluate, got false")
    try:
        result = await within(step, stage.page.evaluate(step.text), "the result of a script")
    except Error as error:
        fault = gone(stage, error.message)
        got = error.message.partition("\n")[0].removeprefix("Page.evaluate: ")
        raise Miss(fault or Fault(Reason.BODY, f"want a result, got {short(got)}")) from None
    try:
        text = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise miss(
            Reason.BODY, f"want JSON of evaluate, got {short(type(result).__name__)}"
        ) from None
    if len(text) > MAX_RESULT_CHARACTERS:
        limit = MAX_RESULT_CHARACTERS
        raise miss(
            Reason.TOO_LARGE, f"want a result of at most {limit} characters, got {len(text)}"
        )
    for what, source in step.expect.items():
        wrong = _matcher(stage, source).miss(result)
        if wrong is not None:
            raise miss(Reason.VALUE, f"{what}: {wrong}")
    for take in step.extract:
        stage.scope.values[take.name] = result
