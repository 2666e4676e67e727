"""Kind ssh: a real sshd, and servers that do not behave."""

import asyncio
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from probes.kinds.ssh import Ssh
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from probes.wire.ssh.keys import EXCHANGES, HOST_KEYS
from probes.wire.ssh.transport import (
    DISCONNECT,
    EXCHANGE_REPLY,
    IGNORE,
    MAX_IDLE_MESSAGES,
    Offers,
    pack_offers,
    pack_string,
)
from tests.faults.tcp import (
    Handler,
    closing,
    dripping,
    ending,
    flooding,
    half_closing,
    silent,
    talking,
    tcp_fault,
)
from tests.harness import Check, Law
from tests.servers.sshd import Sshd, start_sshd


def ssh(**keys: Any) -> Ssh:
    return Ssh.model_validate(keys)


LAW = Law(
    kind=ssh(),
    target="{host}:{port}",
    secret=lambda canary: ssh(resolver={"tls": {"cert": "x", "key": Secret(canary)}}),
)
OTHER = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sshd")


@pytest.fixture(scope="module")
def sshd(keys: Path) -> Iterator[Sshd]:
    running = start_sshd(keys)
    yield running
    running.server.stop()


@pytest.fixture(autouse=True, scope="module")
def driver() -> None:
    ssh().prepare("")


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def labels(result: Result, name: str) -> dict[str, str]:
    (found,) = [dict(sample.labels) for sample in result.samples if sample.name == name]
    return found


def verdict(result: Result) -> tuple[Reason, str | None] | None:
    return (result.failure.reason, result.failure.phase) if result.failure else None


def message(result: Result) -> str:
    assert result.failure is not None
    return result.failure.message


async def look(check: Check, kind: Ssh, handler: Handler, timeout_s: float = 5) -> Result:
    async with tcp_fault(handler) as port:
        return await check(kind, f"127.0.0.1:{port}", timeout_s)


# --- a real server


@pytest.mark.service
async def test_a_host_says_who_it_is_and_proves_its_key(check: Check, sshd: Sshd) -> None:
    result = await check(ssh(expect={"banner": "OpenSSH_[0-9]"}), sshd.server.address)

    assert result.outcome is Outcome.UP, result.failure
    assert [p.name for p in result.phases] == ["resolve", "connect", "banner", "key_exchange"]
    assert labels(result, "ssh_server_info")["protocol"] == "2.0"
    assert labels(result, "ssh_server_info")["software"].startswith("OpenSSH_")
    assert labels(result, "ssh_host_key_info") == {
        "type": "ssh-ed25519", "fingerprint": sshd.fingerprints["ed25519"],
    }  # fmt: skip
    assert values(result)["ssh_host_key_size"] == 256
    assert "ssh-ed25519" in result.facts["host keys"]


@pytest.mark.service
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("form", ["fingerprint", "key"])
async def test_each_key_of_a_host_can_be_known(
    check: Check, sshd: Sshd, kind: str, form: str
) -> None:
    if form == "key":
        # of which the type tells which key to ask for
        keys: dict[str, Any] = {"expect": {"host_keys": [f"{sshd.keys[kind]} root@host"]}}
    else:
        expect = {"host_keys": [OTHER, sshd.fingerprints[kind]]}
        keys = {"host_key_type": kind, "expect": expect}

    result = await check(ssh(**keys), sshd.server.address)

    assert result.outcome is Outcome.UP, result.failure
    assert labels(result, "ssh_host_key_info")["fingerprint"] == sshd.fingerprints[kind]


@pytest.mark.service
@pytest.mark.parametrize("count", [1, 3])
async def test_another_key_than_the_known_ones_is_down(
    check: Check, sshd: Sshd, count: int
) -> None:
    result = await check(ssh(expect={"host_keys": [OTHER] * count}), sshd.server.address)

    assert verdict(result) == (Reason.VALUE, "key_exchange")
    more = " or one of 2 more" if count > 1 else ""
    assert message(result) == (
        f"want the host key '{OTHER}'{more}, got ssh-ed25519 {sshd.fingerprints['ed25519']}"
        " (host_key_type asks for another one)"
    )
    assert labels(result, "ssh_host_key_info")["type"] == "ssh-ed25519"


@pytest.mark.service
async def test_the_identification_may_be_all(check: Check, sshd: Sshd) -> None:
    result = await check(ssh(key_exchange=False), sshd.server.address)
    missed = await check(ssh(expect={"banner": "dropbear"}), sshd.server.address)
    slow = await check(ssh(expect={"latency": {"fail": "1ms"}}), sshd.server.address)

    assert result.outcome is Outcome.UP, result.failure
    assert [p.name for p in result.phases] == ["resolve", "connect", "banner"]
    assert verdict(missed) == (Reason.BODY, "banner")
    assert verdict(slow) == (Reason.LATENCY, None)


