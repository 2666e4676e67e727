"""Every mistake that upstream refuses at load, word for word, with its place."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from probes.config.blackbox.judging import is_acceptable
from probes.config.blackbox.options import BlackboxModule
from probes.errors import ConfigError, Problem
from tests.probes.config.blackbox.conftest import Load, Mistakes

HEAD = "modules:\n  m:\n"


def of(prober: str, *lines: str) -> str:
    """Return a file whose section of *prober* begins on line 4, in column 7."""
    return f"{HEAD}    prober: {prober}\n    {prober}:\n" + "".join(f"      {it}\n" for it in lines)


ROWS = [
    pytest.param(
        "modules: {m: {timeout: 5s}}",
        ["1:11: modules.m: want the key 'prober' such as 'prober: http', got none"],
        id="no prober",
    ),
    pytest.param(
        "modules: {m: {prober: htpp}}",
        [
            ("1:23: modules.m.prober: want one of http, tcp, dns, icmp, grpc, unix, websocket,"
            " got 'htpp'; did you mean 'http'?")
        ],
        id="another prober",
    ),
    pytest.param(
        of("dns", "query_type: A"),
        ["4:5: modules.m.dns.query_name: want 'query_name', the name to ask for, got none"],
        id="no query name",
    ),
    pytest.param(
        of("dns", "query_name: a", "query_type: aaaa", "query_class: XX"),
        [
            ("6:19: modules.m.dns.query_type: want a type of record such as AAAA, got 'aaaa'"
            "; did you mean 'AAAA'?"),
            "7:20: modules.m.dns.query_class: want a class of DNS such as IN, got 'XX'",
        ],
        id="unknown type and class",
    ),
    pytest.param(
        of("tcp", "query_response:", "- expect: '('"),
        [
            ("6:17: modules.m.tcp.query_response.0.expect: want an RE2 pattern, got '('"
            ": missing ): (")
        ],
        id="broken pattern",
    ),
    pytest.param(
        of("http", "fail_if_body_json_matches_cel: 'body.'"),
        [
            ("5:38: modules.m.http.fail_if_body_json_matches_cel: want a CEL expression, got"
            " 'body.': 1:6: Syntax error: no viable alternative at input '.'")
        ],
        id="broken CEL",
    ),
    pytest.param(
        of("http", "fail_if_header_matches:", "- {regexp: a}", "- {header: a, regexp: ''}"),
        [
            ("6:9: modules.m.http.fail_if_header_matches.0.header: want 'header' in a header"
            " matcher, got none or an empty one"),
            ("7:29: modules.m.http.fail_if_header_matches.1.regexp: want 'regexp' in a header"
            " matcher, got none or an empty one"),
        ],
        id="header matchers",
    ),
    pytest.param(
        of("http", "body: a", "body_file: b"),
        ["6:7: modules.m.http.body_file: want body or body_file, got body and body_file"],
        id="two bodies",
    ),
    pytest.param(
        of("http", "compression: gzip", "headers: {accept-encoding: 'br;q=0.9, gzip;q=0'}"),
        [
            ("6:34: modules.m.http.headers.accept-encoding: want an Accept-Encoding that admits"
            " 'gzip', got 'br;q=0.9, gzip;q=0'")
        ],
        id="compression that is not accepted",
    ),
    pytest.param(
        of("http", "enable_http3: true", "valid_http_versions: [HTTP/1.1]"),
        [
            ("5:21: modules.m.http.enable_http3: want 'enable_http2: false' beside enable_http3,"
            " got true, which is the default"),
            ("6:29: modules.m.http.valid_http_versions.0: want no HTTP/1.1 beside enable_http3,"
            " got it: nothing else is spoken"),
        ],
        id="HTTP/3 beside others",
    ),
    pytest.param(
        of("http", "valid_http_versions: [HTTP/3.0]"),
        [
            ("5:29: modules.m.http.valid_http_versions.0: want enable_http3 beside HTTP/3.0,"
            " got none")
        ],
        id="HTTP/3.0 alone",
    ),
    pytest.param(
        of("icmp", "ttl: 256"),
        ["5:12: modules.m.icmp.ttl: want a ttl from 0 to 255, got 256"],
        id="ttl",
    ),
    pytest.param(
        of("unix", "query_response:", "- {expect: a, expect_bytes: b}"),
        [
            ("6:21: modules.m.unix.query_response.0.expect_bytes: want expect or expect_bytes,"
            " got both")
        ],
        id="both expects",
    ),
    pytest.param(
        of("http", "basic_auth: {username: u}", "bearer_token: b"),
        [
            ("6:7: modules.m.http.bearer_token: want one of basic_auth, authorization, oauth2,"
            " bearer_token, got basic_auth and bearer_token")
        ],
        id="two logins",
    ),
    pytest.param(
        of("http", "basic_auth:", "  password: geheim", "  password_file: p"),
        [
            ("7:9: modules.m.http.basic_auth.password_file: want password or password_file,"
            " got password and password_file")
        ],
        id="two sources of a secret",
    ),
    pytest.param(
        of("http", "authorization: {type: ' BASIC '}"),
        [
            ("5:29: modules.m.http.authorization.type: want another type than basic, got it"
            ": use basic_auth")
        ],
        id="type basic",
    ),
    pytest.param(
        of("http", "oauth2: {signature_algorithm: ES256}"),
        [
            "5:7: modules.m.http.oauth2.client_id: want 'client_id' for oauth2, got none",
            "5:7: modules.m.http.oauth2.token_url: want 'token_url' for oauth2, got none",
            ("5:37: modules.m.http.oauth2.signature_algorithm: want one of RS256, RS384, RS512,"
            " got 'ES256'"),
        ],
        id="oauth2",
    ),
    pytest.param(
        of("http", "proxy_connect_header: {a: [b]}", "no_proxy: c"),
        [
            ("5:7: modules.m.http.proxy_connect_header: want proxy_url or proxy_from_environment"
            " beside proxy_connect_header, got neither"),
            "6:7: modules.m.http.no_proxy: want proxy_url beside no_proxy, got none",
        ],
        id="no proxy",
    ),
    pytest.param(
        of("http", "proxy_from_environment: yes", "proxy_url: http://p", "no_proxy: c"),
        [
            ("5:7: modules.m.http.proxy_from_environment: want proxy_url or"
            " proxy_from_environment, got both"),
            ("7:7: modules.m.http.no_proxy: want no_proxy beside proxy_url, got it beside"
            " proxy_from_environment: set NO_PROXY in the environment"),
        ],
        id="two proxies",
    ),
    pytest.param(
        of("http", "http_headers: {content-TYPE: {values: [a]}}"),
        [
            ("5:22: modules.m.http.http_headers.content-TYPE: want a header that may be set by"
            " http_headers, got 'content-TYPE': use headers")
        ],
        id="reserved header",
    ),
    pytest.param(
        of("grpc", "tls_config: {min_version: TLS09, ca: a, ca_file: b, cert_file: c}"),
        [
            ("5:7: modules.m.grpc.tls_config: want key or key_file to the client certificate,"
            " got none"),
            ("5:33: modules.m.grpc.tls_config.min_version: want one of TLS10, TLS11, TLS12, TLS13,"
            " got 'TLS09'"),
            "5:47: modules.m.grpc.tls_config.ca_file: want ca or ca_file, got ca and ca_file",
        ],
        id="TLS",
    ),
    pytest.param(
        of("websocket", "http_config: {tls_config: {key_file: k}}"),
        [
            ("5:21: modules.m.websocket.http_config.tls_config: want cert or cert_file to the key,"
            " got none")
        ],
        id="a key without its certificate",
    ),
    pytest.param(
        of("tcp", "query_response:", "- expect: a", "  labels:", "  - {name: a-b}",
           "  - {name: c}", "  - {name: c}"),
        [
            ("8:18: modules.m.tcp.query_response.0.labels.0.name: want a label name such as"
            " 'user_id', got 'a-b'"),
            ("10:18: modules.m.tcp.query_response.0.labels.2.name: want each label once in a step,"
            " got 'c' again"),
        ],
        id="labels",
    ),
    pytest.param(
        "modules: {m: {prober: icmp, http: {metod: a}}}\ndefaults: {}\n",
        [
            "1:36: modules.m.http.metod: want a known key, got 'metod'; did you mean 'method'?",
            "2:1: defaults: want 'modules' and nothing else, got 'defaults'",
        ],
        id="unknown keys, in a section of another prober too",
    ),
    pytest.param("", [" want a mapping with modules:, got an empty file"], id="nothing"),
    pytest.param("[1]", ["1:1: want a mapping with modules:, got a list"], id="a list"),
    pytest.param(
        "modules: 5", ["1:10: modules: want a mapping of names to modules, got '5'"], id="a number"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), ROWS)
def test_a_mistake_is_told_with_its_place(mistakes: Mistakes, text: str, wanted: list[str]) -> None:
    assert mistakes(text) == wanted


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(mistakes: Mistakes) -> None:
    text = """
