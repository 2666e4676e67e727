"""The ``tls:`` block and the hook: what is verified, and what the peer showed even when refused."""

import asyncio
import os
import socket
import ssl
import warnings
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from probes.errors import CheckFailed
from probes.expect import CertificateExpect
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.net import Address, dial
from probes.wire.peer import (
    NOTE,
    RecordingContext,
    TlsNote,
    forget_peer,
    judge_certificate,
    noted,
    sent_chain,
    verified_chain,
)
from probes.wire.suites import iana_name
from probes.wire.tls import NET_METRICS, TLS_METRICS, TlsOptions
from tests.faults.tcp import echoing, tcp_fault


def here(port: int, host: str = "127.0.0.1") -> Address:
    return Address(host, port, "127.0.0.1", 4)


def names(recorder: Recorder) -> dict[str, float]:
    return {sample.name: sample.value for sample in recorder.samples}


def labels(recorder: Recorder, name: str) -> dict[str, str]:
    (sample,) = [sample for sample in recorder.samples if sample.name == name]
    return dict(sample.labels)


async def shake(port: int, options: TlsOptions, **how: Any) -> Recorder:
    recorder = Recorder()
    async with dial(here(port), recorder, context=options.context(), **how) as connection:
        connection.write(b"x")
        assert await connection.read_exactly(1) == b"x"
    return recorder


# --- options


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param({"ca": "x", "ca_file": "y"}, "want ca or ca_file, got both", id="two ca"),
        pytest.param(
            {"cert": "x", "cert_file": "y"}, "want cert or cert_file, got both", id="cert"
        ),
        pytest.param(
            {"key": "x", "key_file": "y", "cert": "c"}, "want key or key_file, got both", id="key"
        ),
        pytest.param(
            {"key_file": "x"}, "want a client certificate to the key, got none", id="key alone"
        ),
        pytest.param(
            {"min_version": "1.3", "max_version": "1.2"},
            "want min_version <= max_version, got 1.3, 1.2",
            id="versions",
        ),
        pytest.param({"ciphers": "NONSENSE"}, "want ciphers in OpenSSL's notation", id="ciphers"),
        pytest.param({"min_version": "2.0"}, "Input should be '1.0'", id="version"),
        pytest.param({"server_name": "a b"}, "want a host name or an address", id="server name"),
        pytest.param({"insecure": True}, "Extra inputs are not permitted", id="unknown key"),
    ],
)
def test_a_wrong_block_is_told_at_load(block: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TlsOptions.model_validate(block)


@pytest.mark.parametrize("spelling", ["1.2", 1.2, "TLS12"], ids=["text", "number", "upstream"])
def test_a_version_may_be_written_as_text_number_or_as_upstream_does(spelling: object) -> None:
    assert TlsOptions.model_validate({"min_version": spelling}).min_version == "1.2"


def test_equal_options_share_one_context_and_others_do_not() -> None:
    one, same, other = TlsOptions(), TlsOptions(), TlsOptions(min_version="1.3")

    assert one.context() is same.context()
    assert one.context(("h2",)) is same.context(("h2",))
    assert one.context() is not one.context(("h2",))
    assert one.context() is not other.context()


def test_the_context_verifies_the_same_on_every_python() -> None:
    context = TlsOptions().context()

    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert not context.hostname_checks_common_name
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_paths_stand_beside_the_probe_file(tmp_path: Path) -> None:
    options = TlsOptions.model_validate({"ca_file": "ca.pem"}, context={"directory": tmp_path})

    assert options.ca_file == str(tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param(
            {"ca_file": "/nowhere/ca.pem"},
            "want authorities (PEM) in /nowhere/ca.pem, got No such file or directory",
            id="no CA file",
        ),
        pytest.param({"ca": "junk"}, "want authorities (PEM) in tls.ca, got ", id="no PEM"),
        pytest.param(
            {"cert_file": "/nowhere/c.pem", "key_file": "/nowhere/c.key"},
            "want a client certificate and its key (PEM) in /nowhere/c.pem and /nowhere/c.key, "
            "got No such file or directory",
            id="no certificate",
        ),
        pytest.param(
            {"cert": "junk", "key": "hunter2"},
            "want a client certificate and its key (PEM) in tls.cert, got ",
            id="junk certificate",
        ),
    ],
)
def test_a_file_that_is_missing_or_odd_is_the_probers_fault(
    block: dict[str, object], message: str
) -> None:
    with pytest.raises(CheckFailed) as caught:
        TlsOptions.model_validate({"verify": "cert" not in str(block), **block}).context()

    assert caught.value.reason is Reason.CONFIG
    assert caught.value.message.startswith(message)
    assert "hunter2" not in caught.value.message


