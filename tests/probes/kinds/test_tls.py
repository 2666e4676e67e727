"""Kind tls: what certificate and session of a port say, and what is wanted of them."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from pydantic import ValidationError

from probes.kinds.tls import Tls
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from probes.wire.dialog.starttls import PROTOCOLS, Protocol
from tests.faults.tcp import closing, silent, tcp_fault
from tests.faults.tls import bad_certificate, server_context
from tests.harness import Check, Law
from tests.probes.wire.dialog.test_starttls import TALKS
from tests.servers.nginx import Nginx
from tests.servers.postgres import Postgres
from tests.servers.process import Server, find_program, free_port, start
from tests.servers.redis import Redis
from tests.servers.smtp import Mailroom, smtp_server


def tls(**keys: Any) -> Tls:
    return Tls.model_validate(keys)


LAW = Law(
    kind=Tls(),
    target="{host}:{port}",
    secret=lambda canary: tls(tls={"cert": "x", "key": Secret(canary)}),
)
BAD = {
    "expired": Reason.CERTIFICATE_EXPIRED,
    "not_yet_valid": Reason.CERTIFICATE_EXPIRED,
    "self_signed": Reason.CERTIFICATE_UNTRUSTED,
    "wrong_name": Reason.CERTIFICATE_NAME,
}


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def verdict(result: Result) -> tuple[Reason, str | None] | None:
    return (result.failure.reason, result.failure.phase) if result.failure else None


async def look(
    check: Check, context: ssl.SSLContext, ca_file: Path, *, timeout_s: float = 5, **keys: Any
) -> Result:
    options = {"ca_file": str(ca_file), **keys.pop("tls", {})}
    async with tcp_fault(silent, context=context) as port:
        return await check(tls(tls=options, **keys), f"127.0.0.1:{port}", timeout_s)


async def test_what_certificate_and_session_say_is_told(
    check: Check, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    result = await look(check, server_context, ca_file)

    assert result.outcome is Outcome.UP, result.failure
    assert [(p.name, p.complete) for p in result.phases] == [
        ("resolve", True), ("connect", True), ("tls", True),
    ]  # fmt: skip
    got = values(result)
    assert set(got) == {
        "dns_lookup_time_seconds", "ip_protocol", "ip_addr_hash", "probe_tls_verified",
        "probe_tls_hop_expiry_timestamp_seconds", "ssl_earliest_cert_expiry",
        "ssl_last_chain_expiry_timestamp_seconds", "ssl_last_chain_info", "tls_version_info",
        "tls_cipher_info", "tls_certificate_not_before_timestamp_seconds", "tls_key_size",
        "tls_name_matches",
    }  # fmt: skip
    assert got["probe_tls_verified"] == got["tls_name_matches"] == 1
    assert got["tls_certificate_not_before_timestamp_seconds"] < datetime.now(UTC).timestamp()
    assert got["tls_key_size"] == 256
    assert result.facts["names"] == "localhost, 127.0.0.1, ::1"
    assert result.facts["key"] == "ECDSA 256, signed with sha256"
    assert result.facts["verification"] == "accepted"


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("trust", ["verified", "any", "refused"])
async def test_a_refused_certificate_is_told_and_judged_as_one_asks(
    check: Check, ca: trustme.CA, ca_file: Path, fault: str, trust: str
) -> None:
    context = bad_certificate(ca, fault)
    result = await look(check, context, ca_file, expect={"trust": trust})

    assert verdict(result) == ((BAD[fault], "tls") if trust == "verified" else None)
    assert result.phases[-1] == result.phases[-1]._replace(name="tls", complete=False)
    got = values(result)
    assert got["probe_tls_verified"] == 0
    assert got["tls_name_matches"] == (0 if fault in ("wrong_name", "self_signed") else 1)
    assert got["ssl_last_chain_info"] == got["tls_version_info"] == 1
    is_future = got["tls_certificate_not_before_timestamp_seconds"] > datetime.now(UTC).timestamp()
    assert is_future == (fault == "not_yet_valid")
    assert result.facts["verification"].startswith(BAD[fault].value)
    assert "ssl_last_chain_expiry_timestamp_seconds" not in got


async def test_a_refused_certificate_is_told_over_tls_1_2_too(
    check: Check, ca: trustme.CA, ca_file: Path
) -> None:
    """OpenSSL keeps what the peer sent: no second connection has to look for it."""
    context = bad_certificate(ca, "expired")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    result = await look(check, context, ca_file)

    assert verdict(result) == (Reason.CERTIFICATE_EXPIRED, "tls")
    assert values(result)["ssl_earliest_cert_expiry"] < datetime.now(UTC).timestamp()
    assert values(result)["tls_version_info"] == 1
    assert result.facts["tls"] == "TLS 1.2"
    assert "tls_cipher_info" not in values(result)


async def test_a_trusted_certificate_that_should_be_refused_fails(
    check: Check, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    result = await look(check, server_context, ca_file, expect={"trust": "refused"})

    assert verdict(result) == (Reason.VALUE, "tls")
    assert result.failure is not None
    assert result.failure.message == "want a certificate that is refused, got a trusted one"


async def test_without_verification_it_is_told_that_nothing_was_verified(
    check: Check, ca: trustme.CA, ca_file: Path
) -> None:
    result = await look(check, bad_certificate(ca, "expired"), ca_file, tls={"verify": False})

    assert result.outcome is Outcome.UP
    assert result.facts["verification"] == "not asked for"
    assert values(result)["probe_tls_verified"] == 0


@pytest.mark.parametrize(
    ("expect", "reason", "message"),
    [
        pytest.param({"names": ["localhost", "::1", "0:0::1"]}, None, None, id="names"),
        pytest.param(
            {"names": ["localhost", "www.example.org"]}, Reason.CERTIFICATE_NAME,
            "want a certificate for www.example.org, got names 'localhost, 127.0.0.1, ::1'",
            id="another name",
        ),
        pytest.param({"issuer": "OU=Testing CA"}, None, None, id="issuer"),
        pytest.param(
            {"issuer": "^CN=Let's Encrypt$"}, Reason.CERTIFICATE_UNTRUSTED,
            'want an issuer that matches "^CN=Let\'s Encrypt$", got', id="another issuer",
        ),
        pytest.param(
            {"subject": "^CN=x$"}, Reason.CERTIFICATE_UNTRUSTED,
            "want a subject that matches '^CN=x$', got", id="another subject",
        ),
        pytest.param(
            {"fingerprints": [":".join(["AB"] * 32)]}, Reason.CERTIFICATE_UNTRUSTED,
            "want one of the expected certificates, got SHA-256 ", id="another certificate",
        ),
        pytest.param(
            {"key": {"types": ["ECDSA", "Ed25519"], "rsa_bits": 2048, "ec_bits": 256}}, None, None,
            id="key",
        ),
        pytest.param(
            {"key": {"types": ["RSA"]}}, Reason.VALUE, "want a key of RSA, got ECDSA 256",
            id="another key",
        ),
        pytest.param(
            {"key": {"ec_bits": 384}}, Reason.VALUE,
            "want a key of 384 bits or more, got ECDSA 256", id="a weak key",
        ),
        pytest.param({"versions": [1.2, "1.3"]}, None, None, id="versions"),
        pytest.param({"versions": 1.2}, Reason.VALUE, "want TLS 1.2, got 1.3", id="version"),
        pytest.param(
            {"ciphers": "TLS_NULL"}, Reason.VALUE,
            "want one of the expected ciphers, got TLS_AES_256_GCM_SHA384", id="cipher",
        ),
        pytest.param({"certificate": {"expires_in": "1d"}}, None, None, id="days left"),
        pytest.param(
            {"certificate": {"expires_in": "3650d"}}, Reason.CERTIFICATE_EXPIRING,
            "want the certificate to expire in 3650d or later, got", id="too few days",
        ),
        pytest.param(
            {"latency": "0.1ms"}, Reason.LATENCY, "want latency <= 0.1ms, got", id="slow"
        ),
    ],
)  # fmt: skip
async def test_expectations(
    check: Check, ca: trustme.CA, ca_file: Path, expect: dict[str, Any],
    reason: Reason | None, message: str | None,
) -> None:  # fmt: skip
    # not the one of the session, whose years are many
    soon = datetime.now(UTC) + timedelta(days=90)
    context = server_context_of(ca.issue_cert("localhost", "127.0.0.1", "::1", not_after=soon))
    result = await look(check, context, ca_file, expect=expect)

    assert (result.failure.reason if result.failure else None) is reason, result.failure
    if result.failure is not None and message is not None:
        assert result.failure.message.startswith(message)


def server_context_of(leaf: trustme.LeafCert) -> ssl.SSLContext:
    return server_context(leaf)


async def test_the_expected_certificate_is_known_by_its_fingerprint(
    check: Check, server_context: ssl.SSLContext, ca_file: Path, certificates: Path
) -> None:
    pem = (certificates / "server.pem").read_bytes()
    digest = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex(":").upper()
    result = await look(check, server_context, ca_file, expect={"fingerprints": [digest]})

    assert result.outcome is Outcome.UP, result.failure


async def test_expectations_are_judged_of_a_refused_certificate_too(
    check: Check, ca: trustme.CA, ca_file: Path
) -> None:
    expect = {"trust": "any", "versions": ["1.3"], "key": {"types": ["RSA"]}}
    result = await look(check, bad_certificate(ca, "expired"), ca_file, expect=expect)

    assert verdict(result) == (Reason.VALUE, "tls")


async def test_a_peer_without_a_certificate_is_told_as_such(check: Check, ca_file: Path) -> None:
    async with tcp_fault(closing) as port:
        result = await check(tls(expect={"trust": "any"}), f"127.0.0.1:{port}")

    assert verdict(result) == (Reason.CLOSED, "tls")
    assert "tls_key_size" not in values(result)


# --- behind plain text


@contextmanager
def plain_first(protocol: Protocol, context: ssl.SSLContext, times: int = 1) -> Iterator[int]:
    """Speak *protocol*, then TLS, over *times* connections; give the port."""
    said, wanted = TALKS[protocol]
    # what a server is told of its name is the name asked for
    wanted = wanted.replace(b"a&amp;b.example", b"localhost")

    def serve(listener: socket.socket) -> None:
        for _ in range(times):
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5)
                    connection.sendall(said)
                    heard = b""
                    while len(heard) < len(wanted) and (
                        data := connection.recv(len(wanted) - len(heard))
                    ):
                        heard += data
                    assert heard == wanted
                    with context.wrap_socket(connection, server_side=True) as session:
                        session.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.join()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_every_protocol_leads_to_tls(
    check: Check, protocol: Protocol, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    kind = tls(starttls=protocol, tls={"ca_file": str(ca_file), "server_name": "localhost"})
    with plain_first(protocol, server_context) as port:
        result = await check(kind, f"127.0.0.1:{port}")

    assert result.outcome is Outcome.UP, result.failure
    assert [(p.name, p.complete) for p in result.phases] == [
        ("resolve", True), ("connect", True), ("dialog", True), ("tls", True),
    ]  # fmt: skip


async def test_a_server_that_does_not_want_to_is_told_before_the_handshake(check: Check) -> None:
    with smtp_server(Mailroom()) as port:
        result = await check(tls(starttls="smtp"), f"127.0.0.1:{port}")

    assert verdict(result) == (Reason.TLS, "dialog")
    assert result.failure is not None
    assert result.failure.message.startswith("want an SMTP server that offers STARTTLS, got")


async def test_silence_is_told_in_its_phase(check: Check) -> None:
    async with tcp_fault(silent) as port:
        before = await check(tls(starttls="imap"), f"127.0.0.1:{port}", 0.1)
        without = await check(tls(), f"127.0.0.1:{port}", 0.1)

    assert verdict(before) == (Reason.TIMEOUT, "dialog")
    assert verdict(without) == (Reason.TIMEOUT, "tls")


# --- real servers


async def test_a_real_smtp_server(
    check: Check, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    kind = tls(starttls="smtp", tls={"ca_file": str(ca_file)})
    with smtp_server(Mailroom(), context=server_context) as port:
        result = await check(kind, f"127.0.0.1:{port}")

    assert result.outcome is Outcome.UP, result.failure


@pytest.mark.service
async def test_a_real_postgresql(check: Check, postgres_server: Postgres, ca_file: Path) -> None:
    kind = tls(starttls="postgres", tls={"ca_file": str(ca_file)})
    result = await check(kind, f"127.0.0.1:{postgres_server.port}")

    assert result.outcome is Outcome.UP, result.failure


@pytest.mark.service
async def test_a_real_redis(check: Check, redis_server: Redis, ca_file: Path) -> None:
    result = await check(tls(tls={"ca_file": str(ca_file)}), f"127.0.0.1:{redis_server.tls_port}")

    assert result.outcome is Outcome.UP, result.failure


@pytest.mark.service
async def test_a_real_nginx(check: Check, nginx: Nginx, ca_file: Path) -> None:
    kind = tls(tls={"ca_file": str(ca_file)}, stapling="told", expect={"versions": "1.2"})
    result = await check(kind, f"127.0.0.1:{nginx.old_port}")
    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["tls_ocsp_stapled"] == 0
    assert result.facts["ocsp"] == "none"

    result = await check(kind, f"127.0.0.1:{nginx.mutual_port}")
    assert verdict(result) == (Reason.VALUE, "tls")
    # what it says of a missing client certificate comes after the handshake of TLS 1.3
    kind = tls(tls={"ca_file": str(ca_file), "max_version": "1.2"})
    result = await check(kind, f"127.0.0.1:{nginx.mutual_port}")
    assert result.outcome is Outcome.UP, result.failure


# --- stapling


def ocsp_answer(
    ca: trustme.CA, leaf: x509.Certificate, status: ocsp.OCSPCertStatus, days: float
) -> bytes:
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    now = datetime.now(UTC).replace(microsecond=0)
    is_revoked = status is ocsp.OCSPCertStatus.REVOKED
    answer = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            leaf,
            issuer,
            hashes.SHA256(),
            status,
            now - timedelta(days=9),
            now + timedelta(days=days),
            now - timedelta(days=9) if is_revoked else None,
            None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
        .sign(key, hashes.SHA256())  # type: ignore[arg-type] # trustme's key is one that signs
    )
    return answer.public_bytes(serialization.Encoding.DER)


@contextmanager
def stapling(directory: Path, certificates: Path, answer: bytes, *more: str) -> Iterator[Server]:
    (directory / "ocsp.der").write_bytes(answer)
    port = free_port()
    command: list[str | Path] = [
        find_program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-www",
        "-cert", certificates / "server.pem", "-key", certificates / "server.key",
        "-cert_chain", certificates / "server.pem", "-status_file", directory / "ocsp.der", *more,
    ]  # fmt: skip
    server = start(command, port, directory, ready=lambda: connects(port))
    try:
        yield server
    finally:
        server.stop()


def connects(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=1).close()


@pytest.mark.service
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(("GOOD", 5, "required", None, ""), id="good"),
        pytest.param(
            ("GOOD", -1, "required", Reason.VALUE,
             "want a good OCSP answer stapled to the certificate, got one until 2"),
            id="outdated",
        ),
        pytest.param(("GOOD", -1, "told", None, ""), id="outdated is told"),
        pytest.param(
            ("REVOKED", 5, "told", Reason.CERTIFICATE_UNTRUSTED,
             "want a certificate that is not revoked, got the OCSP answer 'revoked'"),
            id="revoked",
        ),
        pytest.param(
            ("UNKNOWN", 5, "required", Reason.VALUE,
             "want a good OCSP answer stapled to the certificate, got 'unknown'"),
            id="unknown",
        ),
    ],
)  # fmt: skip
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_stapled_answer_is_seen_and_judged(
    check: Check, ca: trustme.CA, certificates: Path, tmp_path: Path,
    row: tuple[str, float, str, Reason | None, str],
) -> None:  # fmt: skip
    status, days, wish, reason, message = row
    leaf = x509.load_pem_x509_certificate((certificates / "server.pem").read_bytes())
    answer = ocsp_answer(ca, leaf, ocsp.OCSPCertStatus[status], days)
    kind = tls(tls={"ca_file": str(certificates / "ca.pem")}, stapling=wish)
    with stapling(tmp_path, certificates, answer) as server:
        result = await check(kind, server.address)

    assert (result.failure.reason if result.failure else None) is reason, result.failure
    if result.failure is not None:
        assert result.failure.phase == "staple"
        assert result.failure.message.startswith(message)
    got = values(result)
    assert got["tls_ocsp_stapled"] == 1
    due = datetime.now(UTC) + timedelta(days=days)
    assert abs(got["tls_ocsp_next_update_timestamp_seconds"] - due.timestamp()) < 60
    assert result.facts["ocsp"] == status.lower()


async def test_a_staple_that_is_required_and_not_there_fails(
    check: Check, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    result = await look(check, server_context, ca_file, stapling="required")

    assert verdict(result) == (Reason.VALUE, "staple")
    assert result.failure is not None
    assert result.failure.message == (
        "want a good OCSP answer stapled to the certificate, got none"
    )
    assert values(result)["tls_ocsp_stapled"] == 0


@pytest.mark.service
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_server_without_tls_1_2_cannot_be_asked(
    check: Check, certificates: Path, tmp_path: Path
) -> None:
    options = {"ca_file": str(certificates / "ca.pem")}
    with stapling(tmp_path, certificates, b"", "-tls1_3") as server:
        told = await check(tls(tls=options, stapling="told"), server.address)
        required = await check(tls(tls=options, stapling="required"), server.address)

    assert told.outcome is Outcome.UP, told.failure
    assert told.facts["ocsp"] == "cannot be seen: want a flight of TLS 1.2, got the alert 70"
    assert "tls_ocsp_stapled" not in values(told)
    assert verdict(required) == (Reason.TLS, "staple")


async def test_behind_plain_text_a_staple_is_looked_for_too(
    check: Check, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    kind = tls(starttls="imap", tls={"ca_file": str(ca_file)}, stapling="told")
    with plain_first("imap", server_context, times=2) as port:
        result = await check(kind, f"127.0.0.1:{port}")

    assert result.facts.get("ocsp") == "none", result.failure


# --- settings


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param(
            {"tls": {"verify": False}, "expect": {"trust": "refused"}},
            "want tls.verify where expect.trust is judged, got false", id="nothing to judge",
        ),
        pytest.param(
            {"expect": {"fingerprints": ["ab"]}}, "want a SHA-256 in hex, got 'ab'", id="pin"
        ),
        pytest.param({"starttls": "gopher"}, "'smtp', 'imap'", id="protocol"),
        pytest.param({"expect": {"versions": ["1.4"]}}, "'1.0', '1.1', '1.2' or '1.3'", id="TLS"),
        pytest.param(
            {"stapling": "told", "tls": {"min_version": "1.3"}},
            "want TLS 1.2 among the versions where a staple is looked for, got 1.3 to 1.3",
            id="no 1.2",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_load(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        tls(**keys)

    assert message in str(caught.value)


async def test_a_target_has_a_port(check: Check) -> None:
    with pytest.raises(ValueError, match="want"):
        tls().check_target("localhost")

    assert verdict(await check(tls(), "localhost", unknown=True)) == (Reason.CONFIG, None)


async def test_a_wrong_file_is_told_before_anybody_is_bothered(check: Check) -> None:
    accepted = asyncio.Event()

    async def notice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()

    async with tcp_fault(notice) as port:
        kind = tls(tls={"ca_file": "/nowhere/ca.pem"})
        result = await check(kind, f"127.0.0.1:{port}", unknown=True)

    assert verdict(result) == (Reason.CONFIG, None)
    assert not accepted.is_set()
