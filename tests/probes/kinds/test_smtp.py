"""Kind smtp: a real server (aiosmtpd), and ones that do not behave."""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from probes.kinds.smtp import Smtp
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from tests.faults.tcp import (
    Handler,
    answering,
    closing,
    dripping,
    ending,
    flooding,
    half_closing,
    silent,
    talking,
    tcp_fault,
)
from tests.faults.tls import bad_certificate, server_context
from tests.harness import Check, Law
from tests.servers.smtp import PASSWORD, USER, Mailroom, smtp_server


def smtp(**keys: Any) -> Smtp:
    return Smtp.model_validate(keys)


LAW = Law(
    kind=smtp(encryption="none"),
    target="{host}:{port}",
    secret=lambda canary: smtp(
        username="probe", password=Secret(canary), tls={"cert": "x", "key": Secret(canary)}
    ),
)


@dataclass
class Mail:
    """The three servers."""

    open_relay: int
    submission: int
    over_tls: int
    mailroom: Mailroom


@pytest.fixture(scope="module")
def mail(certificates: Path) -> Iterator[Mail]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    strict = Mailroom("@example.org")
    with (
        smtp_server(Mailroom()) as open_relay,
        smtp_server(strict, context=context) as submission,
        smtp_server(strict, context=context, at_once=True) as over_tls,
    ):
        yield Mail(open_relay, submission, over_tls, strict)


@pytest.fixture
def tls(ca_file: Path) -> dict[str, str]:
    return {"ca_file": str(ca_file)}


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def verdict(result: Result) -> tuple[Reason, str | None] | None:
    return (result.failure.reason, result.failure.phase) if result.failure else None


def message(result: Result) -> str:
    assert result.failure is not None
    return result.failure.message


async def look(
    check: Check, kind: Smtp, handler: Handler, timeout_s: float = 5, **keys: Any
) -> Result:
    async with tcp_fault(handler, **keys) as port:
        return await check(kind, f"127.0.0.1:{port}", timeout_s)


# --- a real server


async def test_a_server_without_tls_is_greeted_in_clear_text(check: Check, mail: Mail) -> None:
    result = await check(smtp(encryption="none"), f"127.0.0.1:{mail.open_relay}")

    assert result.outcome is Outcome.UP, result.failure
    assert [phase.name for phase in result.phases] == ["resolve", "connect", "banner", "ehlo"]
    assert values(result) == {
        "dns_lookup_time_seconds": 0, "ip_protocol": 4, "ip_addr_hash": 3668918509,
        "smtp_reply_code": 250, "smtp_starttls_offered": 0, "smtp_encrypted": 0,
        "smtp_size_limit_bytes": 1000000,
    }  # fmt: skip
    assert result.facts["banner"].endswith("aiosmtpd here")
    assert "SIZE 1000000" in result.facts["capabilities"]


async def test_starttls_is_asked_for_and_verified(
    check: Check, mail: Mail, tls: dict[str, str]
) -> None:
    kind = smtp(tls=tls, expect={"certificate": {"expires_in": {"fail": "7d"}}})

    result = await check(kind, f"127.0.0.1:{mail.submission}")

    assert result.outcome is Outcome.UP, result.failure
    names = [phase.name for phase in result.phases]
    assert names == ["resolve", "connect", "banner", "ehlo", "starttls", "tls"]
    assert values(result)["smtp_starttls_offered"] == 1
    assert values(result)["smtp_encrypted"] == 1
    assert values(result)["probe_tls_verified"] == 1
    assert values(result)["ssl_earliest_cert_expiry"] > 0


async def test_a_server_without_starttls_fails_when_it_is_wanted(check: Check, mail: Mail) -> None:
    wanted = await check(smtp(), f"127.0.0.1:{mail.open_relay}")
    taken = await check(smtp(encryption="if_offered"), f"127.0.0.1:{mail.open_relay}")

    assert verdict(wanted) == (Reason.PROTOCOL, "ehlo")
    assert message(wanted).startswith("want STARTTLS offered, got a server without it")
    assert taken.outcome is Outcome.UP


@pytest.mark.parametrize(
    "encryption", [pytest.param("starttls", id="starttls"), pytest.param("tls", id="tls")]
)
@pytest.mark.parametrize(
    ("keys", "outcome"),
    [
        pytest.param({}, Outcome.UP, id="any"),
        pytest.param({"mechanism": "login"}, Outcome.UP, id="LOGIN"),
        pytest.param({"password": "wrong-word"}, Outcome.DOWN, id="wrong"),
    ],
)
async def test_a_user_logs_in_over_tls(
    check: Check,
    mail: Mail,
    tls: dict[str, str],
    encryption: str,
    keys: dict[str, str],
    outcome: Outcome,
) -> None:
    port = mail.over_tls if encryption == "tls" else mail.submission
    keys = {"username": USER, "password": PASSWORD, **keys}

    result = await check(smtp(encryption=encryption, tls=tls, **keys), f"127.0.0.1:{port}")

    assert result.outcome is outcome, result.failure
    assert "auth" in [phase.name for phase in result.phases]
    if outcome is Outcome.DOWN:
        assert verdict(result) == (Reason.AUTH, "auth")
        assert message(result).startswith("want 235 to AUTH PLAIN, got '535 5.7.8")
    assert values(result)["smtp_encrypted"] == 1


