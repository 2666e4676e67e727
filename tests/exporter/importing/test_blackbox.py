"""A blackbox.yml becomes a probe file that loads and does the same."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exporter.commands.intake import app
from exporter.importing.blackbox import Carried, carry
from probes.config.load import Config, load, load_blackbox
from tests.probes.config.blackbox.rows import STOCK, module

TARGETS = (
    "/probe answers targets that a probe of the file names, and what probe_policy.allow admits;"
    " --blackbox-config answers any"
)
AGENT = "User-Agent is sonde's own; set it in headers: if a server asks for upstream's"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def carried(directory: Path, text: str) -> Carried:
    path = written(directory / "blackbox.yml", text)
    return carry(load_blackbox(path), text)


def native(directory: Path, text: str) -> Config:
    return load(written(directory / "probes.yaml", text))


def settings(config: Config) -> dict[str, Any]:
    return {
        name: module.settings.model_dump(mode="json", by_alias=True)
        for name, module in config.modules.items()
        if module.settings is not None
    }


def test_the_stock_shapes_load_natively_with_the_same_settings(directory: Path) -> None:
    found = carried(directory, STOCK)

    before = load_blackbox(directory / "blackbox.yml")
    after = native(directory, found.text)

    assert found.lost == []
    assert found.modules == len(before.modules)
    wanted = settings(before)
    for it in wanted.values():
        # that of upstream is no native default
        (it.get("headers") or {}).pop("User-Agent", None)
    assert settings(after) == wanted
    assert {n: m.timeout_s for n, m in after.modules.items()} == {
        n: m.timeout_s for n, m in before.modules.items()
    }


EVERY = """
modules:
  http_every:
    prober: http
    timeout: 1m30s
    http:
      valid_http_versions: ["HTTP/1.1", "HTTP/2.0"]
      headers: {X-A: "1", X-B: "${x}", X-C: "0o17", X-D: 1e5}
      http_headers: {X-E: {values: [a, b], secrets: [c]}}
      body: "line 1\\nline 2\\n${1}\\n"
      fail_if_body_not_matches_regexp: ["a", "no", "012"]
      fail_if_body_json_matches_cel: body.a == 1
      fail_if_header_matches: [{header: A, regexp: b, allow_missing: true}]
      basic_auth: {username: "007", password: "secret # 1"}
      tls_config: {ca: "-----BEGIN\\nabc\\n-----END\\n", min_version: TLS13}
      follow_redirects: false
      compression: br
      body_size_limit: 10KB
  tcp_every:
    prober: tcp
    tcp:
      query_response:
      - {expect: "(a)", send: "b ${1} $1", labels: [{name: l, value: "${1}"}]}
      - {expect_bytes: !!binary AP8=}
      - {send: !!binary AP8=}
      - {starttls: true}
      tls_config: {insecure_skip_verify: true}
  grpc_every: {prober: grpc, grpc: {service: s, tls: true, metadata: {a: [b, c]}}}
  icmp_every: {prober: icmp, icmp: {payload_size: 100, ttl: 3, dont_fragment: true}}
  dns_every:
    prober: dns
    dns:
      query_name: a.example.
      query_type: SOA
      transport_protocol: tcp
      dns_over_tls: true
      recursion_desired: false
      valid_rcodes: [NOERROR, NXDOMAIN]
      validate_answer_rrs: {fail_if_all_match_regexp: ["a"], fail_if_matches_regexp: ["b"]}
      validate_authority_rrs: {fail_if_none_matches_regexp: ["c"]}
      validate_additional_rrs: {fail_if_not_matches_regexp: ["d"]}
  proxied:
    prober: http
    http:
      proxy_url: http://u:p@127.0.0.1:3128
      no_proxy: a.example
      proxy_connect_header: {X-P: [q]}
      skip_resolve_phase_with_proxy: true
      oauth2:
        client_id: i
        client_secret: s
        token_url: http://127.0.0.1/token
        scopes: [a, b]
        endpoint_params: {c: d}
        tls_config: {server_name: t.example}
  socket:
    prober: websocket
    websocket:
      http_config: {basic_auth: {username: u, password: p}, follow_redirects: true}
      headers: {X-A: {values: [a, b]}}
      query_response: [{send: "hi ${1}"}, {expect: "^ok$"}]
  unix_every: {prober: unix, unix: {query_response: [{expect: "x"}]}}
