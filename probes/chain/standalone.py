"""A run that stands alone, as of a gate: two samples, so that "the head advances" is proven.

Knows no settings and no recorder's readers.
"""

import asyncio
from dataclasses import replace

from probes.chain.course import Course, Sample
from probes.chain.judge.advance import advanced, judge_advance
from probes.chain.memory import Memory
from probes.chain.visit import Setup
from probes.recorder import Recorder


async def two_samples(
    course: Course, setup: Setup, recorder: Recorder, *, ends: float, settle_s: float
) -> Sample:
    """Take one sample, wait, and take another; one is all when nobody answers or time is short.

    Args:
        course: of the group.
        setup: of the group.
        recorder: of the run; its deadline is that of both.
        ends: time of the loop by which the first must be done.
        settle_s: seconds between them; 0: one is enough.
    """
    first = await course.sample(Memory(), ends, everything=True)
    left_s = recorder.remaining(asyncio.get_running_loop().time())
    nobody = all(verdict.height is None for verdict in first.judgement.endpoints)
    if nobody or not settle_s or left_s < settle_s + setup.call_timeout_s:
        return first
    recorder.enter("settle")
    await asyncio.sleep(settle_s)
    second = await course.sample(first.memory, recorder.deadline)
    waited_s = second.now.mono - first.now.mono
    for name, blocks in advanced(first.judgement, second.judgement).items():
        second.visits[name].recorder.fact("advanced", f"{blocks} blocks in {waited_s:.1f} s")
    judgement = judge_advance(setup.group, first.judgement, second.judgement, waited_s)
    return replace(second, judgement=judgement)