@pytest.mark.service
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("name", list(EXCHANGES)[1:])
async def test_every_key_exchange_is_that_of_openssh(check: Check, keys: Path, name: str) -> None:
    sshd = start_sshd(keys, f"KexAlgorithms {name}", "HostKeyAlgorithms ssh-rsa,rsa-sha2-256")
    try:
        result = await check(ssh(), sshd.server.address)
    finally:
        sshd.server.stop()

    assert result.outcome is Outcome.UP, result.failure
    assert result.facts["key exchange"] == f"{name}, rsa-sha2-256"


@pytest.mark.service
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_what_is_not_in_common_is_told(check: Check, keys: Path) -> None:
    sshd = start_sshd(
        keys, "KexAlgorithms diffie-hellman-group18-sha512", "HostKeyAlgorithms ssh-rsa"
    )
    try:
        result = await check(ssh(), sshd.server.address)
    finally:
        sshd.server.stop()

    assert verdict(result) == (Reason.PROTOCOL, "key_exchange")
    assert "want a key exchange in common (curve25519-sha256, " in message(result)
    assert message(result).endswith(
        "got 'diffie-hellman-group18-sha512, kex-strict-s-v00@openssh.com'"
    )


@pytest.mark.service
@pytest.mark.parametrize("at", [pytest.param(0, id="key"), pytest.param(1, id="signature")])
async def test_a_host_without_its_private_key_is_found_out(
    check: Check, sshd: Sshd, at: int
) -> None:
    """Whoever copies a public key cannot sign: one bit of the reply is another on the way."""

    async def meddle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection("127.0.0.1", sshd.server.port)

        async def forward() -> None:
            while data := await reader.read(65536):
                here.write(data)

        sending = asyncio.ensure_future(forward())
        said = bytearray()
        try:
            while data := await there.read(65536):
                said = bytearray(data)
                head = pack_string(b"ssh-ed25519") + (b"\0\0\0\x20", b"\0\0\0\x40")[at]
                found = said.find(head)
                if found >= 0:
                    said[found + len(head)] ^= 1
                writer.write(said)
        finally:
            sending.cancel()
            here.close()

    result = await look(check, ssh(), meddle)

    assert verdict(result) == (Reason.PROTOCOL, "key_exchange")
    assert message(result) in {
        "want a signature by the host key, got one that is not its own",
        "want a host key, got 'Invalid key'",
    }


# --- servers that do not behave


def packet(payload: bytes) -> bytes:
    return struct.pack(">IB", len(payload) + 5, 4) + payload + bytes(4)


def offering(*after: bytes, exchanges: str = "curve25519-sha256", guesses: bool = False) -> Handler:
    """Greet, offer, and then say each of *after*."""
    offers = pack_offers(Offers((exchanges,), ("ssh-ed25519",), ("none",), ("none",)))
    if guesses:
        offers = offers[:-5] + b"\1" + bytes(4)
    return talking(b"SSH-2.0-x\r\n" + packet(offers) + b"".join(after))


def reply(*fields: bytes) -> bytes:
    return packet(bytes((EXCHANGE_REPLY,)) + b"".join(map(pack_string, fields)))


GOODBYE = bytes((DISCONNECT,)) + struct.pack(">I", 2) + pack_string(b"Too many connections")
KEY = pack_string(b"ssh-ed25519") + pack_string(bytes(31) + b"\x09")
POINT = b"\x09" + bytes(31)
SIGNATURE = pack_string(b"ssh-ed25519") + pack_string(bytes(64))