modules:
  a: {prober: http, timeout: 5, http: {fail_if_ssl: "true", body_size_limit: 10}}
  b: {prober: dns, dns: {query_name: ""}, icmp: {ttl: "5"}}
"""
    assert mistakes(text) == [
        "3:30: modules.a.timeout: want a duration with its unit such as 5s or 1m30s, got '5'",
        (
            "3:53: modules.a.http.fail_if_ssl: want true or false (yes, no, on, off), got 'true'"
            ": without quotes"
        ),
        (
            "3:78: modules.a.http.body_size_limit: want a size with its unit such as 10KB or 1MiB,"
            " got '10'"
        ),
        "4:38: modules.b.dns.query_name: want 'query_name', the name to ask for, got none",
        "4:55: modules.b.icmp.ttl: want a whole number, got '5': without quotes",
    ]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("proxy_url: 'http://u:geheim@a:b/'", id="URL of a proxy"),
        pytest.param("basic_auth: {password: [geheim]}", id="password"),
        pytest.param("bearer_token: {geheim: geheim}", id="token"),
        pytest.param("http_headers: {X-A: {secrets: geheim}}", id="secret header"),
    ],
)
def test_no_message_shows_a_secret(mistakes: Mistakes, line: str) -> None:
    assert "geheim" not in "\n".join(mistakes(of("http", line))).replace("bearer_token.geheim", "")


@pytest.mark.parametrize(
    ("compression", "accepted", "is_good"),
    [
        pytest.param("gzip", "", True, id="no header"),
        pytest.param("", "br", True, id="no compression"),
        pytest.param("gzip", "gzip", True, id="named"),
        pytest.param("gzip", "deflate, *;q=0.1", True, id="star"),
        pytest.param("gzip", "*;q=0, gzip;q=0", False, id="nothing at all"),
        pytest.param("gzip", "gzip;q=0.0001", False, id="rounded to nothing"),
        pytest.param("gzip", "gzip;q=x, *", True, id="a quality that is none comes last"),
        pytest.param("gzip", "gzip;p=1", False, id="another parameter"),
    ],
)
def test_a_compression_must_be_accepted(compression: str, accepted: str, is_good: bool) -> None:
    assert is_acceptable(compression, accepted) is is_good


@given(st.text(max_size=40), st.text(alphabet="gzipbr,;q=*01. ", max_size=40))
def test_any_header_is_judged(compression: str, accepted: str) -> None:
    assert is_acceptable(compression, accepted) in (True, False)


ODD = (
    "[a]", "{a: b}", "[[a]]", "[{a: b}]", "null", "''", "5", "-5", "true", "'true'", "1.5",
    "!!binary AAE=", "x" * 400, '"a\\0b"', "'${1}'", "[null]", "{a: null}", "{a: [b]}",
)  # fmt: skip


def keys_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the way to each option, over lists and mappings too."""
    for name, field in model.model_fields.items():
        yield (*path, name)
        for inner, form in models_in(field.annotation, "{}"):
            yield from keys_of(inner, (*path, name + form.removeprefix("{}")))


