"""The web config file: what is understood, each mistake word for word, and promtool's opinion."""

import os
import shutil
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.tls import CIPHERS, CURVES, TLS13_CIPHERS, judge_ciphers, make_context
from exporter.web.webconfig import Rate, WebConfig, judge_web_config, read_web_config
from probes.errors import ConfigError

HASH = "$2y$10$abcdefghijklmnopqrstuuM5Jw1N1cQ1Zb0yMxyf0WgX9zqXyKv5C"
PAIR = "cert_file: server.pem, key_file: server.key"


def judge(text: str) -> WebConfig:
    return judge_web_config(text.encode(), Path("/etc/sonde/web.yml"))


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        judge(text)
    return [str(problem).removeprefix("/etc/sonde/") for problem in caught.value.problems]


def test_a_whole_file_is_understood() -> None:
    config = judge(f"""
tls_server_config:
  cert_file: server.pem
  key_file: /keys/server.key
  client_ca_file: ca.pem
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [client.example.org]
  min_version: TLS13
  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  curve_preferences: [CurveP384]
  prefer_server_cipher_suites: false
http_server_config:
  http2: true
  headers: {{X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=1}}
basic_auth_users: {{alice: {HASH}}}
rate_limit: {{interval: 1s, burst: 5}}
""")

    assert config.tls is not None
    assert config.tls.cert == Path("/etc/sonde/server.pem")
    assert config.tls.key == Path("/keys/server.key")
    assert config.tls.client_auth is ssl.CERT_REQUIRED
    assert config.tls.allowed_sans == {"client.example.org"}
    assert config.tls.minimum is ssl.TLSVersion.TLSv1_3
    assert config.tls.ciphers == ("ECDHE-RSA-AES128-GCM-SHA256",)
    assert config.tls.curve == "secp384r1"
    assert not config.tls.server_order
    assert config.headers == (
        ("X-Frame-Options", "sameorigin"),
        ("Strict-Transport-Security", "max-age=1"),
    )
    assert config.users == {"alice": HASH}
    assert config.rate == Rate(1.0, 5)
    assert config.http2
    assert HASH not in repr(config)


@pytest.mark.parametrize("text", ["", "null", "{}", "tls_server_config: {}", "rate_limit:"])
def test_an_empty_file_or_block_is_plain_http(text: str) -> None:
    assert judge(text) == WebConfig()


