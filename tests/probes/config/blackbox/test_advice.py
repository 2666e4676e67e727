"""What `sonde lint` tells about a blackbox.yml that loads."""

from pathlib import Path

import pytest

from probes.config.load import load_blackbox
from tests.probes.config.blackbox.conftest import Load
from tests.probes.config.blackbox.rows import module

TIMED = ", timeout: 5s"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            module("tcp"),
            "modules.m: want a timeout such as 'timeout: 5s', got none: /probe ends with the"
            " scrape, or after 119.5 s when the scraper sets no timeout",
            id="no timeout",
        ),
        pytest.param(
            module("dns", "", TIMED),
            "modules.m: want a section dns with a query_name, got none: the root is asked for",
            id="no dns section",
        ),
        pytest.param(
            module("dns", "query_name: a", TIMED),
            "modules.m.dns.query_type: want a query_type such as A, got ANY: many servers refuse"
            " it (RFC 8482)",
            id="ANY",
        ),
        pytest.param(
            module("dns", "query_name: a, query_type: A, valid_rcodes: [NXDOMAIN, NOPE]", TIMED),
            "modules.m.dns.valid_rcodes.1: want a code such as NXDOMAIN, got 'NOPE': every run"
            " will fail",
            id="unknown rcode",
        ),
        pytest.param(
            module(
                "dns",
                "query_name: a, query_type: A,"
                " validate_additional_rrs: {fail_if_matches_regexp: [a, '(']}",
                TIMED,
            ),
            "modules.m.dns.validate_additional_rrs.fail_if_matches_regexp.1: want an RE2 pattern,"
            " got '(': missing ): (: it fails when it is tried",
            id="broken pattern of records",
        ),
        pytest.param(
            module(
                "dns",
                "query_name: a, query_type: A,"
                " validate_authority_rrs: {fail_if_all_match_regexp: [a]}",
                TIMED,
            ),
            "modules.m.dns.validate_authority_rrs.fail_if_all_match_regexp: want to know that it"
            " fails when NOT all records match, the opposite of its name; natively"
            " expect.authority.every_if_any, or not_every for what it says",
            id="fail_if_all_match_regexp",
        ),
        pytest.param(
            module("dns", "query_name: a, query_type: A, transport_protocol: sctp", TIMED),
            "modules.m.dns.transport_protocol: want udp or tcp, got 'sctp': every run will fail",
            id="another transport",
        ),
        pytest.param(
            module("dns", "query_name: a, query_type: A, dns_over_tls: yes", TIMED),
            "modules.m.dns.dns_over_tls: want 'transport_protocol: tcp' beside it, got udp: every"
            " run will fail",
            id="DNS over TLS over UDP",
        ),
        pytest.param(
            module("icmp", "source_ip_address: nope", TIMED),
            "modules.m.icmp.source_ip_address: want an address of this host, got 'nope': here an"
            " interface may have that name, in blackbox_exporter every run fails",
            id="bad source",
        ),
        pytest.param(
            module("http", "compression: zstd", TIMED),
            "modules.m.http.compression: want gzip, br, deflate or identity, got 'zstd': every"
            " run will fail",
            id="unknown compression",
        ),
        pytest.param(
            module("http", "valid_http_versions: [HTTP/1.1, HTTP/2]", TIMED),
            "modules.m.http.valid_http_versions.1: want one of HTTP/1.0, HTTP/1.1, HTTP/2.0,"
            " HTTP/3.0, got 'HTTP/2': it never matches",
            id="a version that never matches",
        ),
        pytest.param(
            module("http", "headers: {X-Api-Key: geheim}", TIMED),
            "modules.m.http.headers.X-Api-Key: want a secret in http_headers or in a file, got it"
            " in headers",
            id="a secret in headers",
        ),
        pytest.param(
            module(
                "http",
                "tls_config: {insecure_skip_verify: yes}, basic_auth: {username: u}",
                TIMED,
            ),
            "modules.m.http.tls_config.insecure_skip_verify: want verified TLS where credentials"
            " are sent, got none: anybody can collect them",
            id="credentials for anybody",
        ),
        pytest.param(
            module(
                "http",
                "no_follow_redirects: yes, body_size_limit: 1MB, fail_if_body_matches_regexp: [a]",
                TIMED,
            ),
            "modules.m.http.no_follow_redirects: want follow_redirects where the body is judged,"
            " got false: that of a redirect is not read, so it never matches",
            id="a body of a redirect",
        ),
        pytest.param(
            module("http", "fail_if_body_json_matches_cel: body.a", TIMED),
            "modules.m.http: want a body_size_limit where the body is judged, got none: 4 MiB is"
            " kept",
            id="no limit of a judged body",
        ),
        pytest.param(
            module("http", "fail_if_ssl: true, fail_if_not_ssl: true", TIMED),
            "modules.m.http.fail_if_not_ssl: want fail_if_ssl or fail_if_not_ssl, got both: every"
            " run will fail",
            id="TLS and none",
        ),
        pytest.param(
            module("websocket", "query_response: [{send: a, starttls: yes}]", TIMED),
            "modules.m.websocket.query_response.0.starttls: want expect and send in a step of"
            " websocket, got starttls: it has no effect",
            id="a key that does nothing",
        ),
        pytest.param(
            module("grpc", "tls_config: {min_version: TLS13, max_version: TLS10}", TIMED),
            "modules.m.grpc.tls_config.max_version: want min_version <= max_version, got TLS13"
            " and TLS10: every run will fail",
            id="no TLS version",
        ),
    ],
)
def test_it_is_told(blackbox: Load, text: str, wanted: str) -> None:
    warnings = blackbox(text).warnings

    assert [f"{it.path}: {it.message}" for it in warnings][:1] == [wanted]
    assert all(it.line == 1 and it.column for it in warnings)


