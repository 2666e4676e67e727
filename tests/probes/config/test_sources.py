"""Several files: who includes whom, and what is shared."""

from pathlib import Path

import pytest

from probes.config.load import Config
from tests.probes.config.conftest import HEAD, Loader, Refused

PROBE = "probes: [{{name: {0}, kind: demo, target: up}}]\n"


def write(**files: str) -> None:
    for name, text in files.items():
        path = Path(name.replace("__", "/") + ".yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_included_files_follow_in_the_order_of_the_list(loaded: Loader) -> None:
    write(one=PROBE.format("one"), d__b=PROBE.format("b"), d__a=PROBE.format("a"))

    config = loaded("include: [one.yaml, 'd/*.yaml']\n" + PROBE.format("main"))

    assert [probe.name for probe in config.probes] == ["main", "one", "a", "b"]
    assert list(map(str, config.files)) == ["probes.yaml", "one.yaml", "d/a.yaml", "d/b.yaml"]
    assert config.probes[2].source == "d/a.yaml:1"


def test_a_file_in_another_directory_includes_relative_to_itself(loaded: Loader) -> None:
    write(d__a="include: [b.yaml]\n", d__b=PROBE.format("b"))

    assert [probe.name for probe in loaded("include: [d/a.yaml]").probes] == ["b"]


def test_an_absolute_glob_is_allowed(loaded: Loader, tmp_path: Path) -> None:
    write(d__a=PROBE.format("a"))

    assert [probe.name for probe in loaded(f"include: ['{tmp_path}/d/*.yaml']").probes] == ["a"]


def test_a_glob_without_files_is_no_mistake_but_told(loaded: Loader) -> None:
    config = loaded("include: ['conf.d/*.yml']")

    assert config.probes == ()
    assert [str(warning) for warning in config.warnings] == [
        "probes.yaml:3: include.0: want at least one file, got none like 'conf.d/*.yml'"
    ]


def test_an_empty_included_file_is_no_mistake(loaded: Loader) -> None:
    write(one="# nothing yet\n")

    assert loaded("include: [one.yaml]").probes == ()


def test_defaults_reach_included_files_and_those_may_add_their_own(loaded: Loader) -> None:
    write(
        one="defaults: {labels: {team: core}, every: 7s}\n" + PROBE.format("one"),
        two=PROBE.format("two"),
    )

    config: Config = loaded(
        "defaults: {labels: {env: dev}, timeout: 3s}\ninclude: [one.yaml, two.yaml]\n"
    )

    one, two = config.probes
    assert (one.labels, one.every_s, one.timeout_s) == ({"env": "dev", "team": "core"}, 7, 3)
    assert (two.labels, two.every_s, two.timeout_s) == ({"env": "dev"}, 30, 3)


def test_modules_of_every_file_can_be_used_in_every_file(loaded: Loader) -> None:
    write(
        one="modules: {a: {kind: demo, mode: slow}}\nprobes: [{name: x, module: b, target: up}]\n"
    )

    config = loaded(
        "include: [one.yaml]\nmodules: {b: {kind: demo}}\n"
        "probes: [{name: y, module: a, target: up}]\n"
    )

    assert [probe.kind.model_dump()["mode"] for probe in config.probes] == ["slow", "fast"]


@pytest.mark.parametrize(
    ("files", "text", "messages"),
    [
        pytest.param(
            {"one": PROBE.format("a")},
            "include: [one.yaml]\n" + PROBE.format("a"),
            [("one.yaml:1:17: probes.0.name: want a unique name, got 'a' again"
             " (first at probes.yaml:4)")],
            id="same name in two files",
        ),
        pytest.param(
            {"one": "modules: {m: {kind: demo}}"},
            "include: [one.yaml]\nmodules: {m: {kind: demo}}",
            [("one.yaml:1:11: modules.m: want a unique name of a module, got 'm' again"
             " (first at probes.yaml:4)")],
            id="same module in two files",
        ),
        pytest.param(
            {"one": "include: [two.yaml]", "two": "include: [one.yaml]"},
            "include: [one.yaml]",
            ["two.yaml:1:11: include.0: want files that do not include each other, got 'one.yaml'"],
            id="circle",
        ),
        pytest.param(
            {"one": ""},
            "include: [one.yaml, '*one.yaml']",
            [("probes.yaml:3:21: include.1: want each file once, got 'one.yaml' again"
             " (first at probes.yaml:3)")],
            id="file twice",
        ),
        pytest.param(
            {"one": "web: {open_health: true}\nwat: 1\nversion: 2"},
            "include: [one.yaml]",
            ["one.yaml:1:1: web: want 'web' in the main file only, got it in an included one",
             "one.yaml:2:1: wat: want a known key, got 'wat'",
             "one.yaml:3:10: version: want 1, got 2"],
            id="section in an included file",
        ),
        pytest.param(
            {"one": "[a"},
            "include: [one.yaml]\nwat: 1",
            ["probes.yaml:4:1: wat: want a known key, got 'wat'",
             ("one.yaml:2:1: want valid YAML, got: did not find expected ',' or ']'"
             " (while parsing a flow sequence)")],
            id="main file first",
        ),
        pytest.param(
            {"one": "5"},
            "include: [one.yaml]",
            ["one.yaml:1:1: want a mapping with version: and probes:, got 5"],
            id="included number",
        ),
    ],
)  # fmt: skip
def test_mistakes_name_the_file(
    refused: Refused, files: dict[str, str], text: str, messages: list[str]
) -> None:
    write(**files)

    assert refused(text) == messages


def test_a_mistake_in_a_module_of_another_file_is_told_there(refused: Refused) -> None:
    write(one="modules:\n  m:\n    kind: demo\n    expect:\n      status: 7xx\n")

    said = refused("include: [one.yaml]\nprobes: [{name: a, module: m, target: up}]", HEAD)

    assert said == [
        (
            "one.yaml:5:15: modules.m.expect.status: want a status such as 200, 2xx or 200-299,"
            " got '7xx'"
        )
    ]