@pytest.mark.parametrize("interval", ["0s", "0"])
def test_a_rate_limit_of_no_interval_is_off(interval: str) -> None:
    assert judge(f"rate_limit: {{interval: {interval}, burst: 5}}").rate is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "tls_config: {}",
            "web.yml:1: tls_config: want one of tls_server_config, http_server_config, "
            "basic_auth_users, rate_limit, got 'tls_config'",
            id="unknown block",
        ),
        pytest.param("[]", "web.yml:1: want a mapping, got []", id="a list"),
        pytest.param(
            "http_server_config:\n  headers:\n    Foo: bar",
            "web.yml:3: http_server_config.headers.Foo: want one of Content-Security-Policy, "
            "Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection, "
            "got 'Foo'",
            id="unknown header",
        ),
        pytest.param(
            "http_server_config: {headers: {X-Frame-Options: DENY}}",
            "web.yml:1: http_server_config.headers.X-Frame-Options: want deny or sameorigin, "
            "got 'DENY'",
            id="header value",
        ),
        pytest.param(
            'http_server_config: {headers: {Content-Security-Policy: "a\\nb: c"}}',
            "web.yml:1: http_server_config.headers.Content-Security-Policy: "
            "want printable ASCII, got 'a\\nb: c'",
            id="header injection",
        ),
        pytest.param(
            "http_server_config: {headers: {X-XSS-Protection: 0}}",
            "web.yml:1: http_server_config.headers.X-XSS-Protection: want a text, got 0",
            id="header number",
        ),
        pytest.param(
            "http_server_config: {http2: 'yes'}",
            "web.yml:1: http_server_config.http2: want true or false, got 'yes'",
            id="http2",
        ),
        pytest.param(
            "basic_auth_users:\n  alice: hunter22",
            "web.yml:2: basic_auth_users.alice: want a bcrypt hash such as $2y$10$..., "
            "got another text",
            id="clear password is not shown",
        ),
        pytest.param(
            "basic_auth_users: {alice: $2y$40$" + HASH[7:] + "}",
            "web.yml:1: basic_auth_users.alice: want a bcrypt hash such as $2y$10$..., "
            "got another text",
            id="bcrypt cost",
        ),
        pytest.param(
            "rate_limit: {interval: 1, burst: 1}",
            "web.yml:1: rate_limit.interval: want a duration with its unit such as 500ms, 10s or "
            "5m, got 1",
            id="interval",
        ),
        pytest.param(
            "rate_limit: {interval: 1s}",
            "web.yml:1: rate_limit.burst: want a burst from 1 on, got 0",
            id="burst",
        ),
        pytest.param(
            "tls_server_config: {cert_file: a}",
            "web.yml:1: tls_server_config: want one of key and key_file, got neither",
            id="no key",
        ),
        pytest.param(
            "tls_server_config: {cert: x, cert_file: a, key_file: b}",
            "web.yml:1: tls_server_config.cert: want one of cert and cert_file, got both",
            id="two certificates",
        ),
        pytest.param(
            "tls_server_config: {cert_file: [a], key_file: b}",
            "web.yml:1: tls_server_config.cert_file: want a text, got something else",
            id="a list of certificates",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, client_ca_file: ca.pem}}",
            "web.yml:1: tls_server_config.client_auth_type: "
            "want one that verifies beside the client CA, got none",
            id="client CA without a type",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, client_auth_type: RequestClientCert}}",
            "web.yml:1: tls_server_config.client_auth_type: want NoClientCert, "
            "VerifyClientCertIfGiven or RequireAndVerifyClientCert, got 'RequestClientCert': "
            "a certificate that nobody verifies proves nothing",
            id="unverified type",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, client_auth_type: [x]}}",
            "web.yml:1: tls_server_config.client_auth_type: want one of NoClientCert, "
            "VerifyClientCertIfGiven, RequireAndVerifyClientCert, got ['x']",
            id="unknown type",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, client_allowed_sans: [a]}}",
            "web.yml:1: tls_server_config.client_allowed_sans: "
            "want a client_auth_type that verifies beside it, got none",
            id="names without a type",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, client_allowed_sans: a}}",
            "web.yml:1: tls_server_config.client_allowed_sans: want a list of texts, got 'a'",
            id="names as text",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, min_version: TLS10}}",
            "web.yml:1: tls_server_config.min_version: want TLS12 or TLS13, got 'TLS10'",
            id="old version",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS12}}",
            "web.yml:1: tls_server_config.min_version: want at most max_version, got a later one",
            id="versions the wrong way round",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, max_version: [1]}}",
            "web.yml:1: tls_server_config.max_version: want TLS12 or TLS13, got [1]",
            id="version list",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}",
            "web.yml:1: tls_server_config.cipher_suites: want a cipher suite of Go's crypto/tls "
            "that OpenSSL has too, got 'TLS_RSA_WITH_RC4_128_SHA'",
            id="cipher",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP256, X25519]}}",
            "web.yml:1: tls_server_config.curve_preferences: want one curve, or all of CurveP256, "
            "CurveP384, CurveP521, X25519, got 2",
            id="two curves",
        ),
        pytest.param(
            f"tls_server_config: {{{PAIR}, prefer_server_cipher_suites: 1}}",
            "web.yml:1: tls_server_config.prefer_server_cipher_suites: want true or false, got 1",
            id="flag",
        ),
        pytest.param(
            "basic_auth_users:\nbasic_auth_users:",
            "web.yml:2: basic_auth_users: want each key once",
            id="duplicate key",
        ),
    ],
)
def test_a_mistake_is_told_at_its_line(text: str, message: str) -> None:
    assert mistakes(text)[0].startswith(message)


