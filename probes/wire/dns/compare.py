"""Whether several name servers say the same: one question, asked of all of them at once.

Knows no settings; what the first server said is given.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.dns.answer import Answer
from probes.wire.dns.exchange import PORTS, Server, Way
from probes.wire.dns.question import Question
from probes.wire.url import split_host_port

PHASE = "compare"
Aspect = Literal["answer", "serial"]


@dataclass(frozen=True, slots=True)
class Said:
    """What one of the servers said, or why it said nothing."""

    server: str
    answer: Answer | None = None
    failure: CheckFailed | None = None


async def compare(
    servers: Sequence[str],
    aspect: Aspect,
    question: Question,
    first: Answer,
    way: Way,
    recorder: Recorder,
) -> None:
    """Ask *servers* what was answered by *first*, and judge whether all say the same.

    Args:
        servers: ``host``, ``host:port`` or IPv6 addresses.
        aspect: of the answers: code and records whatever their order and TTL, or the serial.
        question: that was asked.
        first: the answer of the target.
        way: to each of them.
        recorder: gets phase ``compare``, a fact per server, ``dns_servers_differing``.

    Raises:
        CheckFailed: ``body``: some say something else; the reason of one that says nothing.
    """
    recorder.enter(PHASE)
    same = 0
    others: list[Said] = []
    tasks = [
        asyncio.ensure_future(_ask(server, question, way, recorder.deadline)) for server in servers
    ]
    try:
        for done in asyncio.as_completed(tasks):
            said = await done
            recorder.fact(f"server {said.server}", _told(said))
            if said.answer is not None and _sense(said.answer, aspect) == _sense(first, aspect):
                same += 1
            else:
                others.append(said)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        recorder.sample("dns_servers_differing", len(servers) - same)
    if others:
        raise _verdict(others, aspect, len(servers) + 1)
    recorder.leave()


async def _ask(server: str, question: Question, way: Way, deadline: float) -> Said:
    inner = Recorder(deadline)
    host, port = split_host_port(server, PORTS[way.transport])
    try:
        return Said(server, answer=await Server(host, port, way).ask(question, inner))
    except CheckFailed as failure:
        return Said(server, failure=failure)


def _sense(answer: Answer, aspect: Aspect) -> object:
    return answer.serial if aspect == "serial" else (answer.rcode, answer.sense)


def _told(said: Said) -> str:
    if said.answer is None:
        return said.failure.message if said.failure else ""
    answer = said.answer
    records = "; ".join(sorted(record.rdata for record in answer.answer[:8]))
    return f"{answer.code}: {records}" if records else answer.code


def _verdict(others: Sequence[Said], aspect: Aspect, count: int) -> CheckFailed:
    differing = sorted(said.server for said in others if said.answer is not None)
    if differing:
        return CheckFailed(
            Reason.BODY,
            f"want the same {aspect} from {count} servers, got another from {_named(differing)}",
            phase=PHASE,
        )
    said = min(others, key=lambda one: one.server)
    reason, why = Reason.PROTOCOL, ""
    if said.failure is not None:
        reason, why = said.failure.reason, said.failure.message
    return CheckFailed(reason, f"want an answer of {said.server}: {why}", phase=PHASE)


def _named(servers: Sequence[str]) -> str:
    shown = ", ".join(servers[:5])
    more = len(servers) - 5
    return short(shown + (f" and {more} more" if more > 0 else ""), 160)
