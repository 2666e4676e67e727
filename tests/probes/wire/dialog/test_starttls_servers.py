"""What is said before TLS, to real servers; PostgreSQL and SMTP are met in the tests of kinds."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from probes.kinds.tcp import Tcp
from probes.kinds.tls import Tls
from probes.result import Outcome, Reason
from tests.harness import Check
from tests.servers.process import Server
from tests.servers.starttls import PLAIN, STARTERS, start_dovecot, start_prosody

pytestmark = pytest.mark.service

# What each server knows itself by; Prosody serves no address.
NAME = "localhost"
# Protocol -> what is said over TLS; Dovecot and Prosody offer some of it there alone.
STREAM = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    f"to='{NAME}' version='1.0'>"
)
TALKS: dict[str, list[dict[str, Any]]] = {
    "imap": [
        {"send": "b1 CAPABILITY"},
        {"expect": r"^\* CAPABILITY .*AUTH=PLAIN"},
        {"expect": "^b1 OK", "send": "b2 LOGOUT"},
        {"expect": r"^\* BYE"},
    ],
    "pop3": [{"send": "CAPA"}, {"expect": "^SASL PLAIN"}, {"send": "QUIT"}, {"expect": r"\+OK"}],
    "xmpp": [{"send": STREAM}, {"expect_bytes": "<?xml version='1.0'?>"}],
}


@pytest.fixture(scope="module")
def mail(
    certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Server]]:
    """Servers for IMAP and POP3: one process, which takes a second to end."""
    servers = start_dovecot(tmp_path_factory.mktemp("mail"), certificates)
    yield servers
    servers["imap"].stop()


@pytest.fixture
def start(certificates: Path, tmp_path: Path) -> Iterator[Callable[..., str]]:
    servers: list[Server] = []

    def go(starter: Callable[..., Server], **how: Any) -> str:
        servers.append(starter(tmp_path, certificates, **how))
        return servers[0].address

    yield go
    for server in servers:
        server.stop()


@pytest.fixture
def tls(ca_file: Path) -> dict[str, Any]:
    return {"ca_file": str(ca_file), "server_name": NAME}


@pytest.mark.parametrize("protocol", STARTERS)
async def test_a_real_server_is_led_to_tls(
    check: Check, protocol: str, start: Callable[..., str], tls: dict[str, Any]
) -> None:
    target = start(STARTERS[protocol])

    result = await check(Tls.model_validate({"starttls": protocol, "tls": tls}), target)

    assert result.outcome is Outcome.UP, result.failure


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
async def test_a_real_mail_server_is_led_to_tls_and_talked_to(
    check: Check, protocol: str, mail: Mapping[str, Server], tls: dict[str, Any]
) -> None:
    keys = {"starttls": protocol, "tls": tls}
    target = mail[protocol].address

    looked = await check(Tls.model_validate(keys), target)
    talk = {**keys, "dialog": TALKS[protocol], "line_end": "\r\n"}
    talked = await check(Tcp.model_validate(talk), target)

    assert looked.outcome is Outcome.UP, looked.failure
    assert talked.outcome is Outcome.UP, talked.failure


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        pytest.param(
            "imap",
            'want an IMAP server that is ready for TLS, got "a1 BAD TLS support isn\'t enabled."',
            id="imap",
        ),
        pytest.param(
            "pop3",
            'want a POP3 server that is ready for TLS, got "-ERR TLS support isn\'t enabled."',
            id="pop3",
        ),
    ],
)
async def test_a_real_mail_server_without_tls_says_so(
    check: Check, protocol: str, message: str, mail: Mapping[str, Server], tls: dict[str, Any]
) -> None:
    kind = Tls.model_validate({"starttls": protocol, "tls": tls})

    result = await check(kind, f"{PLAIN}:{mail[protocol].port}")

    assert result.failure is not None
    assert (result.failure.reason, result.failure.message) == (Reason.TLS, message)


async def test_a_real_xmpp_server_is_talked_to_over_tls(
    check: Check, start: Callable[..., str], tls: dict[str, Any]
) -> None:
    target = start(start_prosody)
    talk = {"starttls": "xmpp", "tls": tls, "dialog": TALKS["xmpp"]}

    talked = await check(Tcp.model_validate(talk), target)
    unknown = await check(Tls.model_validate({"starttls": "xmpp"}), target)

    assert talked.outcome is Outcome.UP, talked.failure
    assert unknown.failure is not None
    assert unknown.failure.reason is Reason.PROTOCOL
    assert unknown.failure.message == "want an XMPP server of 127.0.0.1, got 'host-unknown'"


async def test_a_real_xmpp_server_without_tls_says_so(
    check: Check, start: Callable[..., str], tls: dict[str, Any]
) -> None:
    target = start(start_prosody, tls=False)

    result = await check(Tls.model_validate({"starttls": "xmpp", "tls": tls}), target)

    assert result.failure is not None
    assert result.failure.reason is Reason.TLS
    assert result.failure.message.startswith("want an XMPP server that offers STARTTLS, got ")
