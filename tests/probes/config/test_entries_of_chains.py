"""The section ``chains``: entries that hold their endpoints themselves."""

import pytest

from probes.config.explain import explain
from tests.probes.config.conftest import HEAD, Loader, Refused

ONE = "chains: [{name: sheep, kind: herd, number: 1, endpoints: [{name: a, url: 'http://a/'}]}]\n"


def test_an_entry_becomes_a_probe_whose_target_is_its_name(loaded: Loader) -> None:
    config = loaded(ONE)

    (probe,) = config.probes
    assert (probe.name, probe.target, probe.display) == ("sheep", "sheep", "sheep")
    assert probe.kind.name == "herd"
    assert config.warnings == ()


def test_common_keys_mean_the_same(loaded: Loader) -> None:
    (probe,) = loaded(
        "defaults: {labels: {team: meadow}}\n"
        "chains:\n"
        "  - name: sheep\n"
        "    kind: herd\n"
        "    number: 1\n"
        "    endpoints: [{name: a, url: 'http://a/'}]\n"
        "    every: 30s\n"
        "    timeout: 7s\n"
        "    tags: [release]\n"
        "    severity: critical\n"
        "    retry_every: 2s\n"
    ).probes

    assert (probe.every_s, probe.timeout_s, probe.retry_every_s) == (30, 7, 2)
    assert probe.tags == {"release"}
    assert probe.severity == "critical"
    assert probe.labels == {"team": "meadow"}


def test_chains_may_stand_in_any_file_beside_probes(loaded: Loader, tmp_path: object) -> None:
    with open("more.yaml", "w") as file:  # noqa: PTH123 - the fixture has changed the directory
        file.write(ONE)

    config = loaded("include: [more.yaml]\nprobes: [{name: one, kind: demo, target: up}]\n")

    assert [probe.name for probe in config.probes] == ["one", "sheep"]


@pytest.mark.parametrize(
    ("keys", "every_s", "timeout_s"),
    [
        pytest.param("", 12, 12, id="the kind's own, the timeout within it"),
        pytest.param("pace: 1m", 60, 20, id="made of its settings"),
        pytest.param("every: 1h", 3600, 20, id="the entry wins"),
        pytest.param("timeout: 3s", 12, 3, id="the timeout of the entry wins"),
    ],
)
def test_a_kind_has_times_of_its_own(
    loaded: Loader, keys: str, every_s: float, timeout_s: float
) -> None:
    (probe,) = loaded(
        ONE.replace("number: 1", f"number: 1, {keys}" if keys else "number: 1")
    ).probes

    assert (probe.every_s, probe.timeout_s) == (every_s, timeout_s)


@pytest.mark.parametrize(
    ("defaults", "every_s", "timeout_s"),
    [
        pytest.param("{every: 45s}", 45, 20, id="every of all"),
        pytest.param("{timeout: 5s}", 12, 5, id="timeout of all"),
        pytest.param("{timeout: 25s}", 12, 12, id="a timeout meant for slower probes is cut"),
    ],
)
def test_times_of_defaults_outweigh_those_of_the_kind(
    loaded: Loader, defaults: str, every_s: float, timeout_s: float
) -> None:
    (probe,) = loaded(f"defaults: {defaults}\n{ONE}").probes

    assert (probe.every_s, probe.timeout_s) == (every_s, timeout_s)


def test_a_timeout_above_the_kinds_own_interval_is_told(refused: Refused) -> None:
    assert refused(ONE.replace("number: 1", "timeout: 13s")) == [
        ("probes.yaml:3:45: chains.0.timeout: want a timeout of at most every (12s), got 13s")
    ]


@pytest.mark.parametrize(
    ("text", "own"),
    [
        pytest.param(ONE, 1, id="its default"),
        pytest.param(ONE.replace("number: 1", "number: 1, retries: 3"), 3, id="of the entry"),
        pytest.param(f"defaults: {{retries: 9}}\n{ONE}", 1, id="not of defaults"),
        pytest.param(
            "modules: {m: {kind: herd, number: 1, retries: 2}}\n"
            "probes: [{name: it, module: m, target: up}]\n",
            2,
            id="of the module",
        ),
    ],
)
def test_a_common_key_may_mean_something_finer(loaded: Loader, text: str, own: int) -> None:
    """The run as a whole is not tried again on top of it."""
    (probe,) = loaded(text).probes

    assert probe.kind.model_dump()["retries"] == own
    assert probe.retries == 0


def test_a_kind_judges_how_often_it_runs(refused: Refused) -> None:
    assert refused(ONE.replace("number: 1", "every: 3h")) == [
        "probes.yaml:3:10: chains.0: want a herd that is seen every 2h, got 10800 s"
    ]


def test_the_kind_learns_the_name_where_it_wants_to(loaded: Loader) -> None:
    sheep, goats, alone = (
        loaded(
            "modules: {flock: {kind: herd, number: 1}}\n"
            "probes: [{name: alone, module: flock, target: up}]\n"
            "chains:\n"
            "  - {name: sheep, kind: herd, number: 1, endpoints: [{name: a, url: u}]}\n"
            "  - {name: goats, kind: herd, number: 1, brand: G, endpoints: [{name: a, url: u}]}\n"
        ).probes[1:]
        + loaded("probes: [{name: alone, kind: herd, number: 1, target: up}]\n").probes
    )

    assert [probe.kind.model_dump()["brand"] for probe in (sheep, goats, alone)] == [
        "sheep",
        "G",
        "alone",
    ]


