"""Whether the web vitals of the pages are as the journey wants them. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from probes.browser.protocol import Fault, Page
from probes.expect import Matcher
from probes.journey.language.wish import DurationWish
from probes.result import Reason

# A number without a unit; all others are seconds.
UNITLESS = frozenset({"cls"})


def miss_in_vitals(vitals: Mapping[str, Any], pages: Iterable[Page]) -> Fault | None:
    """Return the first vital of the first page that is not as wanted; None: all are.

    What was not observed is not judged: nobody knows how a page that was never clicked answers.

    Args:
        vitals: of the plan: vital -> source of what it must be.
        pages: of the run.
    """
    for page in pages:
        for vital, source in vitals.items():
            value = page.vitals.get(vital)
            miss = None if value is None else _miss(vital, source, value)
            if miss is not None:
                reason = Reason.VALUE if vital in UNITLESS else Reason.LATENCY
                return Fault(reason, f"{vital} of page {page.page}: {miss}", page.page)
    return None


def unobserved(vitals: Mapping[str, Any], pages: Iterable[Page]) -> list[str]:
    """Return the vitals that are judged and that no page showed."""
    seen = {vital for page in pages for vital in page.vitals}
    return [vital for vital in vitals if vital not in seen]


def _miss(vital: str, source: Any, value: float) -> str | None:
    if vital in UNITLESS:
        return Matcher(source).miss(round(value, 4))
    return DurationWish(source).miss(value)