def test_strict_tells_about_grpc_without_a_section(blackbox: Load) -> None:
    text = module("grpc", "", TIMED)

    assert blackbox(text).warnings == ()
    assert [it.message for it in blackbox(text, compat="strict").warnings] == [
        (
            "want a section grpc, got none: with compat: strict only IPv6 is tried; 'grpc: {}' is"
            " enough"
        )
    ]


def test_a_missing_file_is_told_and_where_it_is(blackbox: Load, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    (tmp_path / "there").chmod(0o600)
    text = module(
        "http",
        "bearer_token_file: there, body_file: nowhere, http_headers: {X-A: {files: [gone]}}",
        TIMED,
    )

    place = f"want a file below the working directory {str(tmp_path)!r}, got"
    assert [f"{it.path}: {it.message}" for it in blackbox(text).warnings] == [
        f"modules.m.http.body_file: {place} 'nowhere': every run will fail",
        f"modules.m.http.http_headers.X-A.files.0: {place} 'gone': every run will fail",
    ]


def test_a_file_that_lies_beside_the_config_is_told(
    blackbox: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "etc"
    beside.mkdir()
    (beside / "token").write_text("x")
    path = beside / "b.yml"
    path.write_text(module("http", "bearer_token_file: token", TIMED))
    path.chmod(0o644)

    (warning,) = load_blackbox(path).warnings

    assert warning.message.endswith("got 'token', which is beside this file: give the whole path")


def test_a_good_file_is_told_nothing(blackbox: Load) -> None:
    text = module("http", "body_size_limit: 1MB, fail_if_body_matches_regexp: [a]", TIMED)

    assert blackbox(text).warnings == ()


def test_modules_without_a_timeout_are_told_of_once(blackbox: Load) -> None:
    text = "modules:\n  a: {prober: tcp, timeout: 1s}\n  b: {prober: tcp}\n  c: {prober: icmp}\n"

    (warning,) = blackbox(text).warnings
    (of_three,) = blackbox(f"{text}  d: {{prober: http}}\n").warnings

    assert (warning.line, warning.path) == (3, "modules.b")
    assert "got none here and in 1 more module: /probe ends with the scrape" in warning.message
    assert "got none here and in 2 more modules: " in of_three.message
