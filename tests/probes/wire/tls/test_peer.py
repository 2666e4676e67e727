"""The hook: what the peer showed is recorded, also when it was refused."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from probes.errors import CheckFailed
from probes.expect import CertificateExpect
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.net import dial
from probes.wire.tls.peer import (
    NOTE,
    TlsNote,
    forget_peer,
    judge_certificate,
    noted,
    sent_chain,
    verified_chain,
)
from probes.wire.tls.settings import NET_METRICS, TLS_METRICS, TlsOptions
from tests.faults.tcp import echoing, tcp_fault
from tests.probes.wire.readings import here, labels, shake, values

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

    assert values(recorder)["probe_tls_verified"] == 1
    assert [phase.name for phase in recorder.phases] == ["tls"]
    assert values(wrong)["probe_tls_verified"] == 0
    assert "certificate" in wrong.facts
    assert recorder.facts["asked_for"] == "localhost (matches)"
    assert wrong.facts["asked_for"] == "wrong.example (does not match)"
    assert recorder.facts["key"] == wrong.facts["key"] == "ECDSA 256, signed with sha256"
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


async def test_the_certificate_of_a_peer_is_not_decoded_for_nobody(
    ca_file: Path, server_context: ssl.SSLContext
) -> None:
    """Whoever trusts the text would refuse this peer; its bytes are what was verified."""
    async with (
        tcp_fault(echoing, context=server_context) as port,
        dial(here(port), Recorder(), context=TlsOptions(ca_file=str(ca_file)).context()) as opened,
    ):
        peer = opened.transport.get_extra_info("ssl_object")

        assert opened.transport.get_extra_info("peercert") == {}
        assert peer.getpeercert() == {}
        assert peer.getpeercert(binary_form=True) == sent_chain(peer)[0]


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

    assert values(recorder)["probe_tls_verified"] == 0
    assert "ssl_earliest_cert_expiry" in values(recorder)
    assert "ssl_last_chain_expiry_timestamp_seconds" not in values(recorder)


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
