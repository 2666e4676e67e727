"""Kind dns beside the real blackbox_exporter: one server, the same settings, the same numbers."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from probes.kinds.dns import Dns
from probes.wire.dns.message import decode
from probes.wire.dns.question import Question
from tests.faults.dns_peer import Respond, dns_peer
from tests.harness import Check
from tests.probes.wire.dns.made import answer_to
from tests.servers.process import Server
from tests.servers.prometheus import start_blackbox_exporter

pytestmark = [pytest.mark.service, pytest.mark.asyncio(loop_factories=["asyncio"])]

WWW = ("x.example. 300 IN A 192.0.2.1", "x.example. 60 IN A 192.0.2.2")
SOA = "x.example. 300 IN SOA ns.example. mail.example. 2026112201 1 2 3 4"
# Of what is no answer over udp one waits for the next.
TIMEOUT_S = 0.3
TIMES = ("probe_duration_seconds", "probe_dns_lookup_time_seconds")
# Every form that our text of a record must have; what differs is told in the documentation.
RECORDS = (
    'TXT "a b" "c\\"d;e\\200"', "DS 1 13 2 " + "ab" * 32, "DNSKEY 257 3 13 " + "A" * 88,
    'CAA 0 issue "letsencrypt.org; x=y"', 'HINFO "a b" "c"', "SVCB 1 . alpn=h2,h3 port=53",
    "HTTPS 1 foo.example. alpn=h2", "TLSA 3 1 1 " + "ab" * 32, "SSHFP 1 1 " + "ab" * 20,
    "NSEC b.example. A NS TYPE1234", "NSEC3 1 0 5 abcd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
    'NAPTR 10 10 "S" "SIP+D2U" "!^.*$!sip:a@b!" _sip._udp.example.', "AAAA 2001:db8::",
    "LOC 42 1 54 N 71 6 18 W -24m 30m", r"TYPE65000 \# 4 abcd0102", "SRV 1 2 3 X.example.",
    "RRSIG A 13 2 300 20301010000000 20201010000000 1234 example. " + "A" * 88,
    "SOA ns. mbox.x. 4294967295 1 2 3 4", 'URI 10 1 "ftp://x"', "MX 10 mail.example.",
    "CERT 1 2 3 " + "A" * 88, "CDS 0 0 0 00", "CSYNC 66 3 A NS AAAA", "NSEC3PARAM 1 0 0 -",
)  # fmt: skip


def number(query: bytes) -> int:
    return int.from_bytes(query[:2], "big")


def with_opt(query: bytes) -> list[bytes]:
    answer = answer_to(query, *WWW)
    return [answer[:10] + b"\0\1" + answer[12:] + b"\0\0\x29\x10\0\0\0\0\0\0\0"]


CASES: dict[str, Respond] = {
    "answers": lambda q: [answer_to(q, *WWW, authority=[SOA], additional=WWW)],
    "serials": lambda q: [answer_to(q, SOA, SOA.replace("2201", "2209"))],
    "no such name": lambda q: [answer_to(q, rcode="NXDOMAIN")],
    "a code without a name": lambda q: [q[:2] + b"\x81\x8c" + q[4:]],
    "cut off": lambda q: [answer_to(q, flags="TC")],
    "another id before": lambda q: [answer_to(q, number=number(q) ^ 1), answer_to(q, *WWW)],
    "no question": lambda q: [q[:2] + b"\x81\x80" + b"\0" * 8],
    "garbage": lambda q: [q[:2] + b"\xff" * 30],
    "a byte": lambda _: [b"x"],
    "EDNS": with_opt,
    "more than a message": lambda q: [answer_to(q, *WWW) + b"xx"],
}


def settings(kind: str) -> dict[str, Any]:
    return {"query_name": "x.example", "query_type": kind}


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    modules: dict[str, Any] = {}
    for transport in ("udp", "tcp"):
        for kind in ("A", "SOA"):
            modules[f"{transport}_{kind}"] = _module(settings(kind), transport)
    for at, line in enumerate(RECORDS):
        text = decode(answer_to(Question("x.example", 1).encode(1), f"x.example. 9 IN {line}"))
        pattern = rf"^\Q{text.answer[0].text}\E$"
        modules[f"record_{at}"] = _module(
            settings("A") | {"validate_answer_rrs": {"fail_if_not_matches_regexp": [pattern]}},
            "udp",
        )
    directory = tmp_path_factory.mktemp("blackbox")
    server = start_blackbox_exporter(directory, json.dumps({"modules": modules}))
    yield server
    server.stop()


def _module(keys: dict[str, Any], transport: str) -> dict[str, Any]:
    keys |= {"transport_protocol": transport, "preferred_ip_protocol": "ip4"}
    return {"prober": "dns", "timeout": "2s", "dns": keys}


async def ask(exporter: Server, module: str, port: int) -> dict[str, float]:
    """Return what the real one says of a name server of ours."""
    reader, writer = await asyncio.open_connection("127.0.0.1", exporter.port)
    path = f"/probe?module={module}&target=127.0.0.1:{port}"
    writer.write(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    page = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return {found[1]: float(found[2]) for found in re.finditer(r"(?m)^(probe_\w+) (\S+)$", page)}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("case", CASES)
async def test_the_numbers_are_those_of_blackbox_exporter(
    check: Check, exporter: Server, case: str, transport: str
) -> None:
    kind = "SOA" if case == "serials" else "A"
    probe = Dns.model_validate(
        settings(kind) | {"transport": transport, "ip": "prefer_4"},
        context={"dialect": "blackbox"},
    )
    async with dns_peer(CASES[case]) as port:
        theirs = await ask(exporter, f"{transport}_{kind}", port)
        result = await check(probe, f"127.0.0.1:{port}", TIMEOUT_S)

    ours = {f"probe_{sample.name}": sample.value for sample in result.samples}
    ours["probe_success"] = float(result.ok)
    compared = {name: value for name, value in ours.items() if name not in TIMES}
    for name in ("probe_dns_answer_bytes", "probe_dns_truncated"):
        compared.pop(name, None)
    assert {name: value for name, value in theirs.items() if name not in TIMES} == compared


@pytest.mark.parametrize("at", range(len(RECORDS)), ids=[line.split()[0] for line in RECORDS])
async def test_the_text_of_a_record_is_that_of_blackbox_exporter(exporter: Server, at: int) -> None:
    async with dns_peer(lambda q: [answer_to(q, f"x.example. 9 IN {RECORDS[at]}")]) as port:
        theirs = await ask(exporter, f"record_{at}", port)

    assert theirs["probe_success"] == 1
