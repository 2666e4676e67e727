"""The whole way from bytes to a Config: what comes out, and every mistake word for word."""

import asyncio
import gc
import os
import stat
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.config.load import Config, load
from probes.config.sources import merge
from probes.errors import ConfigError
from probes.probe import IncidentPolicy, Slo
from probes.result import Outcome
from probes.run import run_once
from tests.probes.config.conftest import HEAD, Loader, Refused

FULL = """
defaults: {every: 20s, labels: {env: "${ENV:-dev}", team: web}, tags: [all]}
modules:
  api: {kind: demo, timeout: 3s, headers: {a: "1", b: "2"}, expect: {status: 200}}
probes:
  - name: frontend
    module: api
    target: http://u:secretpw@127.0.0.1/x
    labels: {team: core, service: shop}
    headers: {b: "3"}
    expect: {latency: {warn: 500ms, fail: 2s}}
    severity: critical
    incident: {open_after: 5}
    slo: {objective: 99.9%, latency: 800ms}
    runbook: https://wiki.example.org/x
    retries: 2
    retry_every: 2s
  - {name: list, kind: demo, targets: [up/1, up/2], every: 1m, depends_on: [frontend]}
  - {name: last, kind: demo, target: up, depends_on: [list], every: 4s, tags: null}
"""


def test_a_probe_has_what_it_says_over_its_module_over_the_defaults(loaded: Loader) -> None:
    probe = loaded(FULL).probes[0]

    assert (probe.name, probe.kind.name, probe.module) == ("frontend", "demo", "api")
    assert (probe.every_s, probe.timeout_s) == (20, 3)
    assert probe.labels == {"env": "dev", "team": "core", "service": "shop"}
    assert probe.tags == {"all"}
    assert probe.severity == "critical"
    assert probe.incident == IncidentPolicy(open_after=5, close_after=2)
    assert probe.slo == Slo(0.999, 0.8)
    assert probe.runbook == "https://wiki.example.org/x"
    assert (probe.retries, probe.retry_every_s) == (2, 2)
    assert probe.source == "probes.yaml:10"
    settings_ = probe.kind.model_dump(mode="json", by_alias=True)
    assert settings_["headers"] == {"a": "1", "b": "3"}
    assert settings_["expect"]["status"] == "200"
    assert settings_["expect"]["latency"] == {"warn": "500ms", "fail": "2s"}


def test_a_list_of_targets_becomes_probes_with_stable_names(loaded: Loader) -> None:
    config = loaded(FULL)

    names = [probe.name for probe in config.probes]
    assert names == ["frontend", "list/47d7ea72", "list/bcd46545", "last"]
    assert [probe.target for probe in config.probes[1:3]] == ["up/1", "up/2"]
    assert config.probes[3].depends_on == ("list/47d7ea72", "list/bcd46545")


def test_null_takes_an_inherited_key_away(loaded: Loader) -> None:
    text = """
defaults: {tags: [a], labels: {team: web, zone: z}, timeout: 9s}
probes: [{name: x, kind: demo, target: up, tags: null, timeout: null, labels: {zone: null}}]
"""
    (probe,) = loaded(text).probes

    assert probe.tags == frozenset()
    assert probe.labels == {"team": "web"}
    assert probe.timeout_s == 10


def test_the_timeout_that_nobody_wrote_fits_the_interval(loaded: Loader) -> None:
    probes = loaded(FULL).probes

    assert probes[1].timeout_s == 10
    assert probes[3].timeout_s == 4


def test_the_other_sections_are_typed(loaded: Loader) -> None:
    head = """
version: 1
prober: {connectivity: ["192.0.2.1:53"], kinds: [demo]}
metrics:
  {drop: [probe_ip_addr_hash], compat: [blackbox], latency_buckets: [0.1, 1], instance_label: true}
limits: {series: 1000, series_per_probe: 50}
web:
  {admin_token: {env: TOKEN}, hosts: [s.example.org], open_health: true, external_url: https://s/}
probe_policy: {allow: [{cidr: 10.20.0.0/16, ports: [80, 9000-9100]}]}
"""
    config = loaded("", head, TOKEN="the-admin-token")

    assert config.prober.connectivity == ("192.0.2.1:53",)
    assert config.metrics.drop == ("probe_ip_addr_hash",)
    assert config.metrics.compat == ("blackbox",)
    assert config.metrics.latency_buckets == (0.1, 1.0)
    assert config.metrics.instance_label
    assert (config.limits.series, config.limits.series_per_probe) == (1000, 50)
    assert config.web.admin_token is not None
    assert config.web.admin_token.get_secret_value() == "the-admin-token"
    assert config.web.hosts == ("s.example.org",)
    assert config.web.open_health
    assert config.web.external_url == "https://s/"
    assert len(config.probe_policy.allow) == 1
    assert "the-admin-token" in config.secrets
    assert config.probes == ()


