"""Each action of a step on a page: goto, click, fill, press, select, check, upload, see, wait.

What is judged or taken out of the page is in `probes.browser.child.reading`. An action returns when
it is done and raises `Miss` when it cannot be.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from probes.browser.child import reading
from probes.browser.child.elements import gone, use
from probes.browser.child.stage import Miss, Stage, miss, within
from probes.browser.child.words import FROM_PROXY, net_error, net_fault
from probes.browser.plan import Action, Locator, Step
from probes.browser.protocol import Fault
from probes.expect import Statuses
from probes.result import Reason
from probes.units import short
from probes.wire.url import parse_url

if TYPE_CHECKING:
    from playwright.async_api import Locator as Element

Act = Callable[[Stage, Step], Awaitable[None]]


async def act(stage: Stage, step: Step) -> None:
    """Do what *step* says.

    Raises:
        Miss: it failed.
    """
    await ACTIONS[step.action](stage, step)


async def _goto(stage: Stage, step: Step) -> None:
    from playwright.async_api import Error

    stage.url = url = _address(stage, step)
    stage.status = 0
    stage.pages.turn(step.name)
    try:
        response = await within(
            step,
            stage.page.goto(url, wait_until=step.wait, timeout=step.timeout_s * 1000),
            f"the page {short(url)}",
        )
    except Error as error:
        raise Miss(_goto_fault(stage, step, error.message)) from None
    await stage.pages.landed()
    # None: only the fragment is another one, so no document came
    if response is not None:
        stage.status = response.status
        _judge_status(stage, step)


def _address(stage: Stage, step: Step) -> str:
    url = urljoin(stage.plan.base_url, stage.text(step.text))
    try:
        # what `urljoin` makes of a hostile value is judged, not what the file says
        parse_url(url)
    except ValueError as error:
        raise miss(Reason.CONFIG, str(error)) from None
    return url


def _judge_status(stage: Stage, step: Step) -> None:
    if step.statuses:
        try:
            wanted = Statuses(list(step.statuses))
        except ValueError as error:
            raise miss(Reason.CONFIG, str(error)) from None
        if not wanted.admits(stage.status):
            raise miss(Reason.STATUS, f"want status {wanted}, got {stage.status}")
    elif stage.status >= 400:  # noqa: PLR2004 - RFC 9110, 15.5
        raise miss(Reason.STATUS, f"want a status below 400, got {stage.status}")


def _goto_fault(stage: Stage, step: Step, text: str) -> Fault:
    name = net_error(text)
    if name in FROM_PROXY and (known := refusal(stage)) is not None:
        return known
    if name:
        return net_fault(name, stage.url)
    if "Download is starting" in text:
        return Fault(Reason.BODY, f"want the page {short(stage.url)}, got a download")
    if "Timeout" in text:
        got = "it still loading" if stage.watch.requests else "no answer"
        return Fault(
            Reason.TIMEOUT,
            f"want the page {short(stage.url)} within {step.timeout_s:g} s ({step.wait}),"
            f" got {got}",
        )
    return gone(stage, text) or Fault(
        Reason.BODY, f"want the page {short(stage.url)}, got {_first_line(text)}"
    )


def refusal(stage: Stage) -> Fault | None:
    """Return why the proxy did not get to the page; a redirect may have led elsewhere."""
    if stage.ledger.spent is not None:
        return Fault(stage.ledger.spent.reason, stage.ledger.spent.message)
    split = urlsplit(stage.url)
    port = split.port or (443 if split.scheme == "https" else 80)
    refused = stage.ledger.refused
    failure = refused.get((split.hostname or "", port))
    if failure is None and refused:
        failure = refused[next(reversed(refused))]
    return Fault(failure.reason, failure.message) if failure is not None else None


def _first_line(text: str) -> str:
    return short(text.partition("\n")[0].partition(": ")[2] or text)


# --- elements


def _target(step: Step) -> Locator:
    if step.target is None:
        raise miss(Reason.CONFIG, f"want an element for {step.action.value}, got none")
    return step.target


async def _click(stage: Stage, step: Step) -> None:
    ms = step.timeout_s * 1000
    await use(stage, step, _target(step), "to be clickable", lambda it: it.click(timeout=ms))


async def _fill(stage: Stage, step: Step) -> None:
    text, ms = stage.text(step.text), step.timeout_s * 1000
    await use(stage, step, _target(step), "to be writable", lambda it: it.fill(text, timeout=ms))


async def _press(stage: Stage, step: Step) -> None:
    from playwright.async_api import Error

    key, ms = stage.text(step.text), step.timeout_s * 1000
    if step.target is not None:
        await use(stage, step, step.target, "to take keys", lambda it: it.press(key, timeout=ms))
        return
    try:
        await within(step, stage.page.keyboard.press(key), f"the key {short(key)}")
    except Error as error:
        raise miss(
            Reason.CONFIG, f"want a key, got {short(key)}: {_first_line(error.message)}"
        ) from None


async def _select(stage: Stage, step: Step) -> None:
    option, ms = stage.text(step.text), step.timeout_s * 1000

    async def choose(element: "Element") -> None:
        await element.select_option(option, timeout=ms)

    await use(stage, step, _target(step), f"to have the option {short(option)}", choose)


async def _check(stage: Stage, step: Step) -> None:
    ms = step.timeout_s * 1000
    state = "to be checkable" if step.checked else "to be uncheckable"
    await use(
        stage, step, _target(step), state, lambda it: it.set_checked(step.checked, timeout=ms)
    )


async def _upload(stage: Stage, step: Step) -> None:
    ms = step.timeout_s * 1000
    file = Path(step.text)
    if not os.access(file, os.R_OK):
        raise miss(Reason.CONFIG, f"want the file {short(file.name)} to upload, got none")
    await use(
        stage,
        step,
        _target(step),
        "to take a file",
        lambda it: it.set_input_files(file, timeout=ms),
    )


async def _see(stage: Stage, step: Step) -> None:
    ms = step.timeout_s * 1000
    await use(
        stage,
        step,
        _target(step),
        "to be visible",
        lambda it: it.wait_for(state="visible", timeout=ms),
    )


async def _not_see(stage: Stage, step: Step) -> None:
    ms = step.timeout_s * 1000
    await use(
        stage,
        step,
        _target(step),
        "to be hidden",
        # of several that are there none may be seen
        lambda it: it.filter(visible=True).first.wait_for(state="hidden", timeout=ms),
    )


async def _screenshot(stage: Stage, _: Step) -> None:
    try:
        is_taken = await stage.shoot()
    except OSError as error:
        raise miss(
            Reason.RESOURCE, f"want a place for a screenshot, got {error.strerror}"
        ) from None
    if not is_taken:
        raise miss(Reason.TIMEOUT, "want a screenshot, got a page that cannot be drawn in time")


async def _wait(_: Stage, step: Step) -> None:
    await asyncio.sleep(step.seconds)


ACTIONS: Mapping[Action, Act] = {
    Action.GOTO: _goto,
    Action.CLICK: _click,
    Action.FILL: _fill,
    Action.PRESS: _press,
    Action.SELECT: _select,
    Action.CHECK: _check,
    Action.UPLOAD: _upload,
    Action.SEE: _see,
    Action.NOT_SEE: _not_see,
    Action.SCREENSHOT: _screenshot,
    Action.WAIT: _wait,
    Action.EXPECT: reading.expect,
    Action.EXTRACT: reading.extract,
    Action.EVALUATE: reading.evaluate,
}