def test_each_target_of_a_list_tells_the_kind_its_own_name(loaded: Loader) -> None:
    config = loaded("probes: [{name: x, kind: herd, number: 1, targets: [up]}]\n")

    (probe,) = config.probes
    assert probe.name.startswith("x/")
    assert probe.kind.model_dump()["brand"] == probe.name
    assert [problem.with_column() for problem in config.warnings] == [
        (
            "probes.yaml:3:43: probes.0.targets: want chains: for endpoints of one chain,"
            " got targets: each is judged alone"
        )
    ]


def test_a_module_may_name_a_kind_of_chains(loaded: Loader) -> None:
    module = loaded(
        "modules: {flock: {kind: herd, number: 1, reference: [{name: r, url: u}]}}\n"
        "probes: [{name: it, module: flock, target: up}]\n"
    ).modules["flock"]

    assert module.settings is not None
    assert module.settings.model_dump()["brand"] == "flock"


def test_advice_of_a_kind_is_a_warning_without_secrets(loaded: Loader) -> None:
    config = loaded(ONE.replace("number: 1, ", "").replace("http://a/", "http://a/v2/KEY012345"))

    assert [problem.with_column() for problem in config.warnings] == [
        "probes.yaml:3:10: chains.0: want number: to know how many there should be, got none",
        "probes.yaml:3:10: chains.0: want number: for ***, got none",
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        pytest.param(
            "{name: x, kind: herd, endpoints: [{name: a, url: u}], target: up}",
            "probes.yaml:3:64: chains.0.target: want no 'target' in chains, got one:"
            " its endpoints are what is checked",
            id="a target",
        ),
        pytest.param(
            "{name: x, kind: herd, endpoints: [{name: a, url: u}], targets: [up]}",
            "probes.yaml:3:64: chains.0.targets: want no 'targets' in chains, got one:"
            " its endpoints are what is checked",
            id="targets",
        ),
        pytest.param(
            "{name: x, kind: herd, endpoints: [{name: a, url: u}], module: m}",
            "probes.yaml:3:64: chains.0.module: want no 'module' in chains, got one:"
            " its keys stand in the entry itself",
            id="a module",
        ),
        pytest.param(
            "{name: x, endpoints: [{name: a, url: u}]}",
            "probes.yaml:3:10: chains.0: want the key 'kind', got none",
            id="no kind",
        ),
        pytest.param(
            "{name: x, kind: herd}",
            "probes.yaml:3:10: chains.0: want the key 'endpoints', got none",
            id="nothing to check",
        ),
        pytest.param(
            "{name: x, kind: herd, endpoints: []}",
            "probes.yaml:3:10: chains.0: want the key 'endpoints', got none",
            id="an empty list",
        ),
        pytest.param(
            "{name: x, kind: herd, endpoint: []}",
            "probes.yaml:3:32: chains.0.endpoint: want a known key, got 'endpoint'"
            "; did you mean 'endpoints'?",
            id="a misspelt key",
        ),
        pytest.param(
            "{name: x, kind: hrd, endpoints: [{name: a, url: u}]}",
            "probes.yaml:3:26: chains.0.kind: want a kind, got 'hrd'; did you mean 'herd'?",
            id="a misspelt kind",
        ),
        pytest.param(
            "sheep",
            "probes.yaml:3:10: chains.0: want a mapping with name, kind, endpoints, got 'sheep'",
            id="no mapping",
        ),
    ],
)
def test_a_mistake_in_an_entry_is_told_with_a_remedy(
    refused: Refused, entry: str, said: str
) -> None:
    assert refused(f"chains: [{entry}]\n") == [said]


def test_a_kind_that_is_no_chain_is_sent_to_probes(refused: Refused) -> None:
    (said,) = refused("chains: [{name: x, kind: demo}]\n")

    assert said.startswith("probes.yaml:3:26: chains.0.kind: want the kind of a chain (")
    assert "herd" in said
    assert said.endswith("), got 'demo': it belongs to probes")


def test_a_name_is_unique_among_probes_and_chains(refused: Refused) -> None:
    assert refused(f"probes: [{{name: sheep, kind: demo, target: up}}]\n{ONE}") == [
        (
            "probes.yaml:4:17: chains.0.name: want a unique name, got 'sheep' again"
            " (first at probes.yaml:3)"
        )
    ]


def test_the_section_is_a_list(refused: Refused) -> None:
    assert refused("chains: {sheep: {kind: herd}}\n") == [
        "probes.yaml:3:1: chains: want a list of chains, got a mapping"
    ]


def test_a_misspelt_section_is_recognised(refused: Refused) -> None:
    (said,) = refused(ONE.replace("chains:", "chain:"))

    assert said.endswith("want a known key, got 'chain'; did you mean 'chains'?")


def test_keys_of_chains_do_not_stand_in_defaults(refused: Refused) -> None:
    (said,) = refused(f"defaults: {{endpoints: []}}\n{ONE}")

    assert "defaults.endpoints: want a known key, got 'endpoints'" in said


def test_probes_may_depend_on_a_chain(loaded: Loader) -> None:
    config = loaded(f"probes: [{{name: shop, kind: demo, target: up, depends_on: [sheep]}}]\n{ONE}")

    assert config.probes[0].depends_on == ("sheep",)


def test_an_explained_chain_could_stand_in_chains(loaded: Loader) -> None:
    text = explain(loaded(ONE).probes[0])

    assert "target" not in text
    assert "url: '***'" in text
    indented = "\n".join(f"    {line}" for line in text.splitlines()[1:])
    again = loaded(f"chains:\n  -\n{indented}\n").probes[0]
    assert again.kind.model_dump() == loaded(ONE).probes[0].kind.model_dump()


def test_one_endpoint_stands_in_probes(loaded: Loader) -> None:
    (probe,) = loaded("probes: [{name: one, kind: herd, number: 1, target: up}]\n", HEAD).probes

    assert (probe.target, probe.every_s, probe.timeout_s) == ("up", 12, 12)
    assert "target: up" in explain(probe)
