"""A module as YAML in upstream's words: defaults are there, secrets are not."""

import pytest

from probes.config.blackbox.showing import go_duration, module_yaml, modules_yaml
from tests.probes.config.blackbox.conftest import Load
from tests.probes.config.blackbox.rows import STOCK, module


def shown(blackbox: Load, text: str) -> str:
    origin = blackbox(text).modules["m"].origin
    assert origin is not None
    return module_yaml(origin.upstream)


def test_defaults_are_filled_in(blackbox: Load) -> None:
    assert shown(blackbox, module("http", "", ", timeout: 90s")) == (
        "prober: http\ntimeout: 1m30s\nhttp:\n  follow_redirects: true\n  enable_http2: true\n"
        "  ip_protocol_fallback: true\n"
    )
    assert shown(blackbox, module("icmp")) == (
        "prober: icmp\nicmp:\n  ip_protocol_fallback: true\n  ttl: 64\n"
    )


SECRETS = """
    basic_auth: {username: u, password: geheim}
    headers: {X-Api-Key: geheim, Cookie: geheim, Accept: a}
    http_headers: {X-A: {values: [v], secrets: [geheim, geheim]}, X-Token: {values: [geheim]}}
    proxy_url: "http://user:geheim@proxy:3128"
    proxy_connect_header: {X-B: [geheim]}
    tls_config: {cert: c, key: geheim}
    body_size_limit: 10MB
"""


def test_secrets_are_hidden(blackbox: Load) -> None:
    text = f"modules:\n m:\n  prober: http\n  http:{SECRETS}"

    found = shown(blackbox, text)

    assert "geheim" not in found
    for line in (
        "proxy_url: http://user:xxxxx@proxy:3128", "password: <secret>", "X-Api-Key: <secret>",
        "Cookie: <secret>", "Accept: a", "- <secret>", "key: <secret>", "username: u",
        "body_size_limit: 10MiB",
    ):  # fmt: skip
        assert line in found


@pytest.mark.parametrize(
    "section",
    [
        pytest.param("bearer_token: geheim", id="token"),
        pytest.param("authorization: {credentials: geheim}", id="credentials"),
        pytest.param(
            "oauth2: {client_id: a, token_url: 'http://u:geheim@t/', client_secret: geheim,"
            " endpoint_params: {password: geheim}, claims: {token: {a: geheim}}}",
            id="oauth2",
        ),
    ],
)
def test_secrets_of_every_login_are_hidden(blackbox: Load, section: str) -> None:
    found = shown(blackbox, module("http", section))

    assert "geheim" not in found
    assert "<secret>" in found


def test_a_whole_file_is_in_order_of_its_names_and_loads_again(blackbox: Load) -> None:
    modules = blackbox(STOCK).modules
    upstream = {name: it.origin.upstream for name, it in modules.items() if it.origin}

    text = modules_yaml(upstream)
    again = blackbox(text).modules

    assert [line for line in text.splitlines() if line[2:3] not in ("", " ")][:3] == [
        "modules:", "  dns_udp:", "  grpc:",
    ]  # fmt: skip
    assert {name: it.settings for name, it in again.items()} != {}
    assert again["irc_banner"].settings == modules["irc_banner"].settings
    assert again["dns_udp"].settings == modules["dns_udp"].settings


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(5.0, "5s", id="seconds"),
        pytest.param(0.5, "500ms", id="milliseconds"),
        pytest.param(1.5, "1.5s", id="a fraction"),
        pytest.param(5400.0, "1h30m0s", id="hours"),
        pytest.param(0.0000015, "1.5µs", id="microseconds"),
        pytest.param(60.25, "1m0.25s", id="a minute and a bit"),
    ],
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
