"""Kind ``journey``: the steps of a user over HTTP, in YAML or in Python, played once.

Knows how a play is begun, driven and recorded; what the steps do is `probes.journey`'s business.
"""

import logging
import os
from asyncio import get_running_loop
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from time import monotonic
from typing import Any, ClassVar

from probes.errors import CheckFailed
from probes.journey import steps
from probes.journey.driver import Driver, drive
from probes.journey.kind import JourneyKind
from probes.journey.language.closures import Scope
from probes.journey.language.functions import chance
from probes.journey.model import Played, Query
from probes.journey.playing.play import Context, play
from probes.journey.record import METRICS, Frame, record, untidy, verdict
from probes.journey.script.compile import Script
from probes.journey.script.orders import MAX_STEPS
from probes.journey.script.parent import BEYOND_S, play_script
from probes.kind import Kind, Metric
from probes.kinds import find_kind
from probes.recorder import Recorder
from probes.redact import Redactor
from probes.result import Reason
from probes.units import short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.websocket.connection import load_library

DEFAULT_EVERY_S = 60.0
log = logging.getLogger("sonde.journey")

# A run without clean-up has this long to write down what it has found.
RECORD_S = 0.1
# load.md 9.1: a step has its state three times, success, duration, status, and two of a run.
SERIES = 100
SERIES_PER_STEP = 8


class Journey(JourneyKind):
    """Play the steps of a user over HTTP once, and tell which one does not work.

    The steps stand under ``journeys``. A run begins without cookies, keeps its connections from
    step to step and speaks HTTP/1.1.

    Target:
        the base URL ``http://host[:port]/path`` or ``https://...`` of relative URLs; by default the
        journey's ``base_url``

    Source:
        RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 6265 (cookies)
    """

    name = "journey"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    families = (steps.Journey, Script)
    wanted = "a journey over HTTP"
    named = "a journey under journeys"
    other = "which is for kind: browser"

    think_in_probes: bool = False
    """Make the pauses of ``think`` steps too; else only a load makes them."""
    ip: IpChoice = ANY_IP
    """Which address of a name is dialled: any, 4, 6, prefer_4, prefer_6."""

    @property
    def _script(self) -> Script | None:
        return self._found if isinstance(self._found, Script) else None

    @property
    def playable(self) -> steps.Journey | None:
        script = self._script
        found: steps.Journey | None = self._found if script is None else script.journey
        return found

    @property
    def compiled(self) -> steps.Journey:
        """The journey that is played.

        Raises:
            CheckFailed: ``config``: these settings were not read from a file.
        """
        if self.playable is None:
            text = f"want the journey {short(self.journey)} of a probe file, got none"
            raise CheckFailed(Reason.CONFIG, text)
        return self.playable

    @property
    def default_every_s(self) -> float | None:
        return DEFAULT_EVERY_S

    @property
    def cleanup_s(self) -> float:
        compiled = self.playable
        if compiled is not None and self._script is not None:
            return compiled.cleanup_timeout_s + BEYOND_S + RECORD_S
        if compiled is None or not compiled.cleanup:
            return RECORD_S
        return compiled.cleanup_timeout_s + RECORD_S

    @property
    def series_limit(self) -> int | None:
        if self._script is not None:
            count = len(self._script.names) or MAX_STEPS
        else:
            count = len(list(_named(self.playable))) if self.playable is not None else 0
        return SERIES + SERIES_PER_STEP * count

    def advice(self, target: str) -> Iterable[str]:  # noqa: ARG002 - of the interface
        compiled = self.playable
        if compiled is None or not self.think_in_probes:
            return
        pauses = sum(step.high_s for step in _flat(compiled) if isinstance(step, steps.ThinkStep))
        if not pauses:
            yield "think_in_probes: the journey has no think step"
        elif pauses >= compiled.timeout_s:
            yield (
                f"think_in_probes: the pauses alone may take {pauses:g} s of the "
                f"{compiled.timeout_s:g} s of the journey"
            )

    def prepare(self, target: str) -> None:
        compiled = self.playable
        if compiled is None:
            return
        asking = [s for s in _flat(compiled) if isinstance(s, steps.HttpStep | steps.SocketStep)]
        written = (target, compiled.base_url, *(step.url.source for step in asking))
        if any(text.startswith(("https:", "wss:")) for text in written):
            self._options.prepare()
        if any(isinstance(step, steps.SocketStep) for step in asking):
            load_library()
        for name in {step.kind for step in _flat(compiled) if isinstance(step, steps.SqlStep)}:
            with suppress(ValueError):  # the run tells
                _database(name).prepare("")

    def first_memory(self, target: str, kept: Mapping[str, Any] | None) -> object:  # noqa: ARG002 - of the interface
        runs = kept.get("runs") if kept else None
        return runs if isinstance(runs, int) and runs >= 0 else 0

    def durable(self, memory: object) -> Mapping[str, Any] | None:
        return {"runs": memory} if isinstance(memory, int) else None

    @cached_property
    def _options(self) -> Options:
        """How servers are dialled: made once, a context of TLS costs 40 ms."""
        return Options(ip=self.ip, tls=self.compiled.tls, alpn=HTTP1_ALPN, follow_redirects=False)

    async def run(self, target: str, recorder: Recorder) -> None:
        journey = self.compiled
        scope = Scope(
            run_id=recorder.run_id,
            iteration=_count(recorder),
            random=chance(None, 0),
            now=lambda: datetime.now(UTC),
            environ=os.environ,
        )
        context = Context(
            scope,
            monotonic,
            base_url=target,
            timeout_s=recorder.remaining(get_running_loop().time()) - self.cleanup_s,
            thinks=self.think_in_probes,
            seed=scope.random.getrandbits(32),
        )
        frame = Frame(self.name, self.display_target(target), scope.now(), scope.run_id)
        hidden: set[str] = set()

        def note(played: Played) -> None:
            for text in hidden:
                recorder.hide(text)
            record(played, recorder, frame)

        def salvage(played: Played) -> None:
            note(played)
            # nobody gets the Result of a run that is cut off: what it leaves behind is told here
            redact = Redactor((*self.secrets(target), *recorder.secrets))
            for failure in untidy(played):
                log.warning("the journey %s was stopped: %s", journey.name, redact(failure.message))

        if self._script is not None:
            played = await play_script(self._script, context, self._options, salvage)
        else:
            async with Driver(self._options, _ask) as driver:
                hidden = driver.hidden
                played = await drive(play(journey, context), driver, context.stop, salvage)
        note(played)
        failure = verdict(played)
        if failure is not None:
            raise failure


