"""Mistakes in labels, objectives, settings of kinds, modules and sections, each word for word."""

import pytest

from tests.probes.config.conftest import Refused

# each row: what stands behind HEAD, and what is said
ROWS = [
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
        [
            ("3:12: defaults.mode: want a known key, got 'mode'; the keys of a kind stand in a"
            " module")
        ],
        id="key of a kind among the defaults",
    ),
    pytest.param(
        "defaults: {target: up, interval: 5s}",
        [
            "3:12: defaults.target: want 'target' in a probe, got it in defaults",
            "3:24: defaults.interval: want a known key, got 'interval'; did you mean 'every'?",
        ],
        id="key of a probe and of another prober among the defaults",
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
        [("3:20: web.admin_token: want a text, {env: NAME} or {file: path}, got a number"
            ": put it in quotes")],
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


def test_a_file_full_of_unknown_dependencies_gets_few_hints(refused: Refused) -> None:
    """Measured 2026-11: 10,000 of them took more than five minutes, on a thread of the service."""
    probes = ", ".join(
        f"{{name: probe-{n}, kind: demo, target: up/{n}, depends_on: [prob-{n}]}}"
        for n in range(60)
    )

    told = refused(f"probes: [{probes}]")

    assert len(told) == 60
    assert sum("did you mean" in message for message in told) == 20
