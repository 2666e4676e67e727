"""A blackbox.yml as modules of ours: what loads, what a probe may do with it, what a run says."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.config.load import Config, load, load_blackbox
from probes.errors import ConfigError
from probes.kind import Kind
from probes.probe import Probe
from probes.redact import Secret
from probes.result import Outcome, Reason
from probes.run import run_once
from tests.probes.config.blackbox.conftest import Load, Mistakes
from tests.probes.config.blackbox.rows import STOCK, module

FILE = """
modules:
  web: {prober: http, timeout: 7s, http: {method: POST}}
  line: {prober: tcp}
"""


@pytest.fixture
def native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load a probes.yaml that stands beside the blackbox.yml `FILE`."""
    monkeypatch.chdir(tmp_path)

    def loaded(text: str, other: str = FILE) -> Config:
        for name, content in (("probes.yaml", text), ("blackbox.yml", other)):
            Path(name).write_text(content, encoding="utf-8")
            Path(name).chmod(0o644)
        return load(Path("probes.yaml"))

    return loaded


def told(caught: pytest.ExceptionInfo[ConfigError]) -> list[str]:
    return [problem.with_column() for problem in caught.value.problems]


def test_the_stock_shapes_load_as_modules_that_can_run(blackbox: Load) -> None:
    config = blackbox(STOCK)

    kinds = {name: module.kind.name for name, module in config.modules.items()}
    assert kinds == {
        "http_2xx": "http", "http_post_2xx": "http", "tcp_connect": "tcp", "pop3s_banner": "tcp",
        "grpc": "grpc", "grpc_plain": "grpc", "ssh_banner": "tcp", "irc_banner": "tcp",
        "icmp": "icmp", "icmp_ttl5": "icmp", "dns_udp": "dns", "http_all": "http",
    }  # fmt: skip
    assert {it.origin.native.broken for it in config.modules.values() if it.origin} == {""}
    assert config.modules["icmp_ttl5"].timeout_s == 5
    assert config.modules["icmp"].timeout_s is None
    assert config.probes == ()
    assert config.is_drop_in
    assert config.compat == "fixed"
    assert config.files == (Path("blackbox.yml"),)


def test_modules_join_those_of_a_probe_file(native: Any) -> None:
    config = native(
        """
version: 1
include: [blackbox.yml]
defaults: {timeout: 3s, every: 20s}
modules: {own: {kind: tcp}}
probes:
  - {name: a, module: web, target: "http://127.0.0.1/", labels: {team: x}}
  - {name: b, module: line, target: "127.0.0.1:1"}
"""
    )

    assert set(config.modules) == {"web", "line", "own"}
    assert config.modules["own"].origin is None
    assert config.modules["web"].origin.place == "blackbox.yml:3"
    first, second = config.probes
    assert (first.timeout_s, first.every_s, first.labels) == (7, 20, {"team": "x"})
    assert second.timeout_s == 3
    assert first.kind is config.modules["web"].settings
    assert not config.is_drop_in
    assert config.files == (Path("probes.yaml"), Path("blackbox.yml"))