def models_in(annotation: Any, form: str) -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, form
        return
    origin: Any = get_origin(annotation)
    deeper = {list: form + "[]", dict: form + "<>"}.get(origin, form)
    for part in get_args(annotation):
        yield from models_in(part, deeper)


def written(path: tuple[str, ...], value: str) -> str:
    """Return the file in which the option at *path* has *value*."""
    for name in reversed(path):
        if name.endswith("[]"):
            value = f"[{value}]"
        elif name.endswith("<>"):
            value = f"{{n: {value}}}"
        value = f"{{{name.rstrip('[]<>')}: {value}}}"
    return value


KEYS = sorted(set(keys_of(BlackboxModule)))


@pytest.mark.parametrize("value", ODD, ids=lambda it: it[:10])
def test_a_value_of_any_form_loads_or_is_a_mistake_with_its_place(
    blackbox: Load, value: str
) -> None:
    modules = [written(path, value)[1:-1] for path in KEYS]
    lines = [
        f"  m{number}: {{{'' if KEYS[number][0] == 'prober' else 'prober: http, '}{options}}}\n"
        for number, options in enumerate(modules)
    ]

    told = problems_of(blackbox, "modules:\n" + "".join(lines))

    assert told
    assert all(it.line > 1 and it.message.startswith("want") for it in told)


def problems_of(blackbox: Load, text: str) -> Sequence[Problem]:
    try:
        return blackbox(text).warnings
    except ConfigError as error:
        return error.problems


def test_there_are_as_many_options_as_upstream_has() -> None:
    assert ("http", "oauth2", "tls_config", "ca_file") in KEYS
    assert ("tcp", "query_response[]", "labels[]", "name") in KEYS
    assert ("websocket", "headers<>", "files") in KEYS
    assert len(KEYS) > 200
