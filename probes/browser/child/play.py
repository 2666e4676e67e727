"""One run: its steps in order, what was measured, and the end, whatever the page does.

The steps run in a task of their own, so that the deadline and `stop` cut them wherever they hang.
After that everything has a limit: a `Done` comes, or the supervisor ends the whole child.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from probes.browser.child.actions import act
from probes.browser.child.files import Files
from probes.browser.child.room import Room
from probes.browser.child.stage import CRASHED_PAGE, Miss, Stage, unrendered
from probes.browser.child.watch import bytes_by_party, cut
from probes.browser.plan import Action, Step
from probes.browser.protocol import Artefact, Begun, Done, Ended, Fault, Page, Report, Run, Trouble
from probes.browser.verdict import miss_in_vitals
from probes.errors import CheckFailed
from probes.journey.language.expression import Scope, Unset, condition, template
from probes.journey.playing.evidence import MAX_HIDDEN, MIN_HIDDEN_CHARACTERS, hideable
from probes.redact import Redactor, display_target
from probes.result import Reason
from probes.wire.blocking import BlockingCalls

if TYPE_CHECKING:
    from playwright.async_api import Browser

# What a cancelled task may still need to let go of a page.
LET_GO_S = 0.3
# Behind the deadline the supervisor counts too.
LATE_SHOT_S = 0.7
LATE_TRACE_S = 0.5
LATE_FILES_S = 0.5
FILES_S = 10.0
MAX_REFUSED = 5

DISOBEYED = "want a browser that closes what it opened, got one that does not"
CRASHED = "want a browser whose pages live, got a crash of one"

Tell = Callable[[Report], None]
_SPANS: tuple[tuple[str, str], ...] = (
    ("resolve", "dns"), ("connect", "connect"), ("tls", "tls"), ("processing", "request"),
    ("transfer", "response"), ("render", "processing"),
)  # fmt: skip
_calls = BlockingCalls("browser-files")


class Play:
    """One run under way.

    Args:
        run: what is played.
        browser: that runs.
        source: of the script for vitals.
        tell: sends a report to the supervisor.
    """

    def __init__(self, run: Run, browser: "Browser", source: str, tell: Tell) -> None:
        self._run = run
        self._browser = browser
        self._tell = tell
        self._room = Room(run, source)
        self._files = Files(Path(run.artefacts), full=run.record == "full")
        self._scope = scope_of(run)
        self._stage: Stage | None = None
        self._work: asyncio.Task[Fault | None] | None = None
        self._is_stopped = False
        self._is_cut = False
        self._until = 0.0
        self._step = ""
        self._cookies: list[str] = []
        self._not_kept = ""
        self._dialled: set[tuple[str, int]] = set()

    def stop(self) -> None:
        """End it at once."""
        self._is_stopped = True
        if self._work is not None:
            self._work.cancel()

    async def play(self) -> tuple[Done | Trouble, str]:
        """Play it to the end.

        Returns:
            The last report of the run, and why the browser must not be used again; empty: it may.
        """
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._run.deadline_s
        self._work = loop.create_task(self._played())
        if self._is_stopped:
            self._work.cancel()
        await asyncio.wait({self._work}, timeout=self._run.deadline_s)
        self._is_cut = is_late = not self._work.done() or self._is_stopped
        if is_late:
            self._work.cancel()
            await asyncio.wait({self._work}, timeout=LET_GO_S)
            self._work.add_done_callback(_retrieved)
        fault = self._cut_off() if is_late else self._result(self._work)
        pages = await self._measured(is_late=is_late)
        fault = fault or miss_in_vitals(self._run.plan.vitals, pages)
        if fault is not None and self._run.record != "never" and not self._is_stopped:
            await self._picture()
        obeyed = await self._close()
        if isinstance(fault, Trouble):
            return fault, "" if obeyed else DISOBEYED
        trouble = CRASHED if self._room.watch.is_crashed else "" if obeyed else DISOBEYED
        return await self._done(fault, pages), trouble

    def _result(self, work: "asyncio.Task[Fault | None]") -> Fault | Trouble | None:
        error = work.exception()
        if error is None:
            return work.result()
        if isinstance(error, OSError):
            message = f"want a port for the proxy of a run, got {error.strerror}"
            return Trouble(self._run.id, Reason.RESOURCE, message)
        began = f"want a page of Chromium {self._browser.version} to begin with"
        message = f"{began}, got {cut(str(error), 200)}"
        return Trouble(self._run.id, Reason.RESOURCE, message)

    def _cut_off(self) -> Fault:
        within = f"within {self._run.deadline_s:.3g} s"
        at = f"step {self._step!r} under way" if self._step else "no page yet"
        got = f"it stopped with {at}" if self._is_stopped else at
        return Fault(Reason.TIMEOUT, f"want the journey to end {within}, got {got}", self._step)

    # --- the steps

    async def _played(self) -> Fault | None:
        try:
            headers = self._headers()
        except Miss as error:
            return error.fault
        await self._room.open(self._browser, headers, self._files.har)
        room = self._room
        if room.context is not None:
            await self._files.begin(room.context)
        self._stage = Stage(
            room.page, self._run.plan, self._scope, room.watch, room.outlet.ledger, room.pages,
            lambda: self._files.shoot(room.page),
        )  # fmt: skip
        for step in self._run.plan.steps:
            fault = await self._do(self._stage, step)
            if fault is not None:
                return fault
        return None

    def _headers(self) -> Mapping[str, str]:
        try:
            return {
                name: template(value).text(self._scope) for name, value in self._run.plan.headers
            }
        except (Unset, ValueError) as error:
            raise unrendered(error) from None

    async def _do(self, stage: Stage, step: Step) -> Fault | None:
        """Play one step; return why it failed."""
        self._step = step.name
        self._tell(Begun(self._run.id, step.name))
        stage.facts = {}
        is_page = step.action is Action.GOTO
        if is_page:
            # what the page before has to say yet does not count as time of this one
            await stage.pages.report()
        started = perf_counter()
        fault: Fault | None = None
        try:
            if not self._holds(step):
                self._tell(Ended(self._run.id, step.name, step.action.value, "skipped", 0.0))
                return None
            await act(stage, step)
            if stage.watch.is_crashed:
                # also one that looks at no page must not go on as if there were one
                fault = replace(CRASHED_PAGE, step=step.name)
        except Miss as error:
            fault = Fault(error.fault.reason, error.fault.message, step.name)
        seconds = perf_counter() - started
        if is_page and not stage.page.is_closed():
            stage.facts["url"] = cut(display_target(stage.page.url), 200)
        self._tell(
            Ended(
                self._run.id,
                step.name,
                step.action.value,
                "ok" if fault is None else "failed",
                seconds,
                fault,
                self._phases(stage) if is_page else (),
                stage.status if is_page else 0,
                stage.facts,
            )
        )
        return fault

    def _holds(self, step: Step) -> bool:
        if not step.condition:
            return True
        try:
            return condition(step.condition).holds(self._scope)
        except (Unset, ValueError) as error:
            raise unrendered(error) from None

    def _phases(self, stage: Stage) -> tuple[tuple[str, float], ...]:
        """Return where the time of a page went.

        Chromium leaves names to the proxy: what it takes for the connection is both, and the proxy
        knows how much of it was the name.
        """
        split = urlsplit(stage.url)
        origin = (split.hostname or "", split.port or (443 if split.scheme == "https" else 80))
        traffic = stage.ledger.traffic.get(origin)
        if traffic is not None and origin not in self._dialled:
            self._dialled.add(origin)
            stage.pages.resolved(traffic.phases.get("resolve", 0.0))
        timing = stage.pages.timing()
        return tuple((name, timing[key]) for name, key in _SPANS if key in timing)

    # --- the end

    async def _measured(self, *, is_late: bool) -> tuple[Page, ...]:
        if self._stage is not None and not is_late and not self._room.watch.is_crashed:
            # the last page may not have been painted yet
            await self._room.pages.report()
        return self._room.pages.told()

    def _left(self) -> float:
        """Return the seconds before the deadline; < 0 behind it."""
        return self._until - asyncio.get_running_loop().time()

    async def _picture(self) -> None:
        if self._stage is None:
            return
        try:
            # what hangs must not keep the report of it beyond the deadline
            async with asyncio.timeout(max(LATE_SHOT_S, self._left())):
                self._cookies = await self._room.cookies()
                await self._files.shoot(self._room.page)
        except TimeoutError:
            # the page hangs, which the run says already
            return
        except OSError as error:
            self._not_kept = str(error.strerror)

    async def _close(self) -> bool:
        if self._room.context is not None and not self._is_stopped:
            await self._files.end_trace(self._room.context, max(LATE_TRACE_S, self._left()))
        return await self._room.close()

    async def _done(self, fault: Fault | None, pages: tuple[Page, ...]) -> Done:
        watch, ledger = self._room.watch, self._room.outlet.ledger
        hidden = self._hidden()
        artefacts = await self._artefacts(hidden, is_failed=fault is not None)
        received: dict[str, int] = {}
        for (host, _), traffic in ledger.traffic.items():
            received[host] = received.get(host, 0) + traffic.received
        return Done(
            self._run.id,
            fault,
            pages=pages,
            requests=watch.counted(),
            bytes=bytes_by_party(received, self._room.own[0]),
            console_errors=watch.console_errors,
            page_errors=watch.page_errors,
            failed_requests=watch.failed_requests,
            facts={**watch.facts(), **_refused(ledger.refused), **self._complaint()},
            hidden=tuple(hideable(hidden))[:MAX_HIDDEN],
            artefacts=artefacts,
            is_cut=self._is_cut,
        )

    async def _artefacts(self, hidden: list[str], *, is_failed: bool) -> tuple[Artefact, ...]:
        """Return the files of the run; none when there is no place or no time for them.

        A full disk, or a trace too large to be cleaned in time, must not cost the verdict.
        """
        values = self._run.values
        redact = Redactor((*values.secrets.values(), *values.hidden, *hidden))
        seconds = min(FILES_S, max(LATE_FILES_S, self._left()))
        try:
            return await _calls.call(
                self._run.id, lambda: self._kept(redact, is_failed=is_failed), seconds
            )
        except TimeoutError:
            self._not_kept = f"want them cleaned within {seconds:.2g} s, got them not"
        except OSError as error:
            self._not_kept = str(error.strerror)
        except CheckFailed as error:
            self._not_kept = error.message
        return ()

    def _complaint(self) -> dict[str, str]:
        return {"artefacts": f"not kept: {self._not_kept}"} if self._not_kept else {}

    def _kept(self, redact: Redactor, *, is_failed: bool) -> tuple[Artefact, ...]:
        """Return the files of the run; it blocks.

        A run that went well leaves what its ``screenshot`` steps took; so does any that must not
        be recorded.
        """
        if not is_failed or self._run.record == "never":
            return self._files.drop()
        watch = self._room.watch
        return self._files.finish(watch.console, watch.lines, redact)

    def _hidden(self) -> list[str]:
        """Return what came up in the run and must not be shown."""
        taken = self._stage.hidden if self._stage is not None else []
        found = (*taken, *self._cookies, *sorted(self._scope.hidden))
        return [text for text in dict.fromkeys(found) if len(text) >= MIN_HIDDEN_CHARACTERS]


def _retrieved(work: "asyncio.Task[Fault | None]") -> None:
    """Take the error of a task that was cut off: the run has failed already."""
    if not work.cancelled():
        work.exception()


def scope_of(run: Run) -> Scope:
    """Return what the expressions of a run may read."""
    values = run.values
    return Scope(
        run_id=values.run_id,
        iteration=values.iteration,
        # not for secrets: two runs with one seed play the same
        random=Random(values.seed),  # noqa: S311 - chance, no secret
        now=lambda: datetime.now(UTC),
        environ=values.environ,
        values=dict(values.vars),
        row=values.row,
        vars=values.vars,
        secrets=values.secrets,
    )


def _refused(refused: Mapping[tuple[str, int], CheckFailed]) -> dict[str, str]:
    if not refused:
        return {}
    first = [f"{host}:{port} ({it.reason.value})" for (host, port), it in refused.items()]
    more = f" and {len(first) - MAX_REFUSED} more" if len(first) > MAX_REFUSED else ""
    return {"unreached": cut(", ".join(first[:MAX_REFUSED]), 400) + more}
