"""Kind dns: one question, one answer, and what is wrong with it."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from probes.kinds.dns import Dns
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from probes.wire.dns.exchange import MEDIA_TYPE
from tests.faults.dns_peer import Respond, dns_peer
from tests.faults.tcp import (
    Handler,
    closed_port,
    closing,
    dripping,
    silent,
    talking,
    tcp_fault,
)
from tests.harness import Check, Law
from tests.probes.wire.dns.made import answer_to
from tests.probes.wire.dns.zone import Zone

WWW = ("www.example. 300 IN A 192.0.2.1", "www.example. 60 IN A 192.0.2.2")
SOA = "example. 300 IN SOA ns.example. mail.example. 2026112201 1 2 3 4"


def kind(dialect: str = "", **keys: Any) -> Dns:
    context = {"dialect": dialect} if dialect else None
    return Dns.model_validate({"query_name": "www.example", **keys}, context=context)


def blackbox(**keys: Any) -> Dns:
    return kind("blackbox", **keys)


LAW = Law(
    kind=kind(transport="tcp"),
    target="{host}:{port}",
    secret=lambda canary: kind(transport="tls", tls={"cert": "x", "key": Secret(canary)}),
)


def replying(*lines: str, **how: Any) -> Respond:
    return lambda query: [answer_to(query, *lines, **how)]


async def look(
    check: Check, probe: Dns, respond: Respond, *, timeout_s: float = 5, unknown: bool = False
) -> Result:
    async with dns_peer(respond) as port:
        return await check(probe, f"127.0.0.1:{port}", timeout_s, unknown=unknown)


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def verdict(result: Result) -> tuple[Reason, str | None, str] | None:
    failure = result.failure
    return (failure.reason, failure.phase, failure.message) if failure else None


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_an_answer_is_counted_and_told(check: Check, transport: str) -> None:
    respond = replying(*WWW, authority=["example. 9 IN NS ns.example."], flags="AA")

    result = await look(check, kind(transport=transport), respond)

    assert result.outcome is Outcome.UP, result.failure
    assert [phase.name for phase in result.phases] == ["resolve", "connect", "request"]
    measured = values(result)
    assert measured.pop("dns_answer_bytes") > 60
    assert measured == {
        "dns_lookup_time_seconds": 0, "ip_protocol": 4, "ip_addr_hash": 3668918509,
        "dns_answer_rrs": 2, "dns_authority_rrs": 1, "dns_additional_rrs": 0,
        "dns_query_succeeded": 1, "dns_truncated": 0,
    }  # fmt: skip
    assert result.facts["flags"] == "qr aa rd ra"
    assert result.facts["answer"].startswith("www.example. 300 IN A 192.0.2.1; www.example. 60 ")


async def test_the_question_is_the_one_that_was_written(check: Check) -> None:
    asked: list[bytes] = []

    def respond(query: bytes) -> list[bytes]:
        asked.append(query)
        return [answer_to(query)]

    await look(check, kind(query_type="TYPE65280", query_class="CH", recursion=False), respond)
    await look(check, blackbox(), respond)
    edns = {"payload": 4096, "dnssec": True}
    await look(check, kind(query_name="www.example.", query_type="MX", edns=edns), respond)

    name = b"\x03www\x07example\0"
    assert asked[0][2:] == b"\0\0\0\1\0\0\0\0\0\0" + name + b"\xff\0\0\3"
    assert asked[1][2:] == b"\1\0\0\1\0\0\0\0\0\0" + name + b"\0\xff\0\1"
    opt = b"\0\0\x29\x10\0\0\0\x80\0\0\0"
    assert asked[2][2:] == b"\1\0\0\1\0\0\0\0\0\1" + name + b"\0\x0f\0\1" + opt
    assert len({query[:2] for query in asked}) > 1


async def test_a_bad_code_is_a_status_and_still_an_answer(check: Check) -> None:
    result = await look(check, kind(), replying(rcode="NXDOMAIN", authority=[SOA]))
    fine = await look(check, kind(expect={"rcode": ["NXDOMAIN"]}), replying(rcode="NXDOMAIN"))

    assert verdict(result) == (Reason.STATUS, "request", "want NOERROR, got NXDOMAIN")
    assert values(result)["dns_query_succeeded"] == 1
    assert values(result)["dns_authority_rrs"] == 1
    assert fine.outcome is Outcome.UP


async def test_a_serial_is_measured_for_questions_about_it(check: Check) -> None:
    soa = kind(query_type="SOA", expect={"serial": {"gte": 2026112201}})

    right = await look(check, soa, replying(SOA))
    old = await look(check, soa, replying(SOA.replace("2201", "2101")))
    none = await look(check, soa, replying())

    assert right.outcome is Outcome.UP, right.failure
    assert values(right)["dns_serial"] == 2026112201
    assert verdict(old) == (
        Reason.VALUE, "request", "serial: want >= 2026112201, got 2026112101",
    )  # fmt: skip
    assert values(none)["dns_serial"] == 0
    assert none.failure is not None
    assert none.failure.reason is Reason.VALUE


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        pytest.param({"aa": True}, "want the flag aa set, got it not set", id="not authoritative"),
        pytest.param({"ra": False}, "want the flag ra not set, got it set", id="recursive"),
    ],
)
async def test_flags_are_judged(check: Check, expect: dict[str, bool], message: str) -> None:
    result = await look(check, kind(expect={"flags": expect}), replying(*WWW))

    assert verdict(result) == (Reason.VALUE, "request", message)


async def test_records_are_judged_in_their_text(check: Check) -> None:
    expect = {
        "answer": {"every": [r"^www\.example\.\t[0-9]+\tIN\tA\t192"], "min": 2, "forbid": ["^x"]},
        "authority": {"max": 0},
    }

    fine = await look(check, kind(expect=expect), replying(*WWW))
    short = await look(check, kind(expect=expect), replying(WWW[0]))

    assert fine.outcome is Outcome.UP, fine.failure
    assert verdict(short) == (
        Reason.BODY, "request", "want at least 2 records in the answer section, got 1",
    )  # fmt: skip


async def test_an_answer_that_is_cut_off_is_told_and_not_asked_for_again(check: Check) -> None:
    asked: list[bytes] = []

    def respond(query: bytes) -> list[bytes]:
        asked.append(query)
        return [answer_to(query, flags="TC")]

    result = await look(check, kind(), respond)
    strict = await look(check, kind(expect={"flags": {"tc": False}}), respond)

    assert result.outcome is Outcome.UP
    assert values(result)["dns_truncated"] == 1
    assert "cut off" in result.facts["truncated"]
    assert strict.outcome is Outcome.DOWN
    assert len(asked) == 2


async def test_what_validating_needs_is_asked_for_again_over_tcp(check: Check) -> None:
    """The keys of the root do not fit while a new one comes; the question stays as it is."""
    zone = Zone()
    zone.has("www.example. A", ["www.example. 60 IN A 192.0.2.1"])

    def whole(query: bytes) -> list[bytes]:
        return [zone.respond(query)]

    def cut(query: bytes) -> list[bytes]:
        is_for_keys = query[12:20] == b"\x07example"
        return [answer_to(query, flags="TC")] if is_for_keys else whole(query)

    probe = kind(dnssec={"by": "sonde", "anchors": [zone.anchor]})
    async with dns_peer(cut, streams=whole) as port:
        result = await check(probe, f"127.0.0.1:{port}")
    async with dns_peer(lambda query: [answer_to(query, flags="TC")], streams=whole) as port:
        first = await check(probe, f"127.0.0.1:{port}")

    assert result.outcome is Outcome.UP, result.failure
    assert result.facts["validated"] == "example."
    assert verdict(first) == (
        Reason.BODY,
        "validate",
        "want a whole answer to validate, got one that was cut off: try transport tcp",
    )


# --- hostile and broken servers


async def test_datagrams_of_others_are_ignored(check: Check) -> None:
    def respond(query: bytes) -> list[bytes]:
        number = int.from_bytes(query[:2], "big") ^ 1
        other = answer_to(query).replace(b"\x03www", b"\x03wwx")
        return [b"x", answer_to(query, number=number), other, answer_to(query, *WWW)]

    result = await look(check, kind(), respond)

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["dns_answer_rrs"] == 2
    assert result.facts["ignored"].startswith("3 datagrams")


async def test_only_spoofed_answers_are_no_answer(check: Check) -> None:
    def respond(query: bytes) -> list[bytes]:
        return [answer_to(query, number=int.from_bytes(query[:2], "big") ^ 1)] * 50

    result = await look(check, kind(), respond, timeout_s=0.1)

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "request")
    assert result.facts["ignored"].startswith("50 datagrams")
    assert values(result)["dns_query_succeeded"] == 0


POINTER_LOOP = b"\xc0\x1d\0\1\0\1\0\0\0\1\0\4\1\2\3\4"


def head(query: bytes, answers: int, body: bytes) -> bytes:
    return query[:2] + b"\x81\x80\0\1" + answers.to_bytes(2, "big") + b"\0" * 4 + query[12:] + body


@pytest.mark.parametrize(
    ("respond", "reason", "message"),
    [
        pytest.param(
            lambda q: [q], Reason.PROTOCOL, "want a DNS answer, got a question", id="echo"
        ),
        pytest.param(
            lambda q: [q[:2] + b"\xa8\0" + q[4:]],
            Reason.PROTOCOL,
            "want a DNS answer, got a message with opcode 5",
            id="opcode",
        ),
        pytest.param(
            lambda q: [answer_to(q, number=int.from_bytes(q[:2], "big") ^ 1)],
            Reason.PROTOCOL,
            "want an answer with id ",
            id="another id",
        ),
        pytest.param(
            lambda q: [answer_to(q).replace(b"\x03www", b"\x03wwx")],
            Reason.PROTOCOL,
            "want an answer to www.example A, got one to another question",
            id="another question",
        ),
        pytest.param(
            lambda q: [head(q, 1, POINTER_LOOP)],
            Reason.PROTOCOL,
            "want an answer that can be read, got 'BadPointer: ",
            id="pointer to itself",
        ),
        pytest.param(
            lambda q: [head(q, 9, b"")],
            Reason.PROTOCOL,
            "want an answer that can be read, got 'FormError: ",
            id="fewer records than told",
        ),
        pytest.param(
            lambda _: [b""], Reason.PROTOCOL, "want a DNS answer, got 0 bytes", id="empty"
        ),
    ],
)
async def test_what_is_no_answer_is_a_protocol_error(
    check: Check, respond: Respond, reason: Reason, message: str
) -> None:
    result = await look(check, kind(transport="tcp"), respond)

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (reason, "request")
    assert result.failure.message.startswith(message)
    assert values(result)["dns_query_succeeded"] == 0


async def test_a_closed_port_is_told_by_icmp_over_udp(check: Check) -> None:
    result = await check(kind(), f"127.0.0.1:{closed_port()}")

    assert result.failure is not None
    assert result.failure.reason is Reason.REFUSED


async def test_an_answer_of_64_kib_is_read_and_judged(check: Check) -> None:
    many = [f"www.example. 1 IN A 10.0.{i // 250}.{i % 250}" for i in range(4000)]
    probe = kind(transport="tcp", expect={"answer": {"every": [r"\t10\.0\.", "A"], "min": 4000}})

    result = await look(check, probe, replying(*many))

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["dns_answer_rrs"] == 4000
    assert values(result)["dns_answer_bytes"] > 64_000


# --- over TLS


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        pytest.param({"server_name": "localhost"}, None, id="right name"),
        pytest.param({"server_name": "other.example"}, Reason.CERTIFICATE_NAME, id="wrong name"),
        pytest.param({"verify": False}, None, id="not verified"),
    ],
)
async def test_over_tls_the_server_is_verified(
    check: Check,
    server_context: ssl.SSLContext,
    ca_file: Path,
    tls: dict[str, Any],
    expected: Reason | None,
) -> None:
    probe = kind(transport="tls", tls={"ca_file": str(ca_file), **tls})
    async with dns_peer(replying(*WWW), context=server_context) as port:
        result = await check(probe, f"127.0.0.1:{port}")

    assert (result.failure.reason if result.failure else None) is expected
    names = {sample.name for sample in result.samples}
    assert {"probe_tls_verified", "tls_version_info", "ssl_earliest_cert_expiry"} <= names
    assert "tls_cipher_info" not in names
    if expected is None:
        assert [p.name for p in result.phases] == ["resolve", "connect", "tls", "request"]


# --- the dialect


@pytest.mark.parametrize(
    ("keys", "outcome", "reason", "succeeded"),
    [
        pytest.param(
            {"expect": {"rcode": ["NOERRORS"]}}, Outcome.DOWN, Reason.STATUS, 1, id="unknown code"
        ),
        pytest.param({"expect": {"rcode": []}}, Outcome.DOWN, Reason.STATUS, 1, id="no code"),
        pytest.param(
            {"expect": {"answer": {"forbid": ["("]}}}, Outcome.DOWN, Reason.BODY, 1, id="no pattern"
        ),
        pytest.param(
            {"expect": {"additional": {"forbid": ["("]}}}, Outcome.UP, None, 1, id="never tried"
        ),
        pytest.param(
            {"transport": "sctp"}, Outcome.UNKNOWN, Reason.CONFIG, 0, id="unknown transport"
        ),
        pytest.param({"source": "a/b"}, Outcome.UNKNOWN, Reason.CONFIG, 0, id="no source address"),
        pytest.param({"query_name": "a..b"}, Outcome.UNKNOWN, Reason.CONFIG, 0, id="no name"),
    ],
)
async def test_what_upstream_takes_at_load_fails_when_it_is_run(
    check: Check, keys: dict[str, Any], outcome: Outcome, reason: Reason | None, succeeded: int
) -> None:
    result = await look(check, blackbox(**keys), replying(*WWW), unknown=True)

    assert result.outcome is outcome
    assert (result.failure.reason if result.failure else None) is reason
    assert values(result)["dns_query_succeeded"] == succeeded


def test_without_a_section_the_dialect_asks_for_the_root() -> None:
    probe = Dns.model_validate({}, context={"dialect": "blackbox"})

    assert (probe.query_name, probe.query_type) == (".", "ANY")
    assert list(probe.advice("x"))


# --- settings


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param({"query_name": ""}, "want a query_name, got none", id="no name"),
        pytest.param({"query_name": "a..b"}, "want a name of a DNS zone", id="empty label"),
        pytest.param({"query_name": "ä.example"}, "want a name in ASCII", id="not ASCII"),
        pytest.param({"query_type": "AAAAA"}, "did you mean 'AAAA'", id="type"),
        pytest.param({"query_type": "a"}, "did you mean 'A'", id="type in small letters"),
        pytest.param({"query_class": "INN"}, "want one of IN, CS, CH", id="class"),
        pytest.param({"transport": "dot"}, "want one of udp, tcp, tls, https", id="transport"),
        pytest.param(
            {"query_class": "CH", "dnssec": "validated"}, "want class IN for a validated", id="CH"
        ),
        pytest.param({"transport": "quic"}, "does not speak DNS over QUIC", id="QUIC"),
        pytest.param({"tsig": {"name": "k"}}, "Extra inputs are not permitted", id="TSIG"),
        pytest.param({"source": "a/b"}, "want an address or an interface of", id="source"),
        pytest.param({"expect": {"rcode": ["NOEROR"]}}, "did you mean 'NOERROR'", id="code"),
        pytest.param({"expect": {"rcode": []}}, "want at least one rcode", id="no code"),
        pytest.param({"expect": {"answer": {"some": ["("]}}}, "want an RE2 pattern", id="pattern"),
        pytest.param({"expect": {"answer": {"min": 2, "max": 1}}}, "want min <= max", id="order"),
        pytest.param({"expect": {"serial": 1}}, "want query_type SOA for a serial", id="serial"),
        pytest.param({"path": "dns-query"}, "should match pattern", id="path"),
        pytest.param(
            {"expect": {"certificate": {"expires_in": "1d"}}}, "want transport tls", id="no TLS"
        ),
    ],
)
def test_wrong_settings_are_told(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        kind(**keys)


@pytest.mark.parametrize(
    "target", ["192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[::1]:53", "ns.example"]
)
def test_a_target_is_a_host_with_or_without_a_port(target: str) -> None:
    kind().check_target(target)


@pytest.mark.parametrize(
    ("transport", "target"),
    [
        pytest.param("udp", "dns://192.0.2.1", id="a scheme"),
        pytest.param("udp", "https://dns.example/dns-query", id="a URL over udp"),
        pytest.param("https", "http://dns.example/dns-query", id="plain HTTP"),
        pytest.param("https", "https://user:password@dns.example/", id="a password"),
    ],
)
def test_another_target_is_refused(transport: str, target: str) -> None:
    with pytest.raises(ValueError, match="want "):
        kind(transport=transport).check_target(target)


def test_a_copy_with_other_settings_asks_another_question() -> None:
    probe = kind(transport="tls")
    probe.prepare("x")
    first = probe._question

    other = probe.model_copy(update={"query_name": "other.example", "transport": "udp"})

    assert str(first) == "www.example A"
    assert str(other._question) == "other.example A"
    assert (probe._way.transport, other._way.transport) == ("tls", "udp")


def test_the_other_servers_are_targets_too() -> None:
    """`probe_policy` must know whom a probe of the file reaches."""
    probe = kind(servers=["192.0.2.2", "192.0.2.3:5353"])

    assert list(probe.named_targets("192.0.2.1")) == ["192.0.2.1", *probe.servers]


# --- over HTTPS


def http_answer(body: bytes, status: str = "200 OK", media: str = MEDIA_TYPE) -> Handler:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
    return talking(head.encode() + body)


def query() -> bytes:
    return kind(transport="https")._question.encode(0)


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        pytest.param(http_answer(answer_to(query(), *WWW)), None, id="an answer"),
        pytest.param(
            http_answer(b"no", "503 Busy"),
            (Reason.STATUS, "request", "want HTTP status 200, got 503"),
            id="status",
        ),
        pytest.param(
            http_answer(b"<p>", media="text/html"),
            (
                Reason.PROTOCOL,
                "request",
                "want content of type application/dns-message, got 'text/html'",
            ),
            id="a page",
        ),
        pytest.param(
            http_answer(b"x"),
            (Reason.PROTOCOL, "request", "want a DNS answer, got 1 bytes"),
            id="short",
        ),
        pytest.param(
            http_answer(b"x" * 70_000),
            (Reason.TOO_LARGE, "request", "want "),
            id="too large",
        ),
        pytest.param(
            closing, (Reason.CLOSED, "request", "want an HTTP answer, got the end"), id="closes"
        ),
        pytest.param(
            silent, (Reason.TIMEOUT, "request", "want an answer within 0.3 s, got none"),
            id="silent",
        ),
    ],
)  # fmt: skip
async def test_over_https_the_answer_is_a_body(
    check: Check,
    server_context: ssl.SSLContext,
    ca_file: Path,
    handler: Handler,
    expected: tuple[Reason, str, str] | None,
) -> None:
    probe = kind(transport="https", tls={"ca_file": str(ca_file)})
    async with tcp_fault(handler, context=server_context) as port:
        result = await check(probe, f"https://127.0.0.1:{port}/dns-query", 0.3)

    got = verdict(result)
    assert (got and got[:2]) == (expected and expected[:2])
    assert got is None or (expected is not None and got[2].startswith(expected[2]))
    assert values(result)["dns_query_succeeded"] == float(expected is None)


# --- deadlines


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_an_answer_that_drips_or_never_comes_is_a_timeout(
    check: Check, transport: str
) -> None:
    quiet = await look(check, kind(transport=transport), lambda _: [], timeout_s=0.1)
    async with tcp_fault(dripping(b"\x40\0" + b"x" * 100)) as port:
        drip = await check(kind(transport="tcp"), f"127.0.0.1:{port}", 0.1)

    for result in (quiet, drip):
        assert result.failure is not None
        assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "request")
        assert [(p.name, p.complete) for p in result.phases] == [
            ("resolve", True), ("connect", True), ("request", False),
        ]  # fmt: skip


async def test_a_silent_server_among_several_is_named_by_the_others(check: Check) -> None:
    async with dns_peer(lambda _: []) as mute, dns_peer(replying(*WWW)) as other:
        servers = [f"127.0.0.1:{mute}", f"127.0.0.1:{other}"]
        result = await look(check, kind(servers=servers), replying(*WWW), timeout_s=0.2)

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "compare")
    assert result.facts[f"server {servers[1]}"] == "NOERROR: 192.0.2.1; 192.0.2.2"
    assert values(result)["dns_servers_differing"] == 1


async def test_a_closed_server_among_several_keeps_its_reason(check: Check) -> None:
    port = closed_port()
    probe = kind(transport="tcp", servers=[f"127.0.0.1:{port}"])

    result = await look(check, probe, replying(*WWW))

    assert verdict(result) == (
        Reason.REFUSED,
        "compare",
        f"want an answer of 127.0.0.1:{port}: want a connection to 127.0.0.1:{port}, got a refusal",
    )


async def test_order_and_ttl_do_not_make_a_difference(check: Check) -> None:
    turned = ("WWW.example. 5 IN A 192.0.2.2", "www.example. 300 IN A 192.0.2.1")
    async with dns_peer(replying(*turned)) as other:
        probe = kind(servers=[f"127.0.0.1:{other}"])
        result = await look(check, probe, replying(*WWW))

    assert result.outcome is Outcome.UP, result.failure
