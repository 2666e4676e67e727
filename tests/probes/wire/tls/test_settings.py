"""The ``tls:`` block and the hook: what is verified, and what the peer showed even when refused."""

import asyncio
import os
import ssl
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.credentials import read_off_loop
from probes.wire.net import dial
from probes.wire.tls import settings
from probes.wire.tls.peer import (
    RecordingContext,
)
from probes.wire.tls.settings import TlsOptions
from probes.wire.tls.suites import iana_name
from tests.faults.tcp import echoing, tcp_fault
from tests.probes.wire.readings import here, labels, shake, values

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


def test_used_options_equal_unused_ones() -> None:
    used, unused = TlsOptions(min_version="1.3"), TlsOptions(min_version="1.3")
    used.context()
    assert used == unused


def test_a_copy_does_not_use_the_contexts_of_its_original() -> None:
    used = TlsOptions(min_version="1.3")
    used.context()
    copy = used.model_copy(update={"verify": False})
    assert copy.context().verify_mode == ssl.CERT_NONE


def test_preparing_builds_the_context_and_leaves_a_mistake_to_the_run() -> None:
    options = TlsOptions(min_version="1.3")
    options.prepare(("h2",))
    assert list(options._contexts) == [(("h2",), True)]

    wrong = TlsOptions(ca_file="/nowhere/ca.pem")
    wrong.prepare()
    with pytest.raises(CheckFailed, match="No such file"):
        wrong.context()


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
    """F56: a key or CA that cannot be read."""
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
    """F56: no CA bundle."""
    monkeypatch.setattr(RecordingContext, "load_default_certs", lambda _: None)
    nothing = SimpleNamespace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)

    with pytest.raises(CheckFailed, match="want authorities to trust") as caught:
        TlsOptions(ciphers="HIGH")._build(())
    assert caught.value.reason is Reason.CONFIG


def test_a_rotated_file_is_seen_after_a_reload(tmp_path: Path) -> None:
    """F56: a file that was rotated on disk."""
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
        assert values(recorder)["probe_tls_verified"] == 1

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


async def test_of_many_runs_at_once_one_looks_at_the_files(
    ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look takes a thread."""
    file = tmp_path / "ca.pem"
    await asyncio.to_thread(ca.cert_pem.write_to_path, file)
    options = TlsOptions(ca_file=str(file))
    await asyncio.to_thread(options.context)
    looks: list[str] = []

    async def counted(path: str, *rest: Any) -> object:
        looks.append(path)
        return await read_off_loop(path, *rest)

    monkeypatch.setattr(settings, "read_off_loop", counted)
    await asyncio.gather(*(options.reread(Recorder()) for _ in range(8)))
    assert looks == [str(file)]
    options._looked.clear()  # a second later

    await asyncio.to_thread(file.unlink)
    for _ in range(2):  # a file that is missing is looked for each time
        with pytest.raises(CheckFailed, match="No such file"):
            await options.reread(Recorder())

    assert len(looks) == 3


async def test_of_many_runs_at_once_none_goes_on_with_what_was_there_before(
    ca: trustme.CA, tmp_path: Path
) -> None:
    """A run may be the first for an hour: then nobody has looked at what changed meanwhile."""
    file = tmp_path / "ca.pem"
    await asyncio.to_thread(trustme.CA().cert_pem.write_to_path, file)
    options = await asyncio.to_thread(TlsOptions, ca_file=str(file))
    old = await asyncio.to_thread(options.context)
    # a disk that lets nobody go on before we write
    await asyncio.to_thread(file.unlink)
    await asyncio.to_thread(os.mkfifo, file)

    async def run() -> RecordingContext:
        await options.reread(Recorder())
        return options.context()

    runs = [asyncio.create_task(run()) for _ in range(8)]
    await asyncio.sleep(0)
    await asyncio.to_thread(file.write_bytes, ca.cert_pem.bytes())
    found = set(await asyncio.gather(*runs))

    assert len(found) == 1
    assert old not in found


async def test_who_waits_for_a_look_that_hangs_blames_the_disk_too(tmp_path: Path) -> None:
    options = TlsOptions(ca_file=str(tmp_path / "ca.pem"))

    async with options._turn:
        with pytest.raises(CheckFailed, match="got no answer of the disk") as caught:
            await options.reread(Recorder(asyncio.get_running_loop().time() + 0.05))

    assert caught.value.reason is Reason.CONFIG