def test_without_sections_there_are_defaults(loaded: Loader) -> None:
    config = loaded("", "version: 1\n")

    assert (config.limits.series, config.limits.series_per_probe) == (500_000, 100)
    assert config.metrics.latency_buckets is False
    assert config.web.admin_token is None


def test_a_module_that_lacks_a_required_key_is_completed_by_the_probe(loaded: Loader) -> None:
    config = loaded("""
modules: {m: {kind: picky, mode: slow}, n: {kind: picky, query: a, timeout: 2s}}
probes: [{name: a, module: m, target: up, query: b}]
""")

    assert config.modules["m"].settings is None
    assert config.modules["m"].timeout_s is None
    assert config.modules["n"].settings is not None
    assert config.modules["n"].timeout_s == 2
    assert config.probes[0].kind.model_dump()["query"] == "b"


def test_equal_settings_are_shared(loaded: Loader) -> None:
    text = "probes:\n" + "".join(
        f"- {{name: p{number}, kind: demo, target: up, expect: {{status: 200}}}}\n"
        for number in range(3)
    )

    kinds = {id(probe.kind) for probe in loaded(text).probes}

    assert len(kinds) == 1


def test_the_hash_is_that_of_every_byte_read(loaded: Loader) -> None:
    one = loaded(FULL).hash
    same = loaded(FULL).hash
    other = loaded(FULL + "# more\n").hash

    assert one == same
    assert one != other
    assert len(one) == 64


def test_the_collector_is_left_as_it_was(loaded: Loader, refused: Refused) -> None:
    loaded(FULL)
    refused("probes: 5")

    assert gc.isenabled()


@pytest.mark.parametrize(
    ("head", "messages"),
    [
        pytest.param(
            "", ["want a mapping with version: and probes:, got an empty file"], id="empty"
        ),
        pytest.param(
            "[]", ["1:1: want a mapping with version: and probes:, got a list"], id="list"
        ),
        pytest.param("probes: []", ["1:1: want the key 'version: 1', got none"], id="no version"),
        pytest.param("version: 2", ["1:10: version: want 1, got 2"], id="other version"),
        pytest.param("version: true", ["1:10: version: want 1, got true"], id="true is not 1"),
    ],
)
def test_a_file_says_what_it_is(refused: Refused, head: str, messages: list[str]) -> None:
    said = refused("", head)

    assert said == [
        f"probes.yaml:{text}" if text[0].isdigit() else f"probes.yaml: {text}" for text in messages
    ]


def test_all_mistakes_are_told_at_once_in_file_order(refused: Refused) -> None:
    said = refused(
        """
defaults: {evry: 1s}
modules: {m: {kind: demo, mode: x}}
probes:
  - {name: a, kind: nope, target: up}
  - {name: b, kind: demo, target: sideways, every: 5, labels: {job: x}}
  - {name: a, kind: demo, target: "${NOPE}", depends_on: [c]}
"""
    )

    lines = [int(text.split(":")[1]) for text in said]
    assert lines == sorted(lines)
    assert len(said) == 9


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "probes.yaml"

    with pytest.raises(ConfigError) as caught:
        load(path)

    want = f"{path}: want a file that can be read, got '{path}': No such file or directory"
    assert str(caught.value) == want


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """T11: opening a FIFO without a writer blocks."""
    path = tmp_path / "probes.yaml"
    os.mkfifo(path)

    with pytest.raises(ConfigError, match="Not a regular file"):
        load(path)


def test_a_file_that_others_may_change_is_a_warning(loaded: Loader) -> None:
    """T16."""
    Path("probes.yaml").touch()
    Path("probes.yaml").chmod(0o666)

    (warning,) = loaded("").warnings

    text = "probes.yaml: want a file that only its owner may change, got mode 0666"
    assert str(warning) == text
    assert stat.S_IMODE(Path("probes.yaml").stat().st_mode) == 0o666


def test_a_secret_file_that_everybody_may_read_is_a_warning(loaded: Loader) -> None:
    """T16."""
    for name, mode in (("open", 0o644), ("closed", 0o600), ("target", 0o604)):
        Path(name).write_text("up-secret")
        Path(name).chmod(mode)

    config = loaded(
        "modules: {m: {kind: demo, password: {file: closed}, tls: {key: {file: open}}}}\n"
        "probes: [{name: a, module: m, target: {file: target}}]"
    )

    want = "probes.yaml: want a secret file that others may not read, got"
    assert list(map(str, config.warnings)) == [
        f"{want} open with mode 0644",
        f"{want} target with mode 0604",
    ]


def test_a_critical_objective_that_cannot_page_is_a_warning(loaded: Loader) -> None:
    config = loaded(
        "probes: [{name: a, kind: demo, target: up, every: 10m, severity: critical,"
        " slo: {objective: 99%}}]"
    )

    (warning,) = config.warnings
    assert str(warning) == (
        "probes.yaml:3: probes.0.slo: want every of at most 7m30s so that a critical objective"
        " can page, got 10m"
    )


def test_too_much_load_is_refused_with_its_arithmetic(loaded: Loader, refused: Refused) -> None:
    """T17: 2,500 runs/s a process; the shards share them."""
    targets = "\n".join(f"    - up/{number}" for number in range(300))
    text = f"probes:\n- name: a\n  kind: demo\n  every: 100ms\n  targets:\n{targets}\n"

    assert refused(text) == [
        (
            "probes.yaml:3:1: probes: want at most 2500 runs/s in one process, got 3000 runs/s of"
            " 300 probes (300 in flight when all targets hang)"
            ": raise every:, or share them out with --shard"
        )
    ]
    assert len(load(Path("probes.yaml"), shards=2).probes) == 300


def test_a_long_chain_of_dependencies_is_no_recursion(loaded: Loader) -> None:
    text = "probes:\n- {name: p0, kind: demo, target: up}\n" + "".join(
        f"- {{name: p{number}, kind: demo, target: up, depends_on: [p{number - 1}]}}\n"
        for number in range(1, 2000)
    )

    assert len(loaded(text).probes) == 2000


def test_secrets_stand_in_no_message_and_no_display(loaded: Loader, refused: Refused) -> None:
    """T62: a message shows what is wrong, never a password."""
    canary = "canary-7fe1"
    texts = [
        f"probes: [{{name: a, kind: demo, target: 'x://u:{canary}@h/'}}]",
        f"probes: [{{name: a, kind: demo, target: up, headers: {{Authorization: [{canary}]}}}}]",
        f"probes: [{{name: a, kind: demo, target: up, password: {{file: [{canary}]}}}}]",
        "probes: [{name: a, kind: demo, target: {env: C}}]",
        "probes: [{name: a, kind: demo, target: up, mode: '${API_TOKEN}'}]",
        "probes: [{name: '${API_TOKEN} ', kind: demo, target: up}]",
    ]
    for text in texts:
        said = "\n".join(refused(text, C=canary, API_TOKEN=canary))
        assert canary not in said
    (probe,) = loaded(
        "probes: [{name: a, kind: demo, password: '${API_TOKEN}', target: {env: C}}]",
        C=f"http://u:{canary}@example.org/{canary}?q={canary}",
        API_TOKEN=canary,
    ).probes

    assert probe.display == "http://example.org"
    assert probe.redact(f"see {canary}") == "see ***"


def test_relative_secret_files_begin_at_the_main_file(loaded: Loader) -> None:
    Path("pw").write_text("from-a-file\n")

    (probe,) = loaded("probes: [{name: a, kind: demo, target: up, password: {file: pw}}]").probes

    assert probe.kind.secrets("up") == {"from-a-file"}


def test_adding_a_kind_is_one_file(loaded: Loader) -> None:
    """A kind of another package: its class, an entry point, its name in prober.kinds."""
    up, down = loaded("probes: [{name: p, kind: demo, targets: [up, down]}]").probes

    good, bad = asyncio.run(run_once(up)), asyncio.run(run_once(down))

    assert (good.outcome, bad.outcome) == (Outcome.UP, Outcome.DOWN)
    assert good.samples[0].name == "demo_answers"
    assert "sonde_demo" in sys.modules


def test_the_file_of_the_root_loads() -> None:
    config = load(Path("probes.yaml"), environ={})

    assert {probe.name for probe in config.probes} == {"health", "metrics", "port", "machine"}
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("base", "top", "wanted"),
    [
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="both"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, id="own key wins"),
        pytest.param({"a": [1]}, {"a": [2]}, {"a": [2]}, id="a list replaces"),
        pytest.param({"a": {"b": {"c": 1}}}, {"a": {"b": {"d": 2}}},
                     {"a": {"b": {"c": 1, "d": 2}}}, id="maps merge, all the way down"),
        pytest.param({"a": {"b": 1}}, {"a": 2}, {"a": 2}, id="a scalar replaces a map"),
        pytest.param({"a": {"b": 1}}, {"a": None}, {"a": None}, id="null replaces a map"),
        pytest.param({"a": {"env": "X"}}, {"a": {"file": "y"}}, {"a": {"file": "y"}},
                     id="another source of a secret replaces"),
        pytest.param({"a": {"env": "X"}}, {"a": {"team": "y"}}, {"a": {"env": "X", "team": "y"}},
                     id="a label called env merges"),
    ],
)  # fmt: skip
def test_merging_is_deep(
    base: dict[str, object], top: dict[str, object], wanted: dict[str, object]
) -> None:
    assert merge(base, top) == wanted


def _file(tmp: Path, data: bytes) -> Path:
    path = tmp / "probes.yaml"
    path.write_bytes(data)
    return path


def outcome(path: Path) -> Config | ConfigError:
    try:
        return load(path, environ={})
    except ConfigError as error:
        return error


LINES = st.sampled_from(
    [
        "version: 1", "probes:", "- name: a", "  kind: demo", "  target: up", "  kind: [x]",
        "  expect: {status: 2xx}", "  expect: {json: 5, latency: x}", "  labels: {a: b, 5: 6}",
        "  slo: {objective: 99%}", "  tags: [a, 5]", "defaults: {every: 5s}",
        "defaults: {labels: 5}",
        "modules: {m: {kind: demo}}", "modules: {m: {tls: {key: 5}}}", "  module: m", "- 5", "- {}",
        "  depends_on: [a, b]", "  timeout: 1h", "  every: 1ms", "  targets: [up, {env: X}, 5]",
        "include: ['*.yaml', 5]", "web: {admin_token: {env: 5}}", "prober: {kinds: [demo]}",
        "prober: {kinds: 5}", "  mode: ${X}", "metrics: {latency_buckets: [a]}",
        "  tls: {key: {a: b}}",
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(st.binary(max_size=200), st.lists(LINES, max_size=12).map("\n".join).map(str.encode))
)
def test_any_bytes_are_a_config_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = _file(tmp_path_factory.getbasetemp(), data)

    found = outcome(path)

    if isinstance(found, ConfigError):
        assert found.problems
        assert all(problem.message.startswith("want ") for problem in found.problems)
    else:
        assert len(found.hash) == 64


def _seconds(path: Path) -> float:
    before = time.process_time()
    load(path)
    return time.process_time() - before


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_ten_thousand_probes_load_in_time(tmp_path: Path) -> None:
    """L10: in force within 2 s from lists of targets, within 5 s when written out (2 MB)."""
    targets = "".join(f"  - http://127.0.0.1:9000/p{number}\n" for number in range(10_000))
    listed = _file(
        tmp_path, f"{HEAD}probes:\n- name: p\n  kind: demo\n  targets:\n{targets}".encode()
    )
    assert _seconds(listed) < 2

    written = "".join(
        f"  - name: p{number}\n    kind: demo\n    target: http://127.0.0.1:9000/p{number}\n"
        f"    every: 30s\n    tags: [a, b]\n    labels: {{service: s{number}, team: web}}\n"
        "    expect: {status: 2xx, latency: {warn: 500ms, fail: 2s}}\n"
        for number in range(10_000)
    )
    assert _seconds(_file(tmp_path, f"{HEAD}probes:\n{written}".encode())) < 5


def test_the_examples_load() -> None:
    environ = {
        "ORDERS_DSN": "postgresql://u:pw@db.example.org/orders",
        "SONDE_ADMIN_TOKEN": "t" * 16,
    }

    config = load(Path("examples/platform.yaml"), environ=environ)

    by_name = {probe.name: probe for probe in config.probes}
    assert by_name["orders-db"].display == "postgresql://db.example.org"
    assert by_name["machine"].labels == {"env": "dev", "team": "infrastructure"}
    assert by_name["api/5ed00441"].depends_on == ("orders-db",)
    assert config.warnings == ()