def test_a_key_with_a_passphrase_is_told_and_asks_nobody(ca: trustme.CA, tmp_path: Path) -> None:
    leaf = ca.issue_cert("client")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    path = tmp_path / "client.key"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    options = TlsOptions(
        verify=False, cert=leaf.cert_chain_pems[0].bytes().decode(), key_file=str(path)
    )

    with pytest.raises(CheckFailed, match="got the key has a passphrase"):
        options.context()


def test_a_system_without_authorities_is_the_probers_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RecordingContext, "load_default_certs", lambda _: None)
    nothing = SimpleNamespace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)

    with pytest.raises(CheckFailed, match="want authorities to trust") as caught:
        TlsOptions(ciphers="HIGH")._build(())
    assert caught.value.reason is Reason.CONFIG


def test_a_rotated_file_is_seen_after_a_reload(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    old, new = trustme.CA(), trustme.CA()
    old.cert_pem.write_to_path(path)
    before = TlsOptions(ca_file=str(path))
    same = TlsOptions(ca_file=str(path))
    assert before.context() is same.context()

    new.cert_pem.write_to_path(path)
    os.utime(path, ns=(1, 1))
    after = TlsOptions(ca_file=str(path))

    assert before.context().get_ca_certs() != after.context().get_ca_certs()
    path.unlink()
    with pytest.raises(CheckFailed, match="No such file"):
        TlsOptions(ca_file=str(path)).context()


@pytest.mark.parametrize("inline", [True, False], ids=["as text", "as files"])
async def test_a_client_certificate_is_shown_and_never_to_another_origin(
    certificates: Path, server_context: ssl.SSLContext, *, inline: bool
) -> None:
    """T44"""
    ca_file, cert, key = (certificates / f for f in ("ca.pem", "client.pem", "client.key"))
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(ca_file)
    block = {"ca_file": str(ca_file)}
    if inline:
        block |= {"cert": cert.read_text(), "key": key.read_text()}
    else:
        block |= {"cert_file": str(cert), "key_file": str(key)}
    options = TlsOptions.model_validate(block)

    async with tcp_fault(echoing, context=server_context) as port:
        recorder = await shake(port, options)
        assert names(recorder)["probe_tls_verified"] == 1

        bare = options.without_identity()
        assert bare.context() is not options.context()
        with pytest.raises(CheckFailed) as caught:
            await shake(port, bare)
    assert caught.value.reason in {Reason.TLS, Reason.CLOSED}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_version_and_cipher_are_told_by_their_registered_names(
    ca_file: Path, server_context: ssl.SSLContext, version: str
) -> None:
    options = TlsOptions.model_validate(
        {"ca_file": str(ca_file), "min_version": version, "max_version": version}
    )

    async with tcp_fault(echoing, context=server_context) as port:
        recorder = await shake(port, options)

    assert labels(recorder, "tls_version_info") == {"version": f"TLS {version}"}
    cipher = labels(recorder, "tls_cipher_info")["cipher"]
    assert cipher.startswith("TLS_")
    assert recorder.facts["tls"] == f"TLS {version}, {cipher}"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_an_old_server_is_reached_when_asked_for(
    ca_file: Path, server_context: ssl.SSLContext, version: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server_context.minimum_version = ssl.TLSVersion.TLSv1
        server_context.maximum_version = ssl.TLSVersion.TLSv1_1
    server_context.set_ciphers("DEFAULT:@SECLEVEL=0")
    options = TlsOptions.model_validate(
        {"ca_file": str(ca_file), "min_version": version, "max_version": version}
    )

    async with tcp_fault(echoing, context=server_context) as port:
        recorder = await shake(port, options)
        with pytest.raises(CheckFailed) as caught:
            await shake(port, TlsOptions(ca_file=str(ca_file)))

    assert labels(recorder, "tls_version_info") == {"version": f"TLS {version}"}
    # servers on asyncio end without the alert
    assert caught.value.reason in {Reason.TLS, Reason.CLOSED}


async def test_the_offered_protocols_are_negotiated(
    ca_file: Path, server_context: ssl.SSLContext
) -> None:
    server_context.set_alpn_protocols(["h2"])
    context = TlsOptions(ca_file=str(ca_file)).context(("h2", "http/1.1"))

    async with (
        tcp_fault(echoing, context=server_context) as port,
        dial(here(port), Recorder(), context=context) as connection,
    ):
        peer = connection.transport.get_extra_info("ssl_object")
        assert peer.selected_alpn_protocol() == "h2"


def test_an_unknown_suite_is_told_by_its_number() -> None:
    assert iana_name(0x1301) == "TLS_AES_128_GCM_SHA256"
    assert iana_name(0xC0AC) == "0xC0AC"


# --- the hook


@pytest.mark.parametrize("name", ["", None])
def test_an_empty_server_name_never_switches_checking_off(name: str | None) -> None:
    context = TlsOptions().context()

    with pytest.raises(ValueError, match="want a server name to check, got none"):
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)


async def test_our_own_dial_takes_an_empty_name_for_the_host(
    ca: trustme.CA, server_context: ssl.SSLContext
) -> None:
    options = TlsOptions(ca=ca.cert_pem.bytes().decode())

    async with tcp_fault(echoing, context=server_context) as port:
        await shake(port, options, server_name="")
        with pytest.raises(CheckFailed) as caught:
            async with dial(here(port, "other.example"), Recorder(), context=options.context()):
                pass

    assert caught.value.reason is Reason.CERTIFICATE_NAME


async def test_a_driver_that_dials_the_address_still_verifies_the_pinned_name(
    ca_file: Path, server_context: ssl.SSLContext
) -> None:
    loop = asyncio.get_running_loop()
    context = TlsOptions(ca_file=str(ca_file)).context()
    recorder = Recorder()

    async with tcp_fault(echoing, context=server_context) as port:
        with noted(recorder, "localhost"):
            transport, _ = await loop.create_connection(
                asyncio.Protocol, "127.0.0.1", port, ssl=context, server_hostname="127.0.0.1"
            )
        transport.abort()
        wrong = Recorder()
        with pytest.raises(ssl.SSLCertVerificationError), noted(wrong, "wrong.example"):
            await loop.create_connection(asyncio.Protocol, "127.0.0.1", port, ssl=context)

    assert names(recorder)["probe_tls_verified"] == 1
    assert [phase.name for phase in recorder.phases] == ["tls"]
    assert names(wrong)["probe_tls_verified"] == 0
    assert "certificate" in wrong.facts
    assert NOTE.get() is None


def test_libraries_that_wrap_sockets_pass_the_same_hook() -> None:
    context = TlsOptions().context()
    recorder = Recorder()
    ours, theirs = socket.socketpair()

    with ours, theirs, noted(recorder, "pinned.example") as note:
        ours.setblocking(False)
        with context.wrap_socket(
            ours, server_hostname="other.example", do_handshake_on_connect=False
        ) as wrapped:
            assert note.peer is wrapped
            assert wrapped.server_hostname == "pinned.example"
            note.record()
            note.peer = None
            assert recorder.phase_name == "tls"
    with socket.socket() as bare, pytest.raises(ValueError, match="want a server name"):
        context.wrap_socket(bare)


def test_without_a_note_the_context_is_an_ordinary_one() -> None:
    wrapped = TlsOptions().context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="h")

    assert wrapped.server_hostname == "h"
    TlsNote(Recorder()).record()