async def test_a_password_waits_for_tls(check: Check, mail: Mail) -> None:
    kind = smtp(encryption="if_offered", username=USER, password=PASSWORD)

    result = await check(kind, f"127.0.0.1:{mail.open_relay}")

    assert verdict(result) == (Reason.PROTOCOL, "ehlo")
    assert message(result).startswith("want TLS before a password is sent")


async def test_an_envelope_is_asked_for_and_dropped(
    check: Check, mail: Mail, tls: dict[str, str]
) -> None:
    before = mail.mailroom.resets
    kind = smtp(tls=tls, mail_from="probe@example.net", rcpt_to=["a@example.org", "b@example.org"])

    result = await check(kind, f"127.0.0.1:{mail.submission}")

    assert result.outcome is Outcome.UP, result.failure
    assert mail.mailroom.senders[-1] == "probe@example.net"
    assert mail.mailroom.resets == before + 1
    assert not mail.mailroom.messages
    assert values(result)["smtp_recipients_accepted"] == 2


async def test_a_relay_must_refuse_strangers(check: Check, mail: Mail, tls: dict[str, str]) -> None:
    keys = {"rcpt_to": ["who@example.com"], "expect": {"recipients": "refused"}}

    strict = await check(smtp(tls=tls, **keys), f"127.0.0.1:{mail.submission}")
    open_relay = await check(smtp(encryption="none", **keys), f"127.0.0.1:{mail.open_relay}")
    unwanted = await check(smtp(tls=tls, rcpt_to=["a@example.com"]), f"127.0.0.1:{mail.submission}")

    assert strict.outcome is Outcome.UP, strict.failure
    assert verdict(open_relay) == (Reason.STATUS, "envelope")
    assert message(open_relay) == (
        "want a refusal of 'RCPT TO:<who@example.com>', got '250 2.1.5 recipient taken'"
    )
    assert verdict(unwanted) == (Reason.STATUS, "envelope")
    assert values(unwanted)["smtp_recipients_accepted"] == 0


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        pytest.param(b"530 5.7.0 log in first\r\n", None, id="refused"),
        pytest.param(b"451 later\r\n", (Reason.STATUS, "envelope"), id="put off"),
    ],
)
async def test_a_sender_may_be_refused_in_the_place_of_the_recipient(
    check: Check, reply: bytes, found: tuple[Reason, str] | None
) -> None:
    handler = answering(
        {b"": b"220 a\r\n", b"EHLO [127.0.0.1]\r\n": b"250 a\r\n", b"MAIL FROM:<>\r\n": reply}
    )
    kind = smtp(encryption="none", rcpt_to=["a@b"], expect={"recipients": "refused"})

    assert verdict(await look(check, kind, handler)) == found


async def test_a_certificate_that_is_not_there_is_missed(check: Check, mail: Mail) -> None:
    kind = smtp(encryption="if_offered", expect={"certificate": {"expires_in": {"fail": "1d"}}})

    result = await check(kind, f"127.0.0.1:{mail.open_relay}")

    assert verdict(result) == (Reason.PROTOCOL, "ehlo")
    assert message(result) == "want a certificate to judge, got a server without STARTTLS"


async def test_a_message_is_sent_only_when_asked_for(
    check: Check, mail: Mail, tls: dict[str, str]
) -> None:
    mail.mailroom.messages.clear()
    kind = smtp(tls=tls, mail_from="probe@example.org", rcpt_to=["a@example.org"], send=True)

    result = await check(kind, f"127.0.0.1:{mail.submission}")

    (sent,) = mail.mailroom.messages
    assert result.outcome is Outcome.UP, result.failure
    assert result.facts["sent"] == "250 2.0.0 queued as 42"
    assert b"Auto-Submitted: auto-generated\r\n" in sent
    assert b"To: <a@example.org>\r\n" in sent
    mail.mailroom.messages.clear()


