"""What a browser told of one run, as what the run leaves behind: steps, phases, samples, facts.

    Begun, Ended, ... ── Notes.steps ──> StepResult, ...
    Done              ── samples ─────> browser_*

A run that was cut off keeps the steps so far. Knows no pipe and no kind.
"""

from collections import Counter
from collections.abc import Iterator

from probes.browser.plan import VITALS, Action, Plan
from probes.browser.protocol import Begun, Done, Ended, Fault
from probes.errors import CheckFailed
from probes.journey.model import Part, State, StepResult
from probes.kind import Metric
from probes.result import Failure, Phase, Sample

PAGE = ("page",)
# https://playwright.dev/python/docs/api/class-request#request-resource-type
TYPES = frozenset(
    {
        "document", "stylesheet", "image", "media", "font", "script", "texttrack", "xhr", "fetch",
        "eventsource", "websocket", "manifest", "other",
    }
)  # fmt: skip
# By type, party and outcome; by party; three of the run; two of the browser.
SERIES = 120
# Six vitals and two moments.
SERIES_PER_PAGE = 8
METRICS = (
    Metric("browser_web_vital_ttfb_seconds", "Time to the first byte of the document", PAGE),
    Metric("browser_web_vital_fcp_seconds", "First contentful paint", PAGE),
    Metric("browser_web_vital_lcp_seconds", "Largest contentful paint", PAGE),
    Metric("browser_web_vital_inp_seconds", "Interaction to next paint, if any was made", PAGE),
    Metric("browser_web_vital_tbt_seconds", "Total blocking time after the first paint", PAGE),
    Metric("browser_web_vital_cls", "Cumulative layout shift, without a unit", PAGE),
    Metric(
        "browser_dom_content_loaded_seconds", "From navigation to the document being parsed", PAGE
    ),
    Metric("browser_load_seconds", "From navigation to the end of the load event", PAGE),
    Metric(
        "browser_requests",
        "Number of requests by resource type, party (first, third) and outcome: good, bad (status"
        " 400 and more) or failed (no answer)",
        ("type", "party", "outcome"),
    ),
    Metric("browser_bytes", "Bytes received on the wire by party: first or third", ("party",)),
    Metric("browser_console_errors", "Number of errors on the console"),
    Metric("browser_page_errors", "Number of exceptions that nobody caught"),
    Metric("browser_processes", "Processes of the browser while a page was open"),
    Metric("browser_memory_bytes", "Memory of all processes of the browser, shared pages once"),
)
_MOMENTS = ("dom_content_loaded", "load")


class Notes:
    """The reports of one run, as they come."""

    def __init__(self, plan: Plan) -> None:
        self._names = [step.name for step in plan.steps]
        self._ended: dict[str, Ended] = {}
        self._begun: str | None = None

    def hear(self, report: Begun | Ended) -> None:
        """Note that a step begins or has ended."""
        if isinstance(report, Ended):
            self._ended[report.step] = report
            self._begun = None
        else:
            self._begun = report.step

    def steps(self, broken: Failure | None = None) -> Iterator[StepResult]:
        """Yield every step of the plan in its order.

        Args:
            broken: why the run broke off; the step in which it did has no end of its own.
        """
        for name in self._names:
            ended = self._ended.get(name)
            if ended is not None:
                yield _step(ended)
            elif name == self._begun and broken is not None:
                yield StepResult(name, Part.STEPS, State.FAILED, failure=broken)
            else:
                yield StepResult(name, Part.STEPS, State.SKIPPED)

    @property
    def where(self) -> str | None:
        """The step that has begun and not ended."""
        return self._begun


def _step(ended: Ended) -> StepResult:
    fault = ended.fault
    return StepResult(
        step=ended.step,
        part=Part.STEPS,
        state=State(ended.state),
        failure=Failure(fault.reason, fault.message) if fault is not None else None,
        seconds=ended.seconds,
        phases=tuple(Phase(name, seconds) for name, seconds in ended.phases),
        status=ended.status,
        facts=ended.facts,
    )


def verdict(fault: Fault) -> CheckFailed:
    """Return *fault* as the verdict of a run, with the step as its phase."""
    if not fault.step:
        return CheckFailed(fault.reason, fault.message)
    return CheckFailed(fault.reason, f"step {fault.step}: {fault.message}", phase=fault.step)


def samples(plan: Plan, done: Done, processes: int, memory_bytes: int) -> Iterator[Sample]:
    """Yield the numbers of a run that came to its end.

    Args:
        plan: that was played: only its names become labels.
        done: the last report.
        processes: of the browser; 0: not counted.
        memory_bytes: of all of them.
    """
    yield from _of_pages(plan, done)
    requests: Counter[tuple[tuple[str, str], ...]] = Counter()
    for kind, party, ending, count in done.requests:
        known = kind if kind in TYPES else "other"
        requests[("type", known), ("party", party), ("outcome", ending)] += count
    for labels, count in sorted(requests.items()):
        yield Sample("browser_requests", count, labels)
    received: Counter[str] = Counter()
    for origin, size in done.bytes:
        received[origin] += size
    for whose, size in sorted(received.items()):
        yield Sample("browser_bytes", size, (("party", whose),))
    yield Sample("browser_console_errors", done.console_errors)
    yield Sample("browser_page_errors", done.page_errors)
    if processes:
        yield Sample("browser_processes", processes)
        yield Sample("browser_memory_bytes", memory_bytes)


def _of_pages(plan: Plan, done: Done) -> Iterator[Sample]:
    names = {step.name for step in plan.steps if step.action is Action.GOTO}
    for page in {page.page: page for page in done.pages if page.page in names}.values():
        label = (("page", page.page),)
        for vital in VITALS:
            if vital in page.vitals:
                unit = "" if vital == "cls" else "_seconds"
                yield Sample(f"browser_web_vital_{vital}{unit}", page.vitals[vital], label)
        for moment in _MOMENTS:
            if moment in page.timing:
                yield Sample(f"browser_{moment}_seconds", page.timing[moment], label)
