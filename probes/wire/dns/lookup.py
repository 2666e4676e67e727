"""The addresses of a name, asked of a name server of one's own choice, over any transport.

For probes that trust only such a server: what it says is not kept, so nothing outlives its TTL. The
server is as trusted as the file that names it; what it answers is judged by whoever dials. Knows no
target.
"""

import asyncio

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.address import IpChoice
from probes.wire.dns.answer import Answer
from probes.wire.dns.codes import AAAA, CNAME, A
from probes.wire.dns.exchange import PORTS, Server, Way
from probes.wire.dns.question import Question
from probes.wire.policy import POLICY, Policy
from probes.wire.url import split_host_port

# reliability.md 4
MAX_ADDRESSES = 16
MAX_ALIASES = 8

_NXDOMAIN, _NOERROR = 3, 0
_TYPES: dict[IpChoice, tuple[int, ...]] = {"4": (A,), "6": (AAAA,)}
_BOTH = (AAAA, A)


async def look_up(
    name: str, server: str, way: Way, *, ip: IpChoice, deadline: float
) -> tuple[str, ...]:
    """Return the addresses of *name*: at most `MAX_ADDRESSES`, IPv6 first, in the server's order.

    Both families are asked for at the same time, each over a connection of its own. Its phases are
    nobody's: the caller times the whole as ``resolve``.

    Args:
        name: canonical, no address itself.
        server: ``host``, ``host:port`` or an IPv6 address; a name is resolved by the system.
        way: to the server; ``Way(transport="tls", tls=TlsOptions(...))``.
        ip: of which family addresses are wanted.
        deadline: of the run, on the clock of the loop.

    Raises:
        CheckFailed: ``dns_nxdomain``, ``dns_no_address``, ``dns_servfail``, ``dns_timeout``; a
            server that cannot be reached or verified keeps its own reason. All in phase
            ``resolve``.
    """
    types = _TYPES.get(ip, _BOTH)
    try:
        host, port = split_host_port(server, PORTS[way.transport])
    except ValueError as error:
        raise CheckFailed(Reason.CONFIG, str(error), phase="resolve") from None
    # nobody from outside has a say in whom we ask
    with POLICY.set(Policy()):
        tasks = [
            asyncio.ensure_future(_ask(Server(host, port, way), name, kind, deadline))
            for kind in types
        ]
    try:
        answers = await asyncio.gather(*tasks)
    except CheckFailed as failure:
        raise _of_the_server(failure, server) from None
    finally:
        for task in tasks:
            task.cancel()
        # what was cancelled lets go of its sockets before anybody goes on
        await asyncio.gather(*tasks, return_exceptions=True)
    found = [text for answer in answers for text in _addresses(answer, name)]
    if not found:
        raise _without_address(name, answers)
    return tuple(found[:MAX_ADDRESSES])


async def _ask(server: Server, name: str, kind: int, deadline: float) -> Answer:
    return await server.ask(Question(name, kind), Recorder(deadline))


def _of_the_server(failure: CheckFailed, server: str) -> CheckFailed:
    reason = Reason.DNS_TIMEOUT if failure.reason is Reason.TIMEOUT else failure.reason
    if reason is Reason.PROTOCOL or reason is Reason.STATUS:
        reason = Reason.DNS_SERVFAIL
    message = f"want an answer of the name server {short(server)}: {failure.message}"
    return CheckFailed(reason, message, phase="resolve")


def _without_address(name: str, answers: list[Answer]) -> CheckFailed:
    codes = [answer.rcode for answer in answers]
    wanted = f"want an address of {short(name)}"
    if _NXDOMAIN in codes:
        return CheckFailed(
            Reason.DNS_NXDOMAIN, f"{wanted}, got NXDOMAIN: no such name", phase="resolve"
        )
    failed = next((answer for answer in answers if answer.rcode != _NOERROR), None)
    if failed is not None:
        return CheckFailed(Reason.DNS_SERVFAIL, f"{wanted}, got {failed.code}", phase="resolve")
    return CheckFailed(Reason.DNS_NO_ADDRESS, f"{wanted}, got none", phase="resolve")


def _addresses(answer: Answer, name: str) -> list[str]:
    """Return the addresses that *answer* has for *name* itself, along its aliases."""
    owner = f"{name.rstrip('.')}.".lower()
    aliases = {r.name.lower(): r.rdata.lower() for r in answer.answer if r.type == CNAME}
    for _ in range(MAX_ALIASES):
        owner = aliases.get(owner, owner)
    return [
        record.rdata
        for record in answer.answer
        if record.type in _BOTH and record.name.lower() == owner
    ]