@pytest.mark.parametrize(
    ("expect", "reason"),
    [
        pytest.param({"banner": "ready$"}, Reason.BODY, id="banner"),
        pytest.param({"capabilities": ["SIZE", "XFORWARD"]}, Reason.VALUE, id="capability"),
        pytest.param({"capabilities": ["auth GSSAPI"]}, Reason.VALUE, id="parameter"),
        pytest.param({"latency": {"fail": "0.001ms"}}, Reason.LATENCY, id="latency"),
        pytest.param(
            {"banner": "aiosmtpd", "capabilities": ["auth login", "SIZE", "starttls"]},
            None,
            id="all is there",
        ),
    ],
)
async def test_what_a_server_must_be(
    check: Check, mail: Mail, tls: dict[str, str], expect: dict[str, Any], reason: Reason | None
) -> None:
    result = await check(smtp(tls=tls, expect=expect), f"127.0.0.1:{mail.submission}")

    assert (result.failure.reason if result.failure else None) is reason, result.failure


async def test_a_bad_certificate_is_down_with_its_facts(
    check: Check, ca: trustme.CA, tls: dict[str, str]
) -> None:
    context = bad_certificate(ca, "expired")

    result = await look(check, smtp(tls=tls, encryption="tls"), silent, context=context)
    upgraded = await look(check, smtp(tls=tls), upgrading(context))

    for found in (result, upgraded):
        assert verdict(found) == (Reason.CERTIFICATE_EXPIRED, "tls")
        assert values(found)["ssl_earliest_cert_expiry"] > 0


# --- servers that do not behave

OFFER = b"250-mail\r\n250 STARTTLS\r\n"


def upgrading(context: ssl.SSLContext, ahead: bytes = b"") -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        await reader.readline()
        writer.write(OFFER)
        await reader.readline()
        writer.write(b"220 go\r\n" + ahead)
        await writer.start_tls(context)
        await reader.read()

    return handle


@pytest.mark.parametrize(
    ("handler", "reason", "phase"),
    [
        pytest.param(silent, Reason.TIMEOUT, "banner", id="silent"),
        pytest.param(dripping(b"220-" * 50), Reason.TIMEOUT, "banner", id="drips"),
        pytest.param(closing, Reason.CLOSED, "banner", id="closes"),
        pytest.param(ending(b"220-half\r\n"), Reason.CLOSED, "banner", id="half a greeting"),
        pytest.param(ending(b"220 hi\r\n"), Reason.CLOSED, "ehlo", id="greets and goes"),
        pytest.param(half_closing(b"220-hi\r\n"), Reason.CLOSED, "banner", id="half a goodbye"),
        pytest.param(half_closing(b"220 hi\r\n"), Reason.CLOSED, "ehlo", id="greets and is deaf"),
        pytest.param(talking(b"220 hi\r\n"), Reason.TIMEOUT, "ehlo", id="greets and sleeps"),
        pytest.param(talking(b"554 go away\r\n"), Reason.STATUS, "banner", id="goes away"),
        pytest.param(talking(b"421 busy\r\n"), Reason.STATUS, "banner", id="busy"),
        pytest.param(flooding(b"220-more\r\n"), Reason.TOO_LARGE, "banner", id="endless greeting"),
        pytest.param(talking(b"220 " + b"x" * 9999), Reason.TOO_LARGE, "banner", id="endless line"),
        pytest.param(talking(b"\x00\xff\x17\r\n" * 9), Reason.PROTOCOL, "banner", id="junk"),
        pytest.param(talking(b"220-a\r\n250 b\r\n"), Reason.PROTOCOL, "banner", id="two codes"),
        pytest.param(talking(b"+OK POP3\r\n"), Reason.PROTOCOL, "banner", id="POP3"),
        pytest.param(
            talking(b" 22 x\r\n"), Reason.PROTOCOL, "banner", id="a number in a wide sense"
        ),
        pytest.param(talking(b"220 a\r\n250 b\r\n"), Reason.PROTOCOL, "ehlo", id="speaks ahead"),
        pytest.param(
            answering({b"": b"220 a\r\n", b"EHLO [127.0.0.1]\r\n": b"502 what?\r\n"}),
            Reason.STATUS,
            "ehlo",
            id="no EHLO",
        ),
        pytest.param(
            answering(
                {
                    b"": b"220 a\r\n",
                    b"EHLO [127.0.0.1]\r\n": OFFER,
                    b"STARTTLS\r\n": b"454 not now\r\n",
                }
            ),
            Reason.STATUS,
            "starttls",
            id="no TLS now",
        ),
        pytest.param(
            answering(
                {
                    b"": b"220 a\r\n",
                    b"EHLO [127.0.0.1]\r\n": OFFER,
                    b"STARTTLS\r\n": b"220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n",
                }
            ),
            Reason.PROTOCOL,
            "starttls",
            id="CVE-2011-0411: words ahead of TLS",
        ),
        pytest.param(
            answering(
                {
                    b"": b"220 a\r\n",
                    b"EHLO [127.0.0.1]\r\n": OFFER,
                    b"STARTTLS\r\n": b"220 go\r\n",
                    b"\x16\x03\x01": b"250 evil\r\n",
                }
            ),
            Reason.TLS,
            "tls",
            id="words in the place of TLS",
        ),
    ],
)
async def test_each_server_that_does_not_behave_is_told(
    check: Check, handler: Handler, reason: Reason, phase: str
) -> None:
    timeout_s = 0.1 if reason is Reason.TIMEOUT else 5

    result = await look(check, smtp(), handler, timeout_s)

    assert verdict(result) == (reason, phase), result.failure
    assert result.seconds < timeout_s + 0.25


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param(
            {b"": b"421 too busy\r\n"}, "want 220 as the greeting, got '421 too busy'", id="busy"
        ),
        pytest.param(
            {b"": b"220 a\r\n", b"EHLO [127.0.0.1]\r\n": b"502 what?\r\n"},
            "want 250 to 'EHLO [127.0.0.1]', got '502 what?'",
            id="no EHLO",
        ),
    ],
)
async def test_another_code_is_told_with_what_it_answers(
    check: Check, said: dict[bytes, bytes], message: str
) -> None:
    result = await look(check, smtp(), answering(said))

    assert result.failure is not None
    assert result.failure.message == message