def _flat(journey: steps.Journey) -> Iterator[steps.Step]:
    """Yield every step of all parts, those of rounds too."""
    waiting = [*journey.setup, *journey.steps, *journey.cleanup]
    while waiting:
        step = waiting.pop()
        yield step
        if isinstance(step, steps.RepeatStep):
            waiting += step.steps


def _named(journey: steps.Journey) -> Iterator[str]:
    return (step.common.name for step in _flat(journey) if step.common.name)


def _count(recorder: Recorder) -> int:
    """Return the number of this run, and count it: a row of data is not dealt twice."""
    keep = recorder.keep
    if keep is None:
        return 0
    number = keep.memory if isinstance(keep.memory, int) else 0
    keep.memory = number + 1
    return number


async def _ask(query: Query, recorder: Recorder) -> tuple[Mapping[str, Any], ...]:
    """Ask a database through the kind that speaks to it.

    Raises:
        CheckFailed: as that kind does; ``config``: no such kind, or one that answers no queries.
    """
    try:
        asked = _database(query.kind)
        asked.check_target(query.target)
    except ValueError as error:
        raise CheckFailed(Reason.CONFIG, str(error)) from None
    return await asked.rows(
        query.target, query.query, query.parameters, recorder, max_rows=query.max_rows
    )


def _database(name: str) -> Kind:
    kind = find_kind(name)
    if not kind.answers_queries:
        raise ValueError(f"want a kind that answers queries such as postgres, got {name}")
    return kind()
