"""Mistakes in files, names, kinds, targets and times, each word for word."""

import pytest

from tests.probes.config.conftest import Refused

# each row: what stands behind HEAD, and what is said
ROWS = [
    pytest.param("wat: 1", ["3:1: wat: want a known key, got 'wat'"], id="unknown key"),
    pytest.param(
        "prboes: []",
        ["3:1: prboes: want a known key, got 'prboes'; did you mean 'probes'?"],
        id="T8 misspelt key",
    ),
    pytest.param(
        "notify: {}",
        ["3:1: notify: want a known key, got 'notify': this version has no such feature yet"],
        id="section of a later version",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, timout: 5s}]",
        ["3:44: probes.0.timout: want a known key, got 'timout'; did you mean 'timeout'?"],
        id="T8 misspelt common key",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, interval: 5s}]",
        ["3:44: probes.0.interval: want a known key, got 'interval'; did you mean 'every'?"],
        id="key of another prober",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: up, status: 200}]",
        ["3:44: probes.0.status: want a known key, got 'status'; did you mean 'expect.status'?"],
        id="key one level too high",
    ),
    pytest.param(
        "probes: [{name: a, kind: demo, target: [up]}]",
        ["3:32: probes.0.target: want one target, got a list: that is 'targets'"],
        id="list as target",
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
        "probes: [{name: a, type: demo, target: up}]",
        [
            (
                "3:10: probes.0: want the key 'kind' or 'module', got neither;"
                " did you mean 'kind' by 'type'?"
            )
        ],
        id="no kind, in the words of another",
    ),
    pytest.param(
        "probes: [{name: a, kind: http, target: 'http://a/', url: b, conditions: c}]",
        [
            "3:53: probes.0.url: want a known key, got 'url'; did you mean 'target'?",
            "3:61: probes.0.conditions: want a known key, got 'conditions'; did you mean 'expect'?",
        ],
        id="keys in the words of another",
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
        [
            (
                "3:26: probes.0.kind: want the extra 'bare', got none:"
                " install sonde[bare] from where sonde came from"
            )
        ],
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
        [
            (
                "3:40: probes.0.target: want a text, {env: NAME} or {file: path}, got a number"
                ": put it in quotes"
            )
        ],
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
                (
                    "3:51: probes.0.pause: want a duration with its unit such as 500ms, 10s or 5m,"
                    f" got {shown}"
                )
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
            (
                "4:51: probes.0.every: want a timeout of at most every (10s), got 20s"
                " from probes.yaml:3"
            )
        ],
        id="T9 inherited timeout above every",
    ),
    pytest.param(
        "defaults: {timeout: 40s}\nprobes: [{name: a, kind: demo, target: up},"
        " {name: b, kind: demo, target: up}]",
        ["3:21: defaults.timeout: want a timeout of at most every (30s), got 40s"],
        id="T9 timeout above every, both inherited: told once",
    ),
]


@pytest.mark.parametrize(("text", "messages"), ROWS)
def test_each_mistake_is_told_word_for_word(
    refused: Refused, text: str, messages: list[str]
) -> None:
    assert refused(text) == [f"probes.yaml:{message}" for message in messages]
