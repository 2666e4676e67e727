"""From a `Locator` of the plan to Playwright's, and back to words. Knows no step.

A locator must mean exactly one element: which of three was meant is nothing to be guessed.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from probes.browser.child.stage import CRASHED_PAGE, Miss, Stage, within
from probes.browser.child.words import element_fault, is_gone
from probes.browser.plan import Locator, Step
from probes.browser.protocol import Fault
from probes.result import Reason

if TYPE_CHECKING:
    from playwright.async_api import Locator as Element
    from playwright.async_api import Page


def plain_locator(stage: Stage, locator: Locator) -> Locator:
    """Return *locator* without expressions.

    Raises:
        Miss: one of them has no value.
    """
    name = stage.text(locator.name) if locator.name else ""
    return Locator(locator.by, stage.text(locator.value), name, locator.exact)


def find(page: "Page", locator: Locator) -> "Element":
    """Return Playwright's handle of a rendered locator; nothing is looked for yet."""
    value, exact = locator.value, locator.exact
    match locator.by:
        case "role":
            role = cast("Any", value)
            return page.get_by_role(role, name=locator.name or None, exact=exact)
        case "label":
            return page.get_by_label(value, exact=exact)
        case "text":
            return page.get_by_text(value, exact=exact)
        case "placeholder":
            return page.get_by_placeholder(value, exact=exact)
        case "test_id":
            return page.get_by_test_id(value)
        case "css":
            # the prefix: without it Playwright takes what looks like one for XPath
            return page.locator(f"css={value}")


def words(locator: Locator) -> str:
    """Return the words for a message: ``button "Pay"``, ``label "Mail"``."""
    if locator.by == "role":
        return f'{locator.value} "{locator.name}"' if locator.name else locator.value
    return f'{locator.by} "{locator.value}"'


async def use(
    stage: Stage,
    step: Step,
    target: Locator,
    state: str,
    do: Callable[["Element"], Awaitable[None]],
) -> None:
    """Do something with the one element that *target* means.

    Args:
        stage: of the run.
        step: under way.
        target: with its expressions.
        state: that the element must have, for the message: ``to be clickable``.
        do: asks Playwright.

    Raises:
        Miss: it is not there, not the only one, or not in that state.
    """
    from playwright.async_api import Error

    plain = plain_locator(stage, target)
    wanted = f"{words(plain)} {state}"
    try:
        await within(step, do(find(stage.page, plain)), wanted)
    except Error as error:
        text = error.message
        raise Miss(gone(stage, text) or element_fault(text, wanted, step.timeout_s)) from None


def gone(stage: Stage, text: str) -> Fault | None:
    """Return the fault of a page that is no more; None: it is still there."""
    if stage.watch.is_crashed or "crashed" in text:
        return CRASHED_PAGE
    if is_gone(text):
        return Fault(Reason.RESOURCE, "want a page that lives, got it closed")
    return None
