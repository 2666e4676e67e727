"""What the steps of one run share: page, values, counts, clock. Knows no action.

`Miss` is how a step says that it failed; `within` bounds whatever is asked of a browser, which may
never answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from probes.browser.child.watch import Watch
from probes.browser.plan import Plan, Step
from probes.browser.protocol import Fault
from probes.browser.proxy import Ledger
from probes.journey.language.expression import Scope, Unset, template, tree
from probes.result import Reason

if TYPE_CHECKING:
    from playwright.async_api import Page

    from probes.browser.child.pages import Pages

T = TypeVar("T")
# Playwright has timeouts of its own and words for them; ours ends what hangs nevertheless.
GRACE_S = 0.5


CRASHED_PAGE = Fault(Reason.RESOURCE, "want a page that lives, got a crash of its process")


class Miss(Exception):
    """A step failed."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def miss(reason: Reason, message: str) -> Miss:
    """Return the exception to raise."""
    return Miss(Fault(reason, message))


@dataclass(slots=True)
class Stage:
    """One run under way.

    Args:
        page: the one page that the journey looks at.
        plan: that is played.
        scope: of its expressions.
        watch: counts what happens beside.
        ledger: of the proxy.
        pages: collects vitals.
        shoot: takes a screenshot; returns whether there is one.
        hidden: texts that came up and must not be shown.
        facts: of the step under way.
        status: of the document of the last ``goto``; 0: none.
        url: that the last ``goto`` asked for.
    """

    page: "Page"
    plan: Plan
    scope: Scope
    watch: Watch
    ledger: Ledger
    pages: "Pages"
    shoot: Callable[[], Awaitable[bool]]
    hidden: list[str] = field(default_factory=list[str])
    facts: dict[str, str] = field(default_factory=dict[str, str])
    status: int = 0
    url: str = ""

    def text(self, source: str) -> str:
        """Return a text of the plan with its values.

        Raises:
            Miss: a variable has no value, or a function refuses.
        """
        try:
            return template(source).text(self.scope)
        except (Unset, ValueError) as error:
            raise unrendered(error) from None

    def value(self, source: Any) -> Any:
        """Return a value of the plan, such as the source of a matcher; raises as `text`."""
        try:
            return tree(source).value(self.scope)
        except (Unset, ValueError) as error:
            raise unrendered(error) from None


def unrendered(error: Unset | ValueError) -> Miss:
    """Return why an expression has no value."""
    if isinstance(error, Unset):
        return miss(Reason.CONFIG, f"want a value of {error.name}, got none: its step was skipped")
    return miss(Reason.CONFIG, str(error))


async def within(step: Step, work: Awaitable[T], wanted: str) -> T:
    """Return what *work* returns, but wait no longer than the step may take.

    Raises:
        Miss: ``timeout``: the page does not even answer.
    """
    try:
        async with asyncio.timeout(step.timeout_s + GRACE_S):
            return await work
    except TimeoutError:
        raise miss(
            Reason.TIMEOUT,
            f"want {wanted} within {step.timeout_s:g} s, got a page that does not respond",
        ) from None
