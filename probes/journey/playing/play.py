"""The interpreter: a journey as a generator of effects; whoever drives it answers each.

    played = drive(play(journey, context))

        Request ──>          asks once, follows nothing, keeps no cookie
                <── Response
        ...
                ──> Played   every named step, what failed, what was said

It never raises, whatever the answers hold: a bad URL out of an answer is a failed step. A failed
step skips the rest of its part and of the journey; the clean-up runs all the same, in a time of its
own, each of its steps even when the one before failed. Knows no loop, no socket and no clock but
the one that it is given.
"""

from collections.abc import Generator, Iterator
from typing import Any

from probes.errors import CheckFailed
from probes.journey.language.expression import Unset
from probes.journey.model import Answer, Effect, Part, Pause, Played
from probes.journey.playing.exchange import http
from probes.journey.playing.reads import reads_of
from probes.journey.playing.stage import Context, Stage
from probes.journey.playing.talk import socket, sql
from probes.journey.playing.tally import Tally
from probes.journey.steps import (
    HttpStep,
    Journey,
    LogStep,
    RepeatStep,
    SocketStep,
    SqlStep,
    Step,
    ThinkStep,
    WaitStep,
)
from probes.result import Failure, Reason
from probes.units import format_duration, short

# load.md 2.3: the file is judged by it; so is a list out of an answer.
MAX_ROUNDS = 1000

Play = Generator[Effect, Answer, Played]
Steps = Generator[Effect, Answer, None]

__all__ = ["Context", "play"]


def play(journey: Journey, context: Context) -> Play:
    """Play *journey* once: yield what is to be done, be sent what came, return what became of it.

    Args:
        journey: compiled.
        context: of this play alone.
    """
    stage = Stage(journey, context)
    failure = _prepare(stage)
    if failure is None:
        failure = yield from _main(stage)
        if Part.CLEANUP in context.parts:
            yield from _clean_up(stage)
    return stage.played(failure)


def _prepare(stage: Stage) -> Failure | None:
    try:
        stage.prepare()
    except CheckFailed as error:
        return Failure(error.reason, error.message)
    except (Unset, ValueError) as error:
        return stage.blame(error, ())
    return None


def _main(stage: Stage) -> Generator[Effect, Answer, Failure | None]:
    timeout_s = stage.journey.timeout_s
    if stage.context.timeout_s is not None:
        timeout_s = min(timeout_s, stage.context.timeout_s)
    stage.begin(timeout_s, "all steps")
    try:
        for part in (Part.SETUP, Part.STEPS):
            if part in stage.context.parts:
                stage.part = part
                for step in stage.journey.part(part):
                    yield from _step(stage, step)
    except CheckFailed as error:
        return Failure(error.reason, error.message, error.phase)
    return None


def _clean_up(stage: Stage) -> Steps:
    stage.part = Part.CLEANUP
    stage.begin(stage.journey.cleanup_timeout_s, "all of the clean-up")
    for step in stage.journey.cleanup:
        try:
            yield from _step(stage, step)
        except CheckFailed as error:
            name = step.common.name or "clean-up"
            stage.warn(Failure(error.reason, f"step {name}: {error.message}", name))


def _step(stage: Stage, step: Step) -> Steps:
    """Play one step, named or not.

    Raises:
        CheckFailed: it failed.
    """
    if stage.is_left_out(step):
        return
    tally = stage.tally(step.common.name) if step.common.name else None
    started = stage.clock()
    try:
        if step.common.condition is None or step.common.condition.holds(stage.scope):
            stage.count(tally)
            yield from _action(stage, step, tally)
    except CheckFailed as error:
        _failed(stage, tally, Failure(error.reason, error.message, error.phase))
        raise
    except (Unset, ValueError) as error:
        if not _has_nothing_to_tidy(stage, tally, error):
            failure = stage.blame(error, reads_of(step))
            _failed(stage, tally, failure)
            raise CheckFailed(failure.reason, failure.message) from None
    finally:
        if tally is not None:
            tally.close(stage.clock() - started)


def _action(stage: Stage, step: Step, tally: Tally | None) -> Steps:
    if tally is not None:
        if isinstance(step, HttpStep):
            return http(stage, step, tally)
        if isinstance(step, SocketStep):
            return socket(stage, step, tally)
        if isinstance(step, SqlStep):
            return sql(stage, step, tally)
    return _other(stage, step)


def _other(stage: Stage, step: Step) -> Steps:
    match step:
        case RepeatStep():
            yield from _repeat(stage, step)
        case WaitStep():
            yield from _wait(stage, step.seconds)
        case ThinkStep():
            if stage.context.is_load or stage.context.thinks:
                seconds = stage.scope.random.uniform(step.low_s, step.high_s)
                yield Pause(min(seconds, stage.left()), is_thinking=True)
        case LogStep():
            where = ".".join(map(str, step.common.where))
            stage.log(step.common.name or f"log {where}".rstrip(), step.text.text(stage.scope))
        case _:
            raise CheckFailed(Reason.CONFIG, "want a name for every step that asks, got none")


def _wait(stage: Stage, seconds: float) -> Steps:
    left = stage.allowed(float("inf"))
    yield Pause(min(seconds, left))
    if seconds > left:
        text = f"want {format_duration(left)} or less to wait for, got {format_duration(seconds)}"
        raise CheckFailed(Reason.TIMEOUT, text)


def _failed(stage: Stage, tally: Tally | None, failure: Failure) -> None:
    if tally is not None:
        stage.tell(tally, failure)
        tally.failure = failure
        stage.prove(tally)


def _has_nothing_to_tidy(
    stage: Stage, tally: Tally | None, error: LookupError | ValueError
) -> bool:
    """Tell whether a clean-up is of something that was never made: it is skipped without a word."""
    if stage.part is not Part.CLEANUP or not isinstance(error, Unset):
        return False
    if tally is not None:
        if tally.is_pending or tally.request is not None:
            return False
        tally.rounds = max(0, tally.rounds - 1)
    return True


# --- repeat


def _repeat(stage: Stage, step: RepeatStep) -> Steps:
    values = stage.scope.values
    kept = {name: values[name] for name in _LOOP if name in values}
    try:
        for index, item in enumerate(_rounds(stage, step)):
            if step.over is not None:
                values["item"] = item
            if step.over is not None or step.times != 1:
                values["index"] = index
            else:
                values.setdefault("index", index)
            for inner in step.steps:
                yield from _step(stage, inner)
    finally:
        for name in _LOOP:
            values.pop(name, None)
        values.update(kept)


_LOOP = ("item", "index")


def _rounds(stage: Stage, step: RepeatStep) -> Iterator[Any]:
    if step.over is None:
        return iter(range(step.times or 0))
    items = step.over.value(stage.scope)
    if not isinstance(items, list):
        raise ValueError(f"want a list to go through, got {short(items)}")
    if len(items) > MAX_ROUNDS:
        raise ValueError(f"want at most {MAX_ROUNDS} rounds, got {len(items)}")
    return iter(items)