def test_the_chain_is_read_on_every_python() -> None:
    """Python 3.13 has public methods, 3.11 and 3.12 only those of the inner object."""
    public: Any = SimpleNamespace(
        get_unverified_chain=lambda: [b"leaf", b"root"], get_verified_chain=lambda: None
    )
    inner = SimpleNamespace(
        get_unverified_chain=lambda: [SimpleNamespace(public_bytes=lambda form: b"%d" % form)],
        get_verified_chain=lambda: None,
    )
    private: Any = SimpleNamespace(_sslobj=inner)
    unconnected: Any = SimpleNamespace(_sslobj=None)

    assert sent_chain(public) == (b"leaf", b"root")
    assert verified_chain(public) == ()
    assert sent_chain(private) == (b"2",)
    assert verified_chain(private) == sent_chain(unconnected) == ()


# --- what is recorded


@pytest.mark.parametrize(
    ("cipher", "oldest", "version"),
    [
        pytest.param(("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128), "1.0", "TLS 1.3", id="1.3"),
        pytest.param(("ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.2", 128), "1.0", "TLS 1.2", id="1.2"),
        pytest.param(("AES128-SHA", "SSLv3", 128), "1.2", "TLS 1.2", id="old suite, 1.2 at least"),
        pytest.param(("AES128-SHA", "SSLv3", 128), "1.0", "unknown", id="old suite, any version"),
    ],
)
def test_a_refused_handshake_still_tells_its_version_by_the_suite(
    cipher: tuple[str, str, int], oldest: str, version: str
) -> None:
    block = {"verify": False, "min_version": oldest, "ciphers": "ALL"}
    context = TlsOptions.model_validate(block).context()
    peer: Any = SimpleNamespace(
        version=lambda: None,
        cipher=lambda: cipher,
        context=context,
        get_unverified_chain=list,
        get_verified_chain=list,
    )
    recorder = Recorder()

    TlsNote(recorder, peer=peer).record()

    assert labels(recorder, "tls_version_info") == {"version": version}
    assert labels(recorder, "tls_cipher_info")["cipher"].startswith("TLS_")


async def test_the_last_hop_has_the_final_say_and_each_hop_its_own(
    ca_file: Path, server_context: ssl.SSLContext
) -> None:
    context = TlsOptions(ca_file=str(ca_file)).context()
    recorder = Recorder()
    async with tcp_fault(echoing, context=server_context) as port:
        for hop in (0, 1):
            with noted(recorder, "localhost", hop=hop):
                transport, _ = await asyncio.get_running_loop().create_connection(
                    asyncio.Protocol, "127.0.0.1", port, ssl=context
                )
            transport.abort()

    found = [sample.name for sample in recorder.samples]
    assert found.count("ssl_last_chain_info") == found.count("tls_version_info") == 1
    assert found.count("probe_tls_verified") == 2
    assert found.count("probe_tls_hop_expiry_timestamp_seconds") == 2

    forget_peer(recorder)
    assert {sample.name for sample in recorder.samples} == {
        "probe_tls_verified", "probe_tls_hop_expiry_timestamp_seconds",
    }  # fmt: skip


async def test_every_sample_is_declared(ca_file: Path, server_context: ssl.SSLContext) -> None:
    declared = {metric.name: set(metric.labels) for metric in (*TLS_METRICS, *NET_METRICS)}

    async with tcp_fault(echoing, context=server_context) as port:
        recorder = Recorder()
        context = TlsOptions(ca_file=str(ca_file)).context()
        async with dial(f"127.0.0.1:{port}", recorder, context=context):
            pass

    assert {s.name: {name for name, _ in s.labels} for s in recorder.samples} == declared


async def test_without_verification_facts_come_and_nothing_counts_as_verified(
    server_context: ssl.SSLContext,
) -> None:
    async with tcp_fault(echoing, context=server_context) as port:
        recorder = await shake(port, TlsOptions(verify=False))

    assert names(recorder)["probe_tls_verified"] == 0
    assert "ssl_earliest_cert_expiry" in names(recorder)
    assert "ssl_last_chain_expiry_timestamp_seconds" not in names(recorder)


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        pytest.param(8 * 86400, "up", id="enough"),
        pytest.param(5 * 86400, "degraded", id="warn"),
        pytest.param(2 * 86400, "down", id="fail"),
    ],
)
def test_the_earliest_certificate_of_all_hops_is_judged(seconds: float, verdict: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    expect = CertificateExpect.model_validate({"expires_in": {"warn": "7d", "fail": "3d"}})
    recorder = Recorder()
    for hop, more in enumerate((9e9, 0.0, 9e9)):
        recorder.sample(
            "probe_tls_hop_expiry_timestamp_seconds", now.timestamp() + seconds + more, hop=str(hop)
        )

    if verdict == "down":
        with pytest.raises(CheckFailed) as caught:
            judge_certificate(expect, recorder, now)
        assert caught.value.reason is Reason.CERTIFICATE_EXPIRING
    else:
        judge_certificate(expect, recorder, now)
    assert len(recorder.warnings) == (verdict == "degraded")
    judge_certificate(None, recorder)
    judge_certificate(expect, Recorder())