def test_a_probe_may_override_common_keys_alone(native: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        native(
            """
version: 1
include: [blackbox.yml]
probes:
  - {name: a, module: web, target: "http://127.0.0.1/", timeout: 2s, method: GET, expect: 200}
"""
        )

    want = "want only common keys beside a module of a blackbox.yml"
    remedy = ": `sonde import blackbox` makes it a native one"
    assert told(caught) == [
        f"probes.yaml:5:70: probes.0.method: {want}, got 'method'{remedy}",
        f"probes.yaml:5:83: probes.0.expect: {want}, got 'expect'{remedy}",
    ]


def test_names_of_modules_stay_unique_over_both_dialects(native: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        native("version: 1\nmodules: {web: {kind: tcp}}\ninclude: [blackbox.yml]\n")

    assert told(caught) == [
        (
            "blackbox.yml:3:3: modules.web: want a unique name of a module, got 'web' again"
            " (first at probes.yaml:2)"
        )
    ]


def test_mistakes_of_both_dialects_are_told_together(native: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        native(
            "version: 1\ninclude: [blackbox.yml]\nprobes: [{name: a, module: wbe, target: x}]\n",
            "modules: {web: {prober: http, timeout: 5}}\n",
        )

    assert told(caught) == [
        (
            "probes.yaml:3:28: probes.0.module: want the name of a module, got 'wbe'"
            "; did you mean 'web'?"
        ),
        (
            "blackbox.yml:1:40: modules.web.timeout: want a duration with its unit such as 5s or"
            " 1m30s, got '5'"
        ),
    ]


def test_variables_are_never_expanded_there(native: Any) -> None:
    text = "modules: {line: {prober: tcp, tcp: {query_response: [{expect: '(a)', send: '${1}'}]}}}"

    config = native("version: 1\ninclude: [blackbox.yml]\n", text)

    assert config.modules["line"].settings.dialog[0].send == "${1}"


def test_a_blackbox_yml_as_main_file_is_told_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "b.yml"
    path.write_text(FILE)

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert [problem.message for problem in caught.value.problems] == [
        (
            "want the key 'version: 1', got a blackbox.yml: give it with --blackbox-config,"
            " or name it in include: of a probe file"
        )
    ]


@pytest.mark.parametrize(
    ("compat", "section", "ip"),
    [
        pytest.param("fixed", "", "prefer_6", id="fixed"),
        pytest.param("strict", "", "6", id="strict"),
        pytest.param("strict", "tls: false", "prefer_6", id="strict with a section"),
    ],
)
def test_grpc_without_a_section_falls_back_but_for_strict(
    blackbox: Load, compat: str, section: str, ip: str
) -> None:
    config = blackbox(module("grpc", section), compat=compat)

    assert getattr(config.modules["m"].settings, "ip") == ip  # noqa: B009 - of the kind


def test_the_probe_file_says_whether_quirks_are_kept(native: Any) -> None:
    other = module("grpc")

    config = native("version: 1\ncompat: strict\ninclude: [blackbox.yml]\n", other)

    assert config.compat == "strict"
    assert config.modules["m"].origin.compat == "strict"


def test_a_reference_to_a_secret_manager_loads_and_is_a_fault(blackbox: Load) -> None:
    config = blackbox(module("http", "basic_auth: {username: u, password_ref: vault}"))

    assert [problem.with_column() for problem in config.faults] == [
        (
            "blackbox.yml:1:62: modules.m.http.basic_auth.password_ref: want password_file, got"
            " password_ref: there is no secret manager, here or upstream"
        )
    ]


@pytest.fixture
def ported(blackbox: Load, request: pytest.FixtureRequest) -> Kind:
    """Load a text outside of the loop, which no load may block."""
    found = blackbox(request.param).modules["m"].settings
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("ported", "message"),
    [
        pytest.param(
            module("http", "bearer_token_file: t, tls_config: {ca_ref: vault}"),
            "http.tls_config.ca_ref: want a secret manager, got none: use ca_file",
            id="a reference",
        ),
        pytest.param(
            module("tcp", "tls_config: {min_version: TLS13, max_version: TLS12}"),
            "tcp.tls_config: want min_version <= max_version, got TLS13 and TLS12",
            id="no TLS version",
        ),
        pytest.param(
            module("dns", "query_name: a, transport_protocol: sctp"),
            "dns.transport_protocol: want udp or tcp, got 'sctp'",
            id="another transport",
        ),
        pytest.param(
            module("dns", "query_name: a, dns_over_tls: true"),
            "dns.dns_over_tls: want 'transport_protocol: tcp' beside it, got udp",
            id="DNS over TLS over UDP",
        ),
        pytest.param(
            module("tcp", "tls: true, query_response: [{starttls: true}]"),
            "tcp: want tls or a step with starttls, got both: TLS inside TLS",
            id="TLS twice",
        ),
        pytest.param(
            module("http", "fail_if_ssl: true, fail_if_not_ssl: true"),
            "http.fail_if_not_ssl: want it or fail_if_ssl, got both",
            id="TLS and none",
        ),
        pytest.param(
            module("http", "method: 'G T'"),
            "method: want a method such as GET, got 'G T'",
            id="what only a request would find",
        ),
    ],
    indirect=["ported"],
)
async def test_what_no_run_can_obey_loads_and_is_unknown(ported: Kind, message: str) -> None:
    probe = Probe(name="it", kind=ported, target="127.0.0.1:1", timeout_s=2)

    result = await run_once(probe)

    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert (result.failure.reason, result.failure.message) == (Reason.CONFIG, message)
    assert json.dumps(result.as_dict())


def test_secrets_are_known_to_every_outlet(blackbox: Load) -> None:
    config = blackbox(
        module(
            "http",
            "basic_auth: {username: u, password: geheim-1}, headers: {X-Signing-Key: geheim-2},"
            " http_headers: {X-A: {secrets: [geheim-3]}}",
        )
    )

    assert {"geheim-1", "geheim-2", "geheim-3"} <= config.secrets
    assert config.redact("a geheim-2 b") == "a *** b"
    assert isinstance(getattr(config.modules["m"].settings, "headers")["X-Signing-Key"], Secret)  # noqa: B009


def test_a_mistake_shows_no_password_of_a_url(mistakes: Mistakes) -> None:
    (only,) = mistakes(module("http", "proxy_url: 'http://u:geheim@p', no_proxxy: x"))

    assert "geheim" not in only


def test_relative_files_begin_in_the_working_directory(blackbox: Load, tmp_path: Path) -> None:
    config = blackbox(module("http", "bearer_token_file: token"))

    credentials = getattr(config.modules["m"].settings, "authorization").credentials  # noqa: B009
    assert credentials.path == str(tmp_path / "token")


@settings(max_examples=60)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_config_or_mistakes(tmp_path_factory: Any, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_bytes(data)
    problems: tuple[Any, ...] = ()
    try:
        config = load_blackbox(path)
    except ConfigError as error:
        problems = error.problems
    else:
        assert config.is_drop_in

    assert all(problem.message.startswith("want ") for problem in problems)


@pytest.mark.parametrize(
    ("target", "url"),
    [
        pytest.param("127.0.0.1:81/x", "http://127.0.0.1:81/x", id="no scheme"),
        pytest.param("u:geheim@a.example/", "http://u:geheim@a.example/", id="a user"),
        pytest.param("HTTPS://a.example", "HTTPS://a.example", id="a scheme in large letters"),
        pytest.param("a.example?u=http://b", "http://a.example?u=http://b", id="a URL inside"),
    ],
)
def test_a_target_of_http_needs_no_scheme(native: Any, target: str, url: str) -> None:
    config = native(
        "version: 1\ninclude: [blackbox.yml]\n"
        f"probes: [{{name: a, module: web, target: '{target}'}}]\n"
    )

    (probe,) = config.probes
    assert probe.target == url
    assert "geheim" not in probe.display
    assert probe.redact(f"got {url}").count("geheim") == 0


def test_a_native_target_needs_its_scheme(native: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        native("version: 1\nprobes: [{name: a, kind: http, target: 127.0.0.1}]\n")

    assert told(caught)[0].endswith("want an http:// or https:// URL, got '127.0.0.1'")


def test_what_there_is_is_counted_in_its_own_word(blackbox: Load, native: Any) -> None:
    file = native("version: 1\ninclude: [blackbox.yml]\n")

    assert blackbox(module("tcp")).counted(0) == "1 module"
    assert blackbox(STOCK).counted(0) == "12 modules"
    assert (file.counted(1), file.counted(0)) == ("1 probe", "0 probes")
