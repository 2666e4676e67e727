"""Options of a blackbox.yml in the words of our kinds: one row for each line of the table."""

from typing import Any

import pytest

from probes.config.blackbox.native import Native
from probes.redact import Secret
from tests.probes.config.blackbox.conftest import Load
from tests.probes.config.blackbox.rows import module

HTTP = {
    "ip": "prefer_6", "decompress": False, "follow_redirects": True, "versions": [1, 2],
    "max_body": "none", "trust": "host",
}  # fmt: skip
LATE = {"file": "f", "every_run": True}


def native(blackbox: Load, text: str) -> Native:
    origin = blackbox(text).modules["m"].origin
    assert origin is not None
    return origin.native


def plain(value: Any) -> Any:
    """Show what `Secret` hides, marked."""
    if isinstance(value, Secret):
        return f"secret {value.get_secret_value()}"
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return list(map(plain, value)) if isinstance(value, list) else value


def patterns(key: str) -> str:
    return f"validate_answer_rrs: {{{key}: [a, b]}}"


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        pytest.param("", {}, id="nothing"),
        pytest.param("preferred_ip_protocol: ip4", {"ip": "prefer_4"}, id="ip4"),
        pytest.param("preferred_ip_protocol: ''", {}, id="empty is ip6"),
        pytest.param("preferred_ip_protocol: banana", {"ip": "prefer_4"}, id="anything is ip4"),
        pytest.param("ip_protocol_fallback: false", {"ip": "6"}, id="no fallback"),
        pytest.param(
            "preferred_ip_protocol: ip4, ip_protocol_fallback: no", {"ip": "4"}, id="ip4 alone"
        ),
        pytest.param(
            "valid_status_codes: [200, 204]", {"expect": {"status": [200, 204]}}, id="status"
        ),
        pytest.param("valid_status_codes: []", {}, id="no status is 2xx"),
        pytest.param(
            "valid_http_versions: [HTTP/1.0, HTTP/1.1, HTTP/2.0, HTTP/2]",
            {"expect": {"http_version": ["1.0", "1.1", "2", "HTTP/2"]}},
            id="versions",
        ),
        pytest.param("fail_if_ssl: true", {"expect": {"tls": "absent"}}, id="fail_if_ssl"),
        pytest.param("fail_if_not_ssl: true", {"expect": {"tls": "present"}}, id="not_ssl"),
        pytest.param(
            "fail_if_body_matches_regexp: [a], fail_if_body_not_matches_regexp: [b]",
            {"expect": {"body_lacks": ["a"], "body": ["b"]}},
            id="body",
        ),
        pytest.param(
            "fail_if_body_json_matches_cel: body.a, fail_if_body_json_not_matches_cel: body.b",
            {"expect": {"cel_not": "body.a", "cel": "body.b"}},
            id="cel",
        ),
        pytest.param(
            "fail_if_header_matches: [{header: A, regexp: b, allow_missing: true}],"
            " fail_if_header_not_matches: [{header: C, regexp: d}]",
            {
                "expect": {
                    "headers_lack": [{"name": "A", "regex": "b", "optional": True}],
                    "headers": [{"name": "C", "regex": "d"}],
                }
            },
            id="headers that come",
        ),
        pytest.param(
            "headers: {Host: h, X-Api-Key: k, A: 1}",
            {"headers": {"Host": "h", "X-Api-Key": "secret k", "A": "1"}},
            id="headers that go",
        ),
        pytest.param(
            "headers: {x-a: v}, http_headers: {X-A: {values: [w], secrets: [s], files: [f]}}",
            {"headers": {"X-A": ["v", "w", "secret s", LATE]}},
            id="headers of all sorts",
        ),
        pytest.param("http_headers: {X-A: {values: []}}", {}, id="a header without a value"),
        pytest.param("body: b", {"body": "b"}, id="body that goes"),
        pytest.param("body_file: f", {"body": {"file": "f"}}, id="body of a file"),
        pytest.param("compression: gzip", {"decode": "gzip"}, id="compression"),
        pytest.param("body_size_limit: 1.5KB", {"max_body": "1536B"}, id="limit"),
        pytest.param("follow_redirects: no", {"follow_redirects": False}, id="redirects"),
        pytest.param(
            "follow_redirects: yes, no_follow_redirects: yes",
            {"follow_redirects": False},
            id="the older spelling wins",
        ),
        pytest.param("enable_http2: false", {"versions": [1]}, id="no HTTP/2"),
        pytest.param(
            "enable_http2: false, enable_http3: true", {"versions": [3]}, id="HTTP/3 alone"
        ),
        pytest.param(
            "basic_auth: {username: u, password: p}",
            {"basic_auth": {"username": "u", "password": "secret p"}},
            id="basic_auth",
        ),
        pytest.param(
            "basic_auth: {username_file: f, password_file: f}",
            {"basic_auth": {"username": LATE, "password": LATE}},
            id="basic_auth of files",
        ),
        pytest.param("basic_auth: {}", {"basic_auth": {"username": ""}}, id="an empty login"),
        pytest.param(
            "authorization: {type: ' Token ', credentials: c}",
            {"authorization": {"type": "Token", "credentials": "secret c"}},
            id="authorization",
        ),
        pytest.param("authorization: {type: T}", {}, id="authorization of nothing"),
        pytest.param(
            "bearer_token: t",
            {"authorization": {"type": "Bearer", "credentials": "secret t"}},
            id="bearer_token",
        ),
        pytest.param(
            "bearer_token_file: f",
            {"authorization": {"type": "Bearer", "credentials": LATE}},
            id="bearer_token_file",
        ),
        pytest.param(
            "headers: {Authorization: x}, basic_auth: {username: u}",
            {"headers": {"Authorization": "secret x"}},
            id="a header of Authorization wins",
        ),
        pytest.param(
            "headers: {authorization: x, A: b},"
            " oauth2: {client_id: i, client_secret: s, token_url: 'http://t/'}",
            {
                "headers": {"A": "b"},
                "oauth2": {
                    "client_id": "i", "client_secret": "secret s", "token_url": "http://t/",
                },
            },
            id="but not over a token",
        ),
        pytest.param(
            "oauth2: {client_id: i, client_secret: s, token_url: 'http://t/', scopes: [a],"
            " endpoint_params: {b: c}, proxy_url: 'http://p'}",
            {
                "oauth2": {
                    "client_id": "i", "client_secret": "secret s", "token_url": "http://t/",
                    "scopes": ["a"], "endpoint_params": {"b": "c"}, "proxy": {"url": "http://p"},
                }
            },
            id="oauth2",
        ),
        pytest.param(
            "oauth2: {client_id: i, token_url: 'http://t/', client_certificate_key_file: f,"
            " client_certificate_key_id: k, signature_algorithm: RS512, iss: j, audience: a,"
            " claims: {c: [1, {d: e}]}, tls_config: {server_name: n},"
            " grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer'}",
            {
                "oauth2": {
                    "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id": "i",
                    "token_url": "http://t/", "key": LATE, "key_id": "k", "algorithm": "RS512",
                    "iss": "j", "audience": "a", "claims": {"c": [1, {"d": "e"}]},
                    "tls": {"server_name": "n"},
                }
            },
            id="oauth2 by assertion",
        ),
        pytest.param(
            "proxy_url: 'http://u:p@h', no_proxy: a, proxy_connect_header: {X: [y]},"
            " skip_resolve_phase_with_proxy: true",
            {
                "proxy": {
                    "url": "secret http://u:p@h", "no_proxy": "a",
                    "connect_headers": {"X": ["secret y"]}, "resolve": False,
                }
            },
            id="proxy",
        ),
        pytest.param(
            "proxy_from_environment: true", {"proxy": {"from_env": True}}, id="environment"
        ),
        pytest.param("skip_resolve_phase_with_proxy: true", {}, id="nothing to skip"),
        pytest.param(
            "tls_config: {server_name: n, insecure_skip_verify: true, ca_file: a, cert: c, key: k,"
            " min_version: TLS10, max_version: TLS13}",
            {
                "tls": {
                    "server_name": "n", "ca_file": "a", "cert": "c", "key": "secret k",
                    "min_version": "1.0", "max_version": "1.3", "verify": False,
                }
            },
            id="tls",
        ),
    ],
)  # fmt: skip
def test_http(blackbox: Load, section: str, wanted: dict[str, Any]) -> None:
    found = native(blackbox, module("http", section))

    assert found.kind == "http"
    assert plain(found.settings) == HTTP | wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(module("tcp"), {"ip": "prefer_6"}, id="tcp"),
        pytest.param(
            module("tcp", "tls: true, source_ip_address: 127.0.0.2"),
            {"ip": "prefer_6", "source": "127.0.0.2", "tls": True},
            id="tcp over TLS",
        ),
        pytest.param(
            module("tcp", "tls: true, tls_config: {server_name: n}"),
            {"ip": "prefer_6", "tls": {"server_name": "n"}},
            id="tcp over TLS with options",
        ),
        pytest.param(
            module("tcp", "tls_config: {server_name: n}"), {"ip": "prefer_6"}, id="options alone"
        ),
        pytest.param(
            module(
                "tcp",
                "tls_config: {server_name: n}, query_response: [{expect: '^(a)', send: 'b $1',"
                " labels: [{name: l, value: '$1'}]}, {starttls: true},"
                " {expect_bytes: !!binary AP8=}, {send: !!binary AP8=}, {}]",
            ),
            {
                "ip": "prefer_6", "tls": {"server_name": "n"}, "line_end": "\n",
                "dialog": [
                    {"expect": "^(a)", "labels": {"l": "$1"}, "send": "b $1"}, {"starttls": True},
                    {"expect_bytes": {"hex": "00ff"}}, {"send": {"hex": "00ff"}}, {},
                ],
            },
            id="dialog",
        ),
        pytest.param(
            module("unix", "tls: yes, query_response: [{expect: ''}]"),
            {"tls": True, "dialog": [{}], "line_end": "\n"},
            id="unix",
        ),
        pytest.param(
            module("dns"),
            {
                "query_name": ".", "query_type": "ANY", "transport": "udp", "ip": "prefer_6",
                "recursion": True,
            },
            id="dns without a section asks for the root",
        ),
        pytest.param(
            module(
                "dns",
                "query_name: a, query_type: SOA, query_class: CH, recursion_desired: no,"
                " transport_protocol: tcp, dns_over_tls: true, tls_config: {server_name: n},"
                " valid_rcodes: [NXDOMAIN, NOPE], source_ip_address: '::1'",
            ),
            {
                "query_name": "a", "query_type": "SOA", "query_class": "CH", "transport": "tls",
                "tls": {"server_name": "n"}, "ip": "prefer_6", "source": "::1",
                "expect": {"rcode": ["NXDOMAIN", "NOPE"]}, "recursion": False,
            },
            id="dns over TLS",
        ),
        pytest.param(
            module("icmp", "payload_size: 100, ttl: 0, dont_fragment: true"),
            {"ip": "prefer_6", "dont_fragment": True, "ttl": 0, "payload_size": "100B"},
            id="icmp",
        ),
        pytest.param(
            module("grpc", "service: s, tls: true, metadata: {a: [b], x-token: [c]}"),
            {
                "service": "s", "tls": True, "ip": "prefer_6",
                "metadata": {"a": ["b"], "x-token": ["secret c"]},
            },
            id="grpc",
        ),
        pytest.param(
            module("grpc", "metadata: {a-bin: [!!binary AP8=, b]}"),
            {"ip": "prefer_6", "metadata": {"a-bin": [{"hex": "00ff"}, "b"]}},
            id="bytes as metadata",
        ),
        pytest.param(
            module("grpc", "tls: no, tls_config: {server_name: n}"), {"ip": "prefer_6"}, id="plain"
        ),
        pytest.param(
            module(
                "websocket",
                "headers: {X-A: {values: [b]}}, http_config: {bearer_token: t,"
                " tls_config: {insecure_skip_verify: true}, http_headers: {X-C: {values: [d]}}},"
                " query_response: [{expect: a, send: b, starttls: true}]",
            ),
            {
                "ip": "prefer_6", "headers": {"X-A": "b", "X-C": "d"},
                "dialog": [{"expect": "a", "send": "b"}], "tls": {"verify": False},
                "authorization": {"type": "Bearer", "credentials": "secret t"}, "trust": "host",
            },
            id="websocket",
        ),
        pytest.param(
            module("websocket", "http_config: {follow_redirects: yes}"),
            {"ip": "prefer_6", "follow_redirects": True, "trust": "host"},
            id="websocket that follows",
        ),
    ],
)  # fmt: skip
def test_others(blackbox: Load, text: str, wanted: dict[str, Any]) -> None:
    assert plain(native(blackbox, text).settings) == wanted


@pytest.mark.parametrize(
    ("option", "key"),
    [
        pytest.param("fail_if_matches_regexp", "forbid", id="matches"),
        pytest.param("fail_if_not_matches_regexp", "every", id="not matches"),
        pytest.param("fail_if_none_matches_regexp", "some", id="none matches"),
        pytest.param("fail_if_all_match_regexp", "every_if_any", id="all match"),
    ],
)
def test_records(blackbox: Load, option: str, key: str) -> None:
    text = module("dns", f"query_name: a, {patterns(option)}")

    assert native(blackbox, text).settings["expect"] == {"answer": {key: ["a", "b"]}}