# --- settings


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        pytest.param({"username": "a"}, "want username and password", id="no password"),
        pytest.param({"password": "a"}, "want username and password", id="no user"),
        pytest.param(
            {"username": "a", "password": "b", "encryption": "none"},
            "want TLS where a password is sent",
            id="clear text",
        ),
        pytest.param(
            {"expect": {"certificate": {"expires_in": "1d"}}, "encryption": "none"},
            "want TLS where a certificate is expected",
            id="no certificate",
        ),
        pytest.param({"send": True}, "want mail_from and rcpt_to to send", id="send to nobody"),
        pytest.param({"rcpt_to": [""]}, "want recipients, got an empty one", id="nobody"),
        pytest.param({"rcpt_to": ["a b@c"]}, "want an address such as", id="space"),
        pytest.param({"mail_from": "a@b>\r\nDATA"}, "want an address such as", id="injection"),
        pytest.param({"helo": "a\r\nQUIT"}, "want a host name", id="another injection"),
        pytest.param(
            {"send": True, "mail_from": "a@b", "rcpt_to": ["a@b"],
             "expect": {"recipients": "refused"}},
            "want send or refused recipients",
            id="send in vain",
        ),
    ],
)  # fmt: skip
def test_wrong_settings_are_told(keys: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValidationError, match=wanted):
        smtp(**keys)


@pytest.mark.parametrize(
    ("keys", "advice"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param(
            {"send": True, "mail_from": "a@b", "rcpt_to": ["a@b"]},
            ["send: true delivers a message in every run"],
            id="mail",
        ),
        pytest.param(
            {"tls": {"verify": False}, "username": "a", "password": "b"},
            ["tls.verify: false shows the password to whoever answers"],
            id="a password for anybody",
        ),
    ],
)
def test_what_is_odd_is_said_at_load(keys: dict[str, Any], advice: list[str]) -> None:
    assert list(smtp(**keys).advice("mail")) == advice


async def test_a_name_is_told_and_a_login_that_nobody_offers_is_missed(
    check: Check, ca: trustme.CA, tls: dict[str, str]
) -> None:
    handler = answering(
        {b"": b"220 a\r\n", b"EHLO sonde.example.org\r\n": b"250-a\r\n250 AUTH X\r\n"}
    )
    kind = smtp(
        encryption="tls", tls=tls, helo="sonde.example.org", username="probe", password="hunter2"
    )

    result = await look(check, kind, handler, context=server_context(ca.issue_cert("127.0.0.1")))

    assert verdict(result) == (Reason.AUTH, "auth")
    assert message(result) == "want AUTH PLAIN or LOGIN offered, got 'X'"


def test_the_words_of_a_login_are_secrets_too() -> None:
    found = smtp(username="probe", password="hunter2").secrets("mail.example.org")

    assert {"hunter2", "aHVudGVyMg==", "AHByb2JlAGh1bnRlcjI="} <= found


def test_the_context_is_prepared() -> None:
    kind = smtp(tls={"min_version": "1.3"})
    kind.prepare("x")
    assert kind.tls._contexts


@pytest.mark.parametrize("target", ["http://mail:25", "127.1", "mail:0"])
async def test_a_target_is_a_host(check: Check, target: str) -> None:
    with pytest.raises(ValueError, match="want "):
        smtp().check_target(target)

    assert verdict(await check(smtp(), target, unknown=True)) == (Reason.CONFIG, None)
