"""Kind tcp: connect, talk, judge."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from probes.kinds.tcp import Tcp
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from probes.wire.dialog.steps import LINES_AT_ONCE, MAX_DIALOG_BYTES, MAX_LINES
from probes.wire.tls.settings import TlsOptions
from tests.faults.tcp import (
    Handler,
    answering,
    closing,
    echoing,
    ending,
    flooding,
    half_closing,
    resetting,
    silent,
    talking,
    tcp_fault,
)
from tests.faults.tls import bad_certificate, no_goodbye, server_context
from tests.harness import Check, Law


def tcp(**keys: Any) -> Tcp:
    return Tcp.model_validate(keys)


LAW = Law(
    kind=Tcp.model_validate({"expect": "^220"}),
    target="{host}:{port}",
    secret=lambda canary: tcp(
        dialog=[{"send": Secret(canary)}, {"expect": "^220"}, {"starttls": True}],
        tls={"cert": "x", "key": Secret(canary)},
    ),
)
BANNER = b"hello\r\n220 mail.example.org ESMTP\r\n"


async def look(
    check: Check,
    kind: Tcp,
    handler: Handler,
    *,
    context: ssl.SSLContext | None = None,
    timeout_s: float = 5,
) -> Result:
    async with tcp_fault(handler, context=context) as port:
        return await check(kind, f"127.0.0.1:{port}", timeout_s)


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def verdict(result: Result) -> tuple[Reason, str | None] | None:
    return (result.failure.reason, result.failure.phase) if result.failure else None


async def test_connecting_is_the_whole_check_when_nothing_else_is_asked(check: Check) -> None:
    result = await look(check, tcp(), silent)

    assert result.outcome is Outcome.UP
    assert [phase.name for phase in result.phases] == ["resolve", "connect"]
    assert values(result) == {
        "dns_lookup_time_seconds": 0, "ip_protocol": 4, "ip_addr_hash": 3668918509,
        "tcp_banner_bytes": 0, "failed_due_to_regex": 0, "failed_due_to_bytes": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "handler", "size"),
    [
        pytest.param("^220", talking(BANNER), len(BANNER), id="a later line"),
        pytest.param("^hello$", talking(BANNER), 7, id="carriage return is no part of the line"),
        pytest.param("end$", ending(b"the end"), 7, id="the last line needs no end"),
        pytest.param("^.$", ending(b"\xff"), 1, id="bytes that are no text"),
        pytest.param("^x+$", talking(b"x" * 65535 + b"\n"), 65536, id="the longest line"),
    ],
)
async def test_the_banner_is_read_line_by_line_until_one_matches(
    check: Check, pattern: str, handler: Handler, size: int
) -> None:
    result = await look(check, tcp(expect=pattern), handler)

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["tcp_banner_bytes"] == size
    assert [phase.name for phase in result.phases] == ["resolve", "connect", "dialog"]


async def test_something_can_be_sent_first(check: Check) -> None:
    handler = answering({b"PING\r\n": b"+PONG\r\n"})

    result = await look(check, tcp(send="PING\r\n", expect=r"^\+PONG$"), handler)

    assert result.outcome is Outcome.UP, result.failure


@pytest.mark.parametrize(
    ("handler", "reason", "message", "by_pattern"),
    [
        pytest.param(
            ending(b"hello\nSSH-2.0-x\n"),
            Reason.BODY,
            "want a line that matches '^220', got 'SSH-2.0-x'",
            1,
            id="another banner",
        ),
        pytest.param(
            closing,
            Reason.CLOSED,
            "want a line that matches '^220', got the end of the stream",
            1,
            id="closes",
        ),
        pytest.param(half_closing(b"hi\n"), Reason.BODY, None, 1, id="half a goodbye"),
        pytest.param(resetting, Reason.CLOSED, None, 0, id="resets"),
        pytest.param(
            silent,
            Reason.TIMEOUT,
            "want an answer within 0.3 s, got none in phase dialog",
            0,
            id="silence",
        ),
        pytest.param(talking(b"hello\n"), Reason.TIMEOUT, None, 0, id="half a dialog"),
        pytest.param(
            talking(b"x" * 70_000),
            Reason.TOO_LARGE,
            "want a line of at most 65535 bytes, got more",
            0,
            id="endless line",
        ),
        pytest.param(
            flooding(b"x" * 1023 + b"\n"),
            Reason.TOO_LARGE,
            f"want at most {MAX_DIALOG_BYTES} bytes in all, got more",
            0,
            id="endless lines",
        ),
    ],
)
async def test_each_way_to_miss_a_banner_is_told(
    check: Check, handler: Handler, reason: Reason, message: str | None, by_pattern: float
) -> None:
    """F8, F10, P13"""
    timeout_s = 0.3 if reason is Reason.TIMEOUT else 5
    result = await look(check, tcp(expect="^220"), handler, timeout_s=timeout_s)

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.reason is reason
    assert message is None or result.failure.message == message
    assert values(result)["failed_due_to_regex"] == by_pattern


async def test_what_came_instead_is_told_after_a_timeout(check: Check) -> None:
    result = await look(check, tcp(expect="^220"), talking(b"421 too busy\r\n"), timeout_s=0.3)

    assert verdict(result) == (Reason.TIMEOUT, "dialog")
    assert result.facts["last_line"] == "421 too busy"


async def test_a_flood_of_empty_lines_does_not_hold_the_loop(check: Check) -> None:
    """P13"""
    turns = 0
    done = asyncio.Event()

    async def watch() -> None:
        nonlocal turns
        while not done.is_set():
            await asyncio.sleep(0)
            turns += 1

    watching = asyncio.ensure_future(watch())
    result = await look(check, tcp(expect="never"), ending(b"\n" * 200_000))
    done.set()
    await watching

    assert verdict(result) == (Reason.TOO_LARGE, "dialog")
    assert turns >= MAX_LINES // LINES_AT_ONCE


# --- dialogs


SMTP = {b"EHLO sonde\r\n": b"250-mail\r\n250 STARTTLS\r\n", b"QUIT\r\n": b"221 bye\r\n"}


async def test_a_dialog_goes_step_by_step(check: Check) -> None:
    kind = tcp(
        dialog=[
            {"send": "EHLO sonde\r\n"},
            {"expect": "^250 ", "send": "QUIT\r\n"},
            {"expect_bytes": "221 "},
            {"expect_bytes": {"hex": "627965"}},
        ]
    )

    result = await look(check, kind, answering(SMTP))

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["tcp_banner_bytes"] == len(b"250-mail\r\n250 STARTTLS\r\n221 bye")


async def test_bytes_that_differ_are_told(check: Check) -> None:
    result = await look(check, tcp(dialog=[{"expect_bytes": "+OK"}]), talking(b"-ERR\r\n"))

    assert verdict(result) == (Reason.BODY, "dialog")
    assert result.failure is not None
    assert result.failure.message == "want b'+OK', got b'-ER'"
    assert values(result)["failed_due_to_bytes"] == 1


async def test_too_few_bytes_are_an_early_end(check: Check) -> None:
    result = await look(check, tcp(dialog=[{"expect_bytes": "+OK"}]), ending(b"+O"))

    assert verdict(result) == (Reason.CLOSED, "dialog")
    assert values(result)["failed_due_to_bytes"] == 0


def upgrading(ca: trustme.CA) -> Handler:
    serve = server_context(ca.issue_cert("127.0.0.1"))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        assert await reader.readline() == b"STARTTLS\r\n"
        writer.write(b"220 go\r\n")
        await writer.start_tls(serve)
        assert await reader.readline() == b"EHLO\r\n"
        writer.write(b"250 inside\r\n")
        await reader.read()

    return handle


async def test_a_dialog_can_turn_into_tls(check: Check, ca: trustme.CA, ca_file: Path) -> None:
    kind = tcp(
        tls=TlsOptions(ca_file=str(ca_file)),
        expect={"certificate": {"expires_in": {"fail": "7d"}}},
        dialog=[
            {"expect": "^220", "send": "STARTTLS\r\n"},
            {"expect": "^220 go", "starttls": True},
            {"send": "EHLO\r\n"},
            {"expect": "^250"},
        ],
    )

    result = await look(check, kind, upgrading(ca))

    assert result.outcome is Outcome.UP, result.failure
    assert [p.name for p in result.phases] == ["resolve", "connect", "dialog", "tls"]
    assert all(phase.complete for phase in result.phases)
    assert values(result)["probe_tls_verified"] == 1


# --- TLS


async def test_tls_from_the_first_byte(
    check: Check, ca_file: Path, server_context: ssl.SSLContext
) -> None:
    kind = tcp(tls=TlsOptions(ca_file=str(ca_file)), expect="^220")

    result = await look(check, kind, talking(BANNER), context=server_context)

    assert result.outcome is Outcome.UP, result.failure
    assert [p.name for p in result.phases] == ["resolve", "connect", "tls", "dialog"]
    assert values(result)["tls_version_info"] == 1
    assert "tls_cipher_info" not in values(result)


@pytest.mark.parametrize("keys", [{}, {"dialog": [{"starttls": True}]}], ids=["tls", "starttls"])
def test_the_context_is_prepared(keys: dict[str, Any]) -> None:
    kind = tcp(tls=TlsOptions(min_version="1.3"), **keys)
    kind.prepare("127.0.0.1:443")
    assert kind.tls_or_default._contexts


async def test_an_end_without_goodbye_is_an_end(
    check: Check, ca_file: Path, server_context: ssl.SSLContext
) -> None:
    """T49"""
    kind = tcp(tls=TlsOptions(ca_file=str(ca_file)), expect="bye")

    result = await look(check, kind, no_goodbye(b"hello\n"), context=server_context)

    assert result.failure is not None
    assert result.failure.reason in {Reason.BODY, Reason.CLOSED}
    assert result.failure.phase == "dialog"


async def test_a_bad_certificate_is_down_with_its_facts(
    check: Check, ca: trustme.CA, ca_file: Path
) -> None:
    kind = tcp(tls=TlsOptions(ca_file=str(ca_file)))

    result = await look(check, kind, silent, context=bad_certificate(ca, "expired"))

    assert verdict(result) == (Reason.CERTIFICATE_EXPIRED, "tls")
    assert values(result)["ssl_earliest_cert_expiry"] > 0
    assert "certificate" in result.facts


@pytest.mark.parametrize(
    ("expect", "outcome"),
    [
        pytest.param({"warn": "1d"}, Outcome.UP, id="valid for long"),
        pytest.param({"warn": "3650d"}, Outcome.DEGRADED, id="warns"),
        pytest.param({"fail": "3650d"}, Outcome.DOWN, id="fails"),
    ],
)
async def test_an_expiring_certificate_is_judged(
    check: Check, ca: trustme.CA, ca_file: Path, expect: dict[str, str], outcome: Outcome
) -> None:
    soon = datetime.now(UTC) + timedelta(days=100)
    kind = tcp(tls=TlsOptions(ca_file=str(ca_file)), expect={"certificate": {"expires_in": expect}})

    result = await look(
        check, kind, silent, context=server_context(ca.issue_cert("127.0.0.1", not_after=soon))
    )

    assert result.outcome is outcome, result.failure
    if result.cause:
        assert result.cause.reason is Reason.CERTIFICATE_EXPIRING


async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asyncio.get_running_loop().call_later(0.005, writer.write, b"x\n")
    await reader.read()


async def test_a_slow_run_misses_its_latency(check: Check) -> None:
    fine = await look(check, tcp(expect={"banner": "x", "latency": "2s"}), late)
    slow = await look(check, tcp(expect={"banner": "x", "latency": {"fail": "1ms"}}), late)

    assert fine.outcome is Outcome.UP
    assert verdict(slow) == (Reason.LATENCY, None)


# --- settings


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param(
            {"send": "x", "dialog": [{"send": "y"}]},
            "want dialog, or send and a pattern, got both",
            id="send and dialog",
        ),
        pytest.param(
            {"dialog": [{}]},
            "want expect, expect_bytes, send or starttls, got none of them",
            id="empty step",
        ),
        pytest.param(
            {"dialog": [{"expect": "a", "expect_bytes": "b"}]},
            "want expect or expect_bytes, got both",
            id="both expectations",
        ),
        pytest.param(
            {"dialog": [{"expect_bytes": {"hex": "0g"}}]}, "want bytes in hex, got '0g'", id="hex"
        ),
        pytest.param(
            {"expect": {"certificate": {"expires_in": "1d"}}},
            "want tls where a certificate is expected, got none",
            id="certificate without TLS",
        ),
        pytest.param({"expect": "("}, "want an RE2 pattern, got '\\('", id="pattern"),
        pytest.param(
            {"source": "127.0.0"}, "want an address or an interface of this host", id="source"
        ),
    ],
)
def test_wrong_settings_are_told(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        tcp(**keys)


def test_tls_may_be_a_block_or_a_yes_or_a_no() -> None:
    assert tcp(tls=True).tls == TlsOptions()
    assert tcp(tls=False).tls is None
    assert tcp(tls={"verify": False}).tls == TlsOptions(verify=False)


@pytest.mark.parametrize("target", ["example.org", "http://example.org:80", "127.1:80", "a:0"])
def test_a_target_needs_host_and_port(target: str) -> None:
    with pytest.raises(ValueError, match="want "):
        Tcp().check_target(target)


def test_the_settings_can_be_shown_and_described() -> None:
    kind = tcp(dialog=[{"expect_bytes": {"hex": "00ff"}}, {"send": Secret("hunter2")}])

    shown = kind.model_dump_json()

    assert '{"hex":"00ff"}' in shown
    assert "hunter2" not in shown
    assert tcp(dialog=[{"expect_bytes": {"hex": "00ff"}}]).dialog[0] == kind.dialog[0]
    assert "expires_in" in str(Tcp.model_json_schema())


# --- beyond a dialog


async def test_a_name_may_come_with_the_request(
    check: Check, ca: trustme.CA, ca_file: Path
) -> None:
    """blackbox.md 5.1: parameter ``hostname``."""
    kind = tcp(tls=TlsOptions(ca_file=str(ca_file)))
    named = server_context(ca.issue_cert("mail.example.org"))

    wrong = await look(check, kind, silent, context=named)
    right = await look(check, kind.for_hostname("Mail.Example.org."), silent, context=named)

    assert verdict(wrong) == (Reason.CERTIFICATE_NAME, "tls")
    assert right.outcome is Outcome.UP, right.failure


def test_a_name_of_the_file_wins() -> None:
    kind = tcp(tls={"server_name": "a.example.org"})

    assert kind.for_hostname("b.example.org") is kind
    assert tcp().for_hostname("b.example.org") == tcp()
    assert tcp(dialog=[{"starttls": True}]).for_hostname("b.example.org").tls == TlsOptions(
        server_name="b.example.org"
    )
    with pytest.raises(ValueError, match="want a host name"):
        tcp(tls=True).for_hostname("a b")


async def test_a_target_without_a_port_fails_before_anything_is_resolved(check: Check) -> None:
    """blackbox.md 4.3, 5.1: ``/probe`` takes any text."""
    result = await check(tcp(), "example.org", unknown=True)

    assert verdict(result) == (Reason.CONFIG, None)
    assert result.outcome is Outcome.UNKNOWN
    assert not values(result)
    assert not result.phases


async def test_an_interface_is_a_place_to_come_from(check: Check) -> None:
    result = await look(check, tcp(source="lo"), silent)
    nowhere = await check(tcp(source="nosuch0"), "127.0.0.1:1", unknown=True)

    assert result.outcome is Outcome.UP, result.failure
    assert verdict(nowhere) == (Reason.CONFIG, "connect")


async def test_labels_of_a_line_are_told(check: Check) -> None:
    kind = tcp(dialog=[{"expect": r"^220 (\S+)", "labels": {"host": "$1"}}])

    result = await look(check, kind, talking(BANNER))

    found = [sample for sample in result.samples if sample.name == "expect_info"]
    assert [sample.labels for sample in found] == [(("host", "mail.example.org"),)]


async def test_what_a_server_sends_back_is_no_label_when_it_is_secret(check: Check) -> None:
    """P15: labels go to every outlet."""
    steps = [{"send": Secret("hunter2\n")}, {"expect": "(.*)", "labels": {"said": "<$1>"}}]

    result = await look(check, tcp(dialog=steps), echoing)

    assert [s.labels for s in result.samples if s.name == "expect_info"] == [(("said", "<***>"),)]


# --- upgrades as protocols do them


def pop3(ca: trustme.CA, ahead: bytes = b"") -> Handler:
    serve = server_context(ca.issue_cert("127.0.0.1"))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK ready\r\n")
        assert await reader.readline() == b"STLS\r\n"
        writer.write(b"+OK go\r\n" + ahead)
        await writer.start_tls(serve)
        assert await reader.readline() == b"CAPA\r\n"
        writer.write(b"+OK inside\r\n")
        await reader.read()

    return handle


async def test_a_protocol_is_upgraded_before_anything_is_said(
    check: Check, ca: trustme.CA, ca_file: Path
) -> None:
    kind = tcp(
        starttls="pop3",
        tls=TlsOptions(ca_file=str(ca_file)),
        send="CAPA\r\n",
        expect={"banner": "inside", "certificate": {"expires_in": {"fail": "7d"}}},
    )

    result = await look(check, kind, pop3(ca))

    assert result.outcome is Outcome.UP, result.failure
    assert [p.name for p in result.phases] == ["resolve", "connect", "dialog", "tls"]
    assert values(result)["probe_tls_verified"] == 1


@pytest.mark.parametrize(
    ("handler", "found"),
    [
        pytest.param(silent, (Reason.TIMEOUT, "dialog"), id="silent"),
        pytest.param(talking(b"+OK a\r\n-ERR no\r\n"), (Reason.TLS, "dialog"), id="refused"),
        pytest.param(talking(b"220 mail\r\n"), (Reason.PROTOCOL, "dialog"), id="another protocol"),
        pytest.param(
            talking(b"+OK a\r\n+OK go\r\n+OK injected\r\n"),
            (Reason.PROTOCOL, "dialog"),
            id="CVE-2011-0411: words ahead of TLS",
        ),
    ],
)
async def test_each_upgrade_that_fails_is_told(
    check: Check, handler: Handler, found: tuple[Reason, str]
) -> None:
    timeout_s = 0.1 if found[0] is Reason.TIMEOUT else 5

    result = await look(check, tcp(starttls="pop3"), handler, timeout_s=timeout_s)

    assert verdict(result) == found, result.failure
    assert values(result)["failed_due_to_regex"] == 0


def test_an_upgrade_is_made_once() -> None:
    with pytest.raises(ValidationError, match="want starttls once, got it in a step too"):
        tcp(starttls="smtp", dialog=[{"starttls": True}])
