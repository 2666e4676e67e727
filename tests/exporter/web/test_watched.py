"""The web config file as it changes on disk."""

import shutil
import ssl
from pathlib import Path

import pytest
import trustme

from exporter.web.tls import TlsSettings, make_context, may_enter
from exporter.web.watched import WatchedConfig
from exporter.web.webconfig import WebConfig
from probes.errors import ConfigError

TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"


@pytest.fixture
def directory(certificates: Path, tmp_path: Path) -> Path:
    for name in ("server.pem", "server.key", "client.pem", "client.key"):
        shutil.copy(certificates / name, tmp_path / name)
    return tmp_path


def watch(directory: Path, text: str) -> WatchedConfig:
    (directory / "web.yml").write_text(text)
    watched = WatchedConfig(directory / "web.yml")
    watched.load()
    return watched


def test_without_a_file_there_is_an_empty_config() -> None:
    watched = WatchedConfig(None)
    watched.load()

    assert not watched.refresh()
    assert watched.state.config == WebConfig()
    assert watched.state.context is None


def test_a_change_is_read_and_an_unchanged_file_is_not(directory: Path) -> None:
    watched = watch(directory, "http_server_config: {headers: {X-Frame-Options: deny}}")
    assert not watched.refresh()

    (directory / "web.yml").write_text("http_server_config: {headers: {}}")

    assert watched.refresh()
    assert watched.state.config.headers == ()
    assert not watched.refresh()


def test_a_broken_file_is_told_until_it_is_mended(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch(directory, "basic_auth_users: {}")
    (directory / "web.yml").write_text("basic_auth_user: {}")

    assert watched.refresh()
    assert "want one of tls_server_config" in watched.state.problem
    assert "every request gets 500" in caplog.text
    assert not watched.refresh()

    (directory / "web.yml").write_text("basic_auth_users:")
    assert watched.refresh()
    assert watched.state.problem == ""


def test_a_file_that_vanishes_is_told(directory: Path) -> None:
    watched = watch(directory, "")
    (directory / "web.yml").unlink()

    assert watched.refresh()
    assert "want a readable file" in watched.state.problem


def test_a_new_certificate_makes_a_new_context(directory: Path) -> None:
    watched = watch(directory, TLS)
    before = watched.state.context
    leaf = trustme.CA().issue_cert("localhost")
    leaf.cert_chain_pems[0].write_to_path(directory / "server.pem")

    assert watched.refresh()
    assert watched.state.context is before, "half a rotation: certificate and key do not match"

    leaf.private_key_pem.write_to_path(directory / "server.key")
    assert watched.refresh()
    assert watched.state.context is not before
    assert watched.state.problem == ""


def test_tls_and_rate_limit_are_fixed_at_start(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch(directory, TLS)
    (directory / "web.yml").write_text("rate_limit: {interval: 1s, burst: 1}")

    assert watched.refresh()

    assert watched.state.context is not None
    assert watched.state.config.rate is None
    assert "want a restart to turn TLS on or off" in caplog.text
    assert "want a restart to change rate_limit" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TLS.replace("server.pem", "no.pem"), "want a readable file, got"),
        (TLS.replace("server.pem", "server.key"), "want a certificate and its key in PEM, got"),
        (TLS.replace("server.key", "client.key"), "got key values mismatch"),
        (TLS.replace("server.key", "locked.key"), "want a key without a passphrase"),
        (
            TLS.replace("}", ", client_ca_file: empty, client_auth_type: VerifyClientCertIfGiven}"),
            "want CA certificates in PEM, got",
        ),
    ],
)
def test_a_certificate_that_cannot_be_used_stops_the_start(
    directory: Path, text: str, message: str
) -> None:
    (directory / "empty").write_text("nothing")
    (directory / "locked.key").write_bytes(LOCKED_KEY)

    with pytest.raises(ConfigError) as caught:
        watch(directory, text)

    assert message in str(caught.value)
    assert "tls_server_config: " in str(caught.value)


def test_inline_certificates_need_no_file(directory: Path) -> None:
    settings = TlsSettings(
        cert=(directory / "server.pem").read_text(),
        key=(directory / "server.key").read_text(),
        client_ca=(directory / "server.pem").read_text(),
        client_auth=ssl.CERT_OPTIONAL,
    )

    context = make_context(settings)

    assert settings.files == ()
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert "PRIVATE" not in repr(settings)


def test_without_a_client_ca_the_system_is_trusted(directory: Path) -> None:
    settings = TlsSettings(
        directory / "server.pem", directory / "server.key", client_auth=ssl.CERT_REQUIRED
    )

    assert make_context(settings).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("names", "enters"),
    [
        pytest.param([("DNS", "a.example.org")], True, id="dns"),
        pytest.param([("DNS", "b.example.org"), ("URI", "spiffe://x")], True, id="uri"),
        pytest.param([("DNS", "b.example.org")], False, id="another"),
        pytest.param([], False, id="none"),
    ],
)
def test_only_named_clients_enter(names: list[tuple[str, str]], *, enters: bool) -> None:
    certificate = {"subjectAltName": tuple(names), "serialNumber": "1"}

    assert may_enter(certificate, frozenset({"a.example.org", "spiffe://x"})) is enters
    assert may_enter(certificate, frozenset())
    assert may_enter(None, frozenset({"a"}))


def _locked_key() -> bytes:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    lock = form.BestAvailableEncryption(b"secret")
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, lock)


LOCKED_KEY = _locked_key()