def test_all_mistakes_are_told_at_once() -> None:
    assert len(mistakes("foo: 1\nbasic_auth_users: {a: b}\nrate_limit: {burst: x, foo: 1}")) == 3


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"web.yml: want a readable file, got No such file"):
        read_web_config(tmp_path / "web.yml")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_config_or_mistakes(data: bytes) -> None:
    with suppress(ConfigError):
        assert isinstance(judge_web_config(data, Path("web.yml")), WebConfig)


# The ssl of Python 3.11.2, which Debian 12 has, cannot pin this one; that of 3.11.7 can.
PINNABLE = [curve for curve in CURVES if curve != "X25519" or sys.version_info >= (3, 11, 7)]


@pytest.mark.parametrize("curve", PINNABLE)
def test_every_cipher_and_curve_that_is_accepted_exists_here(
    certificates: Path, curve: str
) -> None:
    text = f"""
tls_server_config:
  {PAIR.replace(", ", chr(10) + "  ")}
  cipher_suites: [{", ".join(CIPHERS)}]
  curve_preferences: [{curve}]
"""
    config = judge_web_config(text.encode(), certificates / "web.yml")
    assert config.tls is not None

    names = {cipher["name"] for cipher in make_context(config.tls).get_ciphers()}

    assert names >= set(CIPHERS.values())


def test_a_curve_that_this_python_cannot_pin_is_told_at_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Debian 12's own Python knows no X25519 in this call: the file is wrong, not the server."""

    class Older(ssl.SSLContext):
        def set_ecdh_curve(self, name: str, /) -> None:
            raise ssl.SSLError(129, "[EC: UNKNOWN_GROUP] unknown group (_ssl.c:4346)")

    monkeypatch.setattr(ssl, "SSLContext", Older)

    (mistake,) = mistakes(f"tls_server_config: {{{PAIR}, curve_preferences: [X25519]}}")

    assert mistake == (
        "web.yml:1: tls_server_config.curve_preferences: want a curve that this Python can pin, "
        "or all of CurveP256, CurveP384, CurveP521, X25519, got X25519"
    )


def test_all_curves_together_restrict_nothing() -> None:
    config = judge(f"tls_server_config: {{{PAIR}, curve_preferences: [{', '.join(CURVES)}]}}")

    assert config.tls is not None
    assert config.tls.curve == ""


def test_tls_1_3_suites_are_always_offered() -> None:
    assert judge_ciphers(TLS13_CIPHERS) == ()


PROMTOOL = shutil.which("promtool")


@pytest.mark.service
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("tls_server_config: {}", id="empty block"),
        pytest.param(f"tls_server_config: {{{PAIR}}}", id="tls"),
        pytest.param(
            f"tls_server_config: {{{PAIR}, client_ca_file: ca.pem, "
            "client_auth_type: RequireAndVerifyClientCert, min_version: TLS12, max_version: TLS13, "
            f"cipher_suites: [{', '.join([*CIPHERS, *TLS13_CIPHERS])}], "
            f"curve_preferences: [{', '.join(CURVES)}], prefer_server_cipher_suites: true}}",
            id="tls with everything",
        ),
        pytest.param(f"basic_auth_users: {{alice: {HASH}, bob: {HASH}}}", id="users"),
        pytest.param(
            "http_server_config: {http2: false, headers: {X-Frame-Options: deny, "
            "X-Content-Type-Options: nosniff, X-XSS-Protection: '0', "
            "Content-Security-Policy: default-src, Strict-Transport-Security: max-age=1}}",
            id="headers",
        ),
    ],
)
def test_promtool_accepts_what_we_accept(text: str, certificates: Path, tmp_path: Path) -> None:
    if PROMTOOL is None:
        assert os.environ.get("REQUIRE_SERVICES") != "1", "want promtool, got none"
        pytest.skip("promtool is not installed")
    for name in ("server.pem", "server.key", "ca.pem"):
        shutil.copy(certificates / name, tmp_path / name)
    file = tmp_path / "web.yml"
    file.write_text(text)
    config = read_web_config(file)
    if config.tls is not None:
        make_context(config.tls)

    done = subprocess.run(
        [PROMTOOL, "check", "web-config", str(file)], capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr
