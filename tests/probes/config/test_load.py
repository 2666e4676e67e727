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


# each row: what stands behind HEAD, and what is said
ROWS = [
    pytest.param("wat: 1", ["3:1: wat: want a known key, got 'wat'"], id="unknown key"),
    pytest.param(
        "prboes: []",
        ["3:1: prboes: want a known key, got 'prboes'; did you mean 'probes'?"],
        id="T8 misspelt key",
    ),
    pytest.param(
        "journeys: {}",
        ["3:1: journeys: want a known key, got 'journeys': this version has no such feature yet"],
        id="section of a later version",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, timout: 5s}]",
        ["3:44: probes.0.timout: want a known key, got 'timout'; did you mean 'timeout'?"],
        id="T8 misspelt common key",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, timout: }]",
        ["3:44: probes.0.timout: want a known key, got 'timout'; did you mean 'timeout'?"],
        id="T8 misspelt key without a value",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, mod: fast}]",
        ["3:44: probes.0.mod: want a known key, got 'mod'; did you mean 'mode'?"],
        id="T8 misspelt key of the kind",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, expect: {staus: 200}}]",
        ["3:53: probes.0.expect.staus: want a known key, got 'staus'; did you mean 'status'?"],
        id="T8 misspelt key inside",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, tls: {verfy: true}}]",
        ["3:50: probes.0.tls.verfy: want a known key, got 'verfy'; did you mean 'verify'?"],
        id="T8 misspelt key inside one of two forms",
    ),
    pytest.param("probes: 5", ["3:9: probes: want a list of probes, got 5"], id="probes"),
    pytest.param(
        "probes: [x]",
        ["3:10: probes.0: want a mapping with name, kind, target, got 'x'"],
        id="probe is a text",
    ),
    pytest.param(
        "probes: [{kind: demo, target: up}]",
        ["3:10: probes.0: want the key 'name', got none"],
        id="no name",
    ),
    pytest.param(
        "probes: [{name: 5, kind: demo, target: up}]",
        ["3:17: probes.0.name: want a text, got 5: put it in quotes"],
        id="name is a number",
    ),
    pytest.param(
        'probes: [{name: " a", kind: demo, target: up}]',
        ["3:17: probes.0.name: want a name without outer blanks and control characters, got ' a'"],
        id="name with a blank",
    ),
    pytest.param(
        f"probes: [{{name: {'x' * 129}, kind: demo, target: up}}]",
        [f"3:17: probes.0.name: want a name of at most 128 bytes, got '{'x' * 78}…"],
        id="long name",
    ),
    pytest.param(
        "probes:\n- {name: a, kind: demo, target: up}\n- {name: a, kind: demo, target: up}",
        ["5:10: probes.1.name: want a unique name, got 'a' again (first at probes.yaml:4)"],
        id="T5 duplicate name",
    ),
    pytest.param(
        "probes: [{name: a, target: up}]",
        ["3:10: probes.0: want the key 'kind' or 'module', got neither"],
        id="no kind",
    ),
    pytest.param(
        "modules: {m: {kind: demo}}\nprobes: [{name: a, kind: demo, module: m, target: up}]",
        ["4:32: probes.0.module: want kind or module, got both"],
        id="kind and module",
    ),
    pytest.param(
        "probes: [{name: a, kind: demoo, target: up}]",
        ["3:26: probes.0.kind: want a kind, got 'demoo'; did you mean 'demo'?"],
        id="misspelt kind",
    ),
    pytest.param(
        "probes: [{name: a, kind: 5, target: up}]",
        ["3:26: probes.0.kind: want the name of a kind, got 5"],
        id="kind is a number",
    ),
    pytest.param(
        "probes: [{name: a, kind: lost, target: up}]",
        ["3:26: probes.0.kind: want a kind that prober.kinds allows, got 'lost'"],
        id="kind that is not allowed",
    ),
    pytest.param(
        "probes: [{name: a, kind: bare, target: up}]",
        ["3:26: probes.0.kind: want the extra 'bare', got none: pip install 'sonde[bare]'"],
        id="driver is not installed",
    ),
    pytest.param(
        "modules: {api: {kind: demo}}\nprobes: [{name: a, module: apj, target: up}]",
        ["4:28: probes.0.module: want the name of a module, got 'apj'; did you mean 'api'?"],
        id="misspelt module",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo}]",
        ["3:10: probes.0: want the key 'target' or 'targets', got neither"],
        id="no target",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, targets: [up]}]",
        ["3:10: probes.0: want the key 'target' or 'targets', got both"],
        id="two forms of target",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: sideways}]",
        ["3:40: probes.0.target: want up or down, got 'sideways'"],
        id="target that the kind refuses",
    ),
    pytest.param(
        'probes: [{name: a, kind: demo, target: ""}]',
        ["3:40: probes.0.target: want a target, got an empty text"],
        id="empty target",
    ),
    pytest.param(
        'probes: [{name: a, kind: demo, target: "up\\0"}]',
        ["3:40: probes.0.target: want a target without control characters, got 'up\\x00'"],
        id="target with NUL",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: 5}]",
        ["3:40: probes.0.target: want a text, {env: NAME} or {file: path}, got something else"],
        id="target is a number",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: {env: NOPE}}]",
        ["3:32: probes.0.target: want the environment variable NOPE to be set, got none"],
        id="T11 secret target that is not set",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, targets: []}]",
        ["3:32: probes.0.targets: want a list of 1 to 100000 targets, got 0"],
        id="no targets",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, targets: up}]",
        ["3:41: probes.0.targets: want a list of 1 to 100000 targets, got 'up'"],
        id="targets is a text",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, targets: [up/1, up/2, up/1]}]",
        ["3:54: probes.0.targets.2: want each target once, got one again (first at probes.yaml:3)"],
        id="target twice",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, every: 50ms}]",
        ["3:51: probes.0.every: want at least 100ms, got 50ms"],
        id="too often",
    ),
    *(
        pytest.param(
            f"probes: [{{name: a, kind: demo, target: up, pause: {value}}}]",
            [
                ("3:51: probes.0.pause: want a duration with its unit such as 500ms, 10s or 5m,"
                f" got {shown}")
            ],
            id=f"T9 duration {value}",
        )
        for value, shown in [
            ("-1s", "'-1s'"),
            ("0", "0"),
            ("5", "5"),
            ("NaN", "'NaN'"),
            ("٣s", "'٣s'"),
            ("999999h", "'999999h'"),
            ("22:22", "'22:22'"),
            ("1m1h", "'1m1h'"),
        ]
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, every: 10s, timeout: 20s}]",
        ["3:65: probes.0.timeout: want a timeout of at most every (10s), got 20s"],
        id="T9 timeout above every",
    ),
    pytest.param(
        "defaults: {timeout: 20s}\nprobes: [{name: a, kind: demo, target: up, every: 10s}]",
        [
            ("4:51: probes.0.every: want a timeout of at most every (10s), got 20s"
            " from probes.yaml:3")
        ],
        id="T9 inherited timeout above every",
    ),
    pytest.param(
        "defaults: {timeout: 40s}\nprobes: [{name: a, kind: demo, target: up},"
        " {name: b, kind: demo, target: up}]",
        ["3:21: defaults.timeout: want a timeout of at most every (30s), got 40s"],
        id="T9 timeout above every, both inherited: told once",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, labels: {phase: x}}]",
        [
            ("3:53: probes.0.labels.phase: want a free label name, got 'phase'"
            " (used by probe_websocket_duration_seconds)")
        ],
        id="label of a family",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, labels: {flavour: x}}]",
        [
            ("3:53: probes.0.labels.flavour: want a free label name, got 'flavour'"
            " (used by demo_answers)")
        ],
        id="label of a loaded kind",
    ),
    *(
        pytest.param(
            f"probes: [{{name: a, kind: demo, target: up, labels: {{{name}: x}}}}]",
            [
                (f"3:53: probes.0.labels.{name}: want a free label name, got '{name}'"
                " (Prometheus and its rules use it)")
            ],
            id=f"T13 label {name}",
        )
        for name in ("__name__", "job", "instance", "exported_job", "class")
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, labels: {'': x}}]",
        ["3:53: probes.0.labels.: want a label name such as 'team' or 'data_center', got ''"],
        id="T13 empty label name",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, labels: {a b: x, a-b: x}}]",
        [
            ("3:53: probes.0.labels.a b: want a label name such as 'team' or 'data_center',"
            " got 'a b'"),
            ("3:61: probes.0.labels.a-b: want a label name such as 'team' or 'data_center',"
            " got 'a-b'"),
        ],
        id="T5 label names that would be cleaned",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, labels: {team: 5}}]",
        ["3:59: probes.0.labels.team: want a text, got 5: put it in quotes"],
        id="label value is a number",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, labels: {team: 012}}]",
        [
            ("3:59: probes.0.labels.team: want a number without leading zeros,"
            " or a text in quotes, got 012")
        ],
        id="T6 told by the parser, not again by the judge",
    ),
    pytest.param(
        f"probes: [{{name: a, kind: demo, target: up, labels: {{team: {'x' * 129}}}}}]",
        [f"3:59: probes.0.labels.team: want at most 128 bytes, got '{'x' * 78}…"],
        id="T13 long label value",
    ),
    pytest.param(
        'probes: [{name: a, kind: demo, target: up, labels: {team: "a\\nb"}}]',
        ["3:59: probes.0.labels.team: want a text without control characters, got 'a\\nb'"],
        id="label value with a new line",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, labels: {"
        + ", ".join(f"own{number}: x" for number in range(11))
        + "}}]",
        ["3:44: probes.0.labels: want at most 10 labels, got 11"],
        id="T13 many labels",
    ),
    pytest.param(
        "probes:\n"
        + "\n".join(
            f"- {{name: p{number}, kind: demo, target: up, labels: {{own{number}: x}}}}"
            for number in range(17)
        ),
        [
            ("20:48: probes.16.labels.own16: want at most 16 different label names in all probes,"
            " got 17")
        ],
        id="T13 many label names",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, tags: [a b]}]",
        [
            ("3:51: probes.0.tags.0: want a word of at most 64 characters without blanks and commas"
            ", got 'a b'")
        ],
        id="tag with a blank",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, tags: a}]",
        ["3:50: probes.0.tags: want a list, got 'a'"],
        id="tags is a text",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, severity: critcal}]",
        [
            ("3:54: probes.0.severity: want 'critical', 'warning' or 'info', got 'critcal'"
            "; did you mean 'critical'?")
        ],
        id="misspelt severity",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, retries: 11}]",
        ["3:53: probes.0.retries: want a number <= 10, got 11"],
        id="many retries",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, retries: 1.5}]",
        ["3:53: probes.0.retries: want a whole number, got 1.5"],
        id="one and a half retries",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, incident: {open_after: 0}}]",
        ["3:67: probes.0.incident.open_after: want a number >= 1, got 0"],
        id="incident after no run",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, runbook: wiki}]",
        ["3:53: probes.0.runbook: want an http:// or https:// URL, got 'wiki'"],
        id="runbook",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, slo: {objective: 100%}}]",
        [
            ("3:61: probes.0.slo.objective: want a share between 0% and 100% such as 99.9%,"
            " got one of the ends")
        ],
        id="objective of all",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, every: 5m, slo: {objective: 99.99%}}]",
        [
            ("3:72: probes.0.slo.objective: want an objective that one failed run in 30 days"
            " leaves intact, got 99.99% with every: 5m")
        ],
        id="objective that cannot be judged",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, slo: {}}]",
        ["3:44: probes.0.slo: want the key 'objective', got none"],
        id="objective is missing",
    ),
    pytest.param(
        "probes:\n- {name: front, kind: demo, target: up}\n"
        "- {name: b, kind: demo, target: up, depends_on: [frnt]}",
        [
            ("5:50: probes.1.depends_on.0: want the name of a probe, got 'frnt'"
            "; did you mean 'front'?")
        ],
        id="misspelt dependency",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, depends_on: [a]}]",
        ["3:44: probes.0.depends_on: want no circle, got 'a -> a'"],
        id="depends on itself",
    ),
    pytest.param(
        "probes:\n- {name: a, kind: demo, target: up, depends_on: [b]}\n"
        "- {name: b, kind: demo, targets: [up], depends_on: [c]}\n"
        "- {name: c, kind: demo, target: up, depends_on: [a]}",
        ["6:37: probes.2.depends_on: want no circle, got 'a -> b -> c -> a'"],
        id="circle",
    ),
    pytest.param(
        "probes: [{name: a, kind: picky, target: up}]",
        ["3:10: probes.0: want the key 'query', got none"],
        id="required key of the kind",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, mode: fst}]",
        ["3:50: probes.0.mode: want 'fast' or 'slow', got 'fst'; did you mean 'fast'?"],
        id="choice",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, tls: 5}]",
        ["3:49: probes.0.tls: want true or false or a mapping, got 5"],
        id="two forms, neither",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, expect: [a]}]",
        ["3:44: probes.0.expect: want a mapping, got a list"],
        id="list for a mapping",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, query: no, headers: {a: 5}}]",
        ["3:68: probes.0.headers.a: want a text, got 5: put it in quotes"],
        id="number for a text",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, share: x}]",
        ["3:51: probes.0.share: want a number, got 'x'"],
        id="text for a number",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, expect: {latency: {warn: 5s, fail: 1s}}}]",
        ["3:53: probes.0.expect.latency: want warn to come before fail, got 5s and 1s"],
        id="band upside down",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, expect: {json: {$.a: {mtches: x}}}}]",
        [
            ("3:60: probes.0.expect.json.$.a: want an operator, got 'mtches'"
            "; did you mean 'matches'?")
        ],
        id="misspelt operator",
    ),
    pytest.param(
        'probes: [{name: a, kind: demo, target: up, expect: {json: {$.a: {matches: "(a"}}}}]',
        [
            "3:60: probes.0.expect.json.$.a: want an RE2 pattern, got '(a': missing ): (a"
        ],
        id="T10 invalid pattern",
    ),
    pytest.param(
        "defaults: {evry: 5s}",
        ["3:12: defaults.evry: want a known key, got 'evry'; did you mean 'every'?"],
        id="misspelt default",
    ),
    pytest.param(
        "defaults: {mode: fast}\nprobes: [{name: a, kind: demo, target: up}]",
        ["3:12: defaults.mode: want a known key, got 'mode'"],
        id="key of a kind among the defaults",
    ),
    pytest.param("defaults: 5", ["3:11: defaults: want a mapping, got 5"], id="defaults"),
    pytest.param(
        "modules: [a]", ["3:1: modules: want a mapping of names to settings, got a list"],
        id="modules is a list",
    ),
    pytest.param(
        "modules: {m: 5}", ["3:14: modules.m: want a mapping with a kind, got 5"], id="module"
    ),
    pytest.param(
        "modules: {m: {mode: fast}}",
        ["3:11: modules.m: want the key 'kind', got none"],
        id="module without a kind",
    ),
    pytest.param(
        "modules: {m: {kind: demo, target: up, depends_on: [a]}}",
        [
            "3:27: modules.m.target: want 'target' in a probe, got it in a module",
            "3:39: modules.m.depends_on: want 'depends_on' in a probe, got it in a module",
        ],
        id="module with a target",
    ),
    pytest.param(
        "modules: {m: {kind: demo, mode: x}}\nprobes:\n- {name: a, module: m, target: up}\n"
        "- {name: b, module: m, target: up}",
        ["3:33: modules.m.mode: want 'fast' or 'slow', got 'x'"],
        id="mistake of a module is told once, where it stands",
    ),
    pytest.param(
        "metrics: {latency_buckets: [1, 0.5]}",
        [
            ("3:11: metrics.latency_buckets: want true, false or rising numbers of seconds > 0,"
            " got another list")
        ],
        id="falling buckets",
    ),
    pytest.param(
        "limits: {series: 0}", ["3:18: limits.series: want a number >= 1, got 0"], id="no series"
    ),
    pytest.param(
        "web: {admin_token: ''}",
        ["3:20: web.admin_token: want a secret that is not empty, got an empty one"],
        id="T11 empty secret",
    ),
    pytest.param(
        "web: {admin_token: {file: missing}}",
        [
            ("3:7: web.admin_token: want a readable secret file, got missing:"
            " No such file or directory")
        ],
        id="T11 secret file is missing",
    ),
    pytest.param(
        "web: {admin_token: {file: .}}",
        ["3:7: web.admin_token: want a regular secret file, got ."],
        id="T11 secret file is a directory",
    ),
    pytest.param(
        "web: {admin_token: 12345}",
        ["3:20: web.admin_token: want a text, {env: NAME} or {file: path}, got something else"],
        id="secret is a number",
    ),
    pytest.param(
        "probe_policy: {allow: [{cidr: 10.0.0.0/33}]}",
        [
            ("3:31: probe_policy.allow.0.cidr: want a network such as 10.20.0.0/16,"
            " got '10.0.0.0/33'")
        ],
        id="policy",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: 'up${NOPE}'}]",
        ["3:40: probes.0.target: want the environment variable NOPE to be set, got none"],
        id="T11 unset variable",
    ),
    pytest.param(
        "include: x.yaml", ["3:10: include: want a list of files, got 'x.yaml'"], id="include"
    ),
    pytest.param(
        "include: [5]", ["3:11: include.0: want the name of a file, got 5"], id="include 5"
    ),
    pytest.param(
        "include: [missing.yaml]",
        [
            ("3:11: include.0: want a file that can be read, got 'missing.yaml':"
            " No such file or directory")
        ],
        id="included file is missing",
    ),
    pytest.param(
        "include: [probes.yaml]",
        ["3:11: include.0: want files that do not include each other, got 'probes.yaml'"],
        id="file includes itself",
    ),
    pytest.param("a: [", [("4:1: want valid YAML, got: did not find expected node content"
                          " (while parsing a flow node)")], id="not YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "messages"), ROWS)
def test_each_mistake_is_told_word_for_word(
    refused: Refused, text: str, messages: list[str]
) -> None:
    assert refused(text) == [f"probes.yaml:{message}" for message in messages]


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