@pytest.mark.parametrize(
    ("handler", "reason", "phase", "text"),
    [
        pytest.param(silent, Reason.TIMEOUT, "banner", "", id="silent"),
        pytest.param(dripping(b"SSH-2.0-x" * 9), Reason.TIMEOUT, "banner", "", id="drips"),
        pytest.param(talking(b"220 mail\r\n"), Reason.TIMEOUT, "banner", "", id="another protocol"),
        pytest.param(closing, Reason.CLOSED, "banner", "", id="closes"),
        pytest.param(
            ending(b"Not allowed at this time\r\n"), Reason.CLOSED, "banner", "", id="turns away"
        ),
        pytest.param(
            half_closing(b"Not allowed\r\n"),
            Reason.CLOSED,
            "banner",
            "want an identification of SSH, got the end of the stream",
            id="half a goodbye",
        ),
        pytest.param(
            half_closing(b"SSH-2.0-x\r\n"),
            Reason.CLOSED,
            "key_exchange",
            "",
            id="greets and is deaf",
        ),
        pytest.param(
            flooding(b"notice\r\n"), Reason.TOO_LARGE, "banner", "in 64 lines", id="endless notice"
        ),
        pytest.param(talking(b"x" * 9999), Reason.TOO_LARGE, "banner", "", id="endless line"),
        pytest.param(talking(b"\x00\xff\x17\n"), Reason.PROTOCOL, "banner", "", id="junk"),
        pytest.param(
            talking(b"SSH-1.5-old\n"), Reason.PROTOCOL, "banner", "want version 2", id="version 1"
        ),
        pytest.param(talking(b"SSH-2.0-\xff\n"), Reason.PROTOCOL, "banner", "", id="no text"),
        pytest.param(
            talking(b"SSH-2.0-x\r\n"), Reason.TIMEOUT, "key_exchange", "", id="greets and sleeps"
        ),
        pytest.param(
            ending(b"SSH-2.0-x\r\n"), Reason.CLOSED, "key_exchange", "", id="greets and goes"
        ),
        pytest.param(
            talking(b"SSH-2.0-x\r\n" + b"\xff" * 64),
            Reason.TOO_LARGE,
            "key_exchange",
            "at most 35000 bytes, got 4294967295",
            id="huge packet",
        ),
        pytest.param(
            talking(b"SSH-2.0-x\r\n" + bytes(64)), Reason.PROTOCOL, "key_exchange", "", id="empty"
        ),
        pytest.param(
            talking(b"SSH-2.0-x\r\n" + packet(GOODBYE)),
            Reason.CLOSED,
            "key_exchange",
            "got a goodbye: b'Too many connections'",
            id="goodbye",
        ),
        pytest.param(
            talking(b"SSH-2.0-x\r\n" + packet(b"\x14" + bytes(20))),
            Reason.PROTOCOL,
            "key_exchange",
            "want a whole message",
            id="half an offer",
        ),
        pytest.param(
            talking(b"SSH-2.0-x\r\n" + packet(bytes((IGNORE,))) * (MAX_IDLE_MESSAGES + 1)),
            Reason.PROTOCOL,
            "key_exchange",
            "want message 20 of SSH",
            id="endless chatter",
        ),
        pytest.param(offering(), Reason.TIMEOUT, "key_exchange", "", id="offers and sleeps"),
        pytest.param(
            offering(exchanges="none"), Reason.PROTOCOL, "key_exchange", "in common", id="no offer"
        ),
        pytest.param(
            offering(reply(b"")), Reason.PROTOCOL, "key_exchange", "a whole message", id="no key"
        ),
        pytest.param(
            offering(reply(pack_string(b"ssh-dss"), b"", b"")),
            Reason.PROTOCOL,
            "key_exchange",
            "got one of type 'ssh-dss'",
            id="a key nobody asked for",
        ),
        pytest.param(
            offering(reply(pack_string(b"ssh-rsa"), b"", b"")),
            Reason.PROTOCOL,
            "key_exchange",
            "want a host key",
            id="no numbers in the key",
        ),
        pytest.param(
            offering(reply(KEY, bytes(32), SIGNATURE)),
            Reason.PROTOCOL,
            "key_exchange",
            "want a public value",
            id="a point that makes the secret known",
        ),
        pytest.param(
            offering(reply(KEY), reply(KEY, POINT, SIGNATURE), guesses=True),
            Reason.PROTOCOL,
            "key_exchange",
            "a whole message",
            id="a good guess is taken",
        ),
        pytest.param(
            offering(
                reply(KEY),
                reply(KEY, POINT, SIGNATURE),
                exchanges="another,curve25519-sha256",
                guesses=True,
            ),
            Reason.PROTOCOL,
            "key_exchange",
            "not its own",
            id="a wrong guess is passed over",
        ),
    ],
)
async def test_each_server_that_does_not_behave_is_told(
    check: Check, handler: Handler, reason: Reason, phase: str, text: str
) -> None:
    timeout_s = 0.1 if reason is Reason.TIMEOUT else 5

    result = await look(check, ssh(), handler, timeout_s)

    assert verdict(result) == (reason, phase), result.failure
    assert text in message(result)
    assert result.seconds < timeout_s + 0.25


async def test_a_notice_in_front_is_a_fact(check: Check) -> None:
    handler = talking(b"Authorised users only\r\nSSH-1.99-Cisco-1.25\n")

    result = await look(check, ssh(key_exchange=False), handler)

    assert result.outcome is Outcome.UP, result.failure
    assert result.facts["notice"] == "Authorised users only"
    assert labels(result, "ssh_server_info") == {"protocol": "1.99", "software": "Cisco-1.25"}


# --- settings


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        pytest.param({"expect": {"host_keys": ["MD5:00:11"]}}, "want SHA256:... or", id="MD5"),
        pytest.param({"expect": {"host_keys": ["SHA256:AAAA"]}}, "want SHA256:... or", id="short"),
        pytest.param({"expect": {"host_keys": ["ssh-rsa %"]}}, "want SHA256:... or", id="no key"),
        pytest.param(
            {"key_exchange": False, "expect": {"host_keys": [OTHER]}},
            "want key_exchange: true where a host key is expected",
            id="no exchange",
        ),
        pytest.param(
            {"host_key_type": "rsa", "expect": {"host_keys": ["ssh-ed25519 AAAA"]}},
            "want host keys of the type in host_key_type",
            id="another type",
        ),
    ],
)
def test_wrong_settings_are_told(keys: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValidationError, match=wanted):
        ssh(**keys)


def test_every_signature_is_of_a_known_key() -> None:
    assert ssh()._algorithms() == tuple(HOST_KEYS)
    assert ssh(host_key_type="rsa")._algorithms() == ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")


async def test_a_target_is_a_host(check: Check) -> None:
    with pytest.raises(ValueError, match="want "):
        ssh().check_target("ssh://host")

    assert verdict(await check(ssh(), "127.1", unknown=True)) == (Reason.CONFIG, None)