"""


def test_every_option_is_the_same_natively(directory: Path) -> None:
    found = carried(directory, EVERY)

    before = settings(load_blackbox(directory / "blackbox.yml"))
    for name in ("http_every", "proxied"):
        before[name]["headers"].pop("User-Agent")
    # it stands there in plain text, which is told
    before["http_every"]["headers"]["X-E"][2] = "c"
    assert found.lost == []
    assert settings(native(directory, found.text)) == before


def test_it_tells_what_changes(directory: Path) -> None:
    records = "validate_answer_rrs: {fail_if_all_match_regexp: [a]}"
    dns = carried(directory, module("dns", f"query_name: a, {records}"))
    http = carried(directory, module("http", "bearer_token: geheim, tls_config: {ca_file: ca.pem}"))

    at = directory / "blackbox.yml"
    assert dns.changed == [
        TARGETS,
        (
            f"{at}:1: m: expect.answer.every_if_any does what fail_if_all_match_regexp does: it"
            " fails when NOT all records match; what that name says is not_every"
        ),
    ]
    assert http.changed == [
        TARGETS,
        AGENT,
        (
            f"{at}:1: m: tls.ca_file: the relative path 'ca.pem' begins beside the probe file, not"
            " in the working directory"
        ),
    ]
    assert http.advice == [
        (
            f"{at}:1: m: authorization.credentials is a secret in plain text: better"
            " {env: NAME} or {file: path}"
        ),
    ]
    assert f"# Changed: {http.changed[2]}\n# Advice: {http.advice[0]}\n" in http.text


def test_what_has_no_native_form_stands_there_as_a_comment(directory: Path) -> None:
    text = """
modules:
  good: {prober: tcp}
  vault: {prober: http, http: {basic_auth: {username: u, password_ref: v}}}
  code: {prober: dns, dns: {query_name: a, valid_rcodes: [NOPE]}}
"""

    found = carried(directory, text)

    at = directory / "blackbox.yml"
    assert found.modules == 1
    assert found.lost[0] == (
        f"{at}:4: vault: http.basic_auth.password_ref: there is no secret manager: use a file"
    )
    assert found.lost[1].startswith(f"{at}:5: code: expect.rcode")
    assert "  # vault:\n  #   kind: http\n" in found.text
    assert list(native(directory, found.text).modules) == ["good"]


def test_comments_are_kept_at_their_modules(directory: Path) -> None:
    text = """# head
modules:
  # of a
  a:
    prober: tcp  # behind
    # in a
    tcp: {tls: true}
  # of b, 1
  # of b, 2
  b: {prober: icmp}
# tail
"""

    lines = carried(directory, text).text.splitlines()

    start = lines.index("modules:")
    assert lines[start + 1 : start + 4] == ["  # of a", "  # in a", "  a:"]
    at = lines.index("  b:")
    assert lines[at - 3 : at] == ["  # of b, 1", "  # of b, 2", "  # tail"]


def test_a_file_without_modules_loads(directory: Path) -> None:
    found = carried(directory, "modules: {}\n")

    assert native(directory, found.text).modules == {}


def test_the_command_writes_and_tells(directory: Path) -> None:
    path = written(directory / "blackbox.yml", STOCK)
    out = directory / "probes.yaml"

    shown = CliRunner().invoke(app, ["blackbox", str(path)])
    done = CliRunner().invoke(app, ["blackbox", str(path), "--out", str(out)])
    again = CliRunner().invoke(app, ["blackbox", str(path), "--out", str(out)])

    assert shown.exit_code == 0
    assert shown.stdout.startswith("# Taken over by `sonde import blackbox` from blackbox.yml.\n")
    assert shown.stderr.startswith(f"changed: {TARGETS}\nchanged: {AGENT}\n")
    assert done.exit_code == 0
    assert done.stderr.endswith(f"wrote {out}: 12 modules; read it before use\n")
    assert out.read_text() == shown.stdout
    assert again.exit_code == 2


def test_a_gap_ends_with_3_and_a_mistake_with_2(directory: Path) -> None:
    gap = written(directory / "gap.yml", module("http", "basic_auth: {password_ref: v}"))
    wrong = written(directory / "wrong.yml", module("http", "metod: GET"))
    nowhere = directory / "nowhere.yml"

    ended = [CliRunner().invoke(app, ["blackbox", str(path)]) for path in (gap, wrong, nowhere)]

    assert [it.exit_code for it in ended] == [3, 2, 2]
    assert ended[0].stderr.endswith(f"sonde: want all of {gap}, got 1 gap\n")
    assert ended[1].stderr.splitlines() == [
        (
            f"{wrong}:1:36: modules.m.http.metod: want a known key, got 'metod'; did you mean"
            " 'method'?"
        ),
        f"sonde: 1 mistake in {wrong}",
    ]
    assert "want a file that can be read" in ended[2].stderr
