"""Every example of examples/ loads as it is shipped, without a warning, and names what it wants."""

import re
from collections import Counter

import pytest

from probes.config.load import Config, load_blackbox
from scenarios.config.section import scenarios_of
from tests.platforms.examples import EXAMPLES, PLATFORMS, load_example, variables

WANTED = re.compile(r"\$\{([A-Z_0-9]+)(:-)?")
IDS = re.compile(r"\b(?:CF|FI|PF|TA|NF)-[A-Z][0-9]+\b")
PREFIXES = {"cf1": "CF", "fitness": "FI", "new-fuse": "NF", "pfm": "PF", "takumi": "TA"}
SCENARIOS = {
    "cf1": ["launchpad"], "fitness": ["booking"], "new-fuse": ["baseline", "spike"],
    "pfm": [], "takumi": [],
}  # fmt: skip
# of examples that are not of a platform
OTHERS = {"ORDERS_DSN": "postgresql://app@db.example.org/orders", "SONDE_ADMIN_TOKEN": "t" * 32}
FILES = sorted(EXAMPLES.glob("*.yaml"))


def text(name: str) -> str:
    return (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def configs() -> dict[str, Config]:
    return {path.stem: load_example(path, variables() | OTHERS) for path in FILES}


@pytest.mark.parametrize("name", [path.stem for path in FILES])
def test_an_example_loads_without_a_warning(configs: dict[str, Config], name: str) -> None:
    told = [warning.message for warning in configs[name].warnings]

    assert configs[name].probes
    # of the one who runs the tests, not of the file
    assert [each for each in told if "Chromium has no sandbox for root" not in each] == []


def test_the_blackbox_file_loads() -> None:
    assert load_blackbox(EXAMPLES / "blackbox.yml").modules


def test_the_variables_of_platforms_are_those_that_are_wanted() -> None:
    wanted = {
        name for platform in PLATFORMS for name, default in WANTED.findall(text(platform))
        if not default
    }  # fmt: skip

    assert wanted == set(variables())


@pytest.mark.parametrize("name", PLATFORMS)
def test_an_example_has_the_loads_that_its_platform_wants(
    configs: dict[str, Config], name: str
) -> None:
    assert list(scenarios_of(configs[name])) == SCENARIOS[name]


@pytest.mark.parametrize("name", PLATFORMS)
def test_an_example_cites_requirements_of_its_platform_alone(name: str) -> None:
    cited = Counter(each.split("-")[0] for each in IDS.findall(text(name)))

    assert set(cited) == {PREFIXES[name]}


def test_nothing_that_looks_like_a_secret_is_shipped() -> None:
    told = {
        name: value for name, value in variables().items()
        if name.endswith(("PASSWORD", "TOKEN"))
    }  # fmt: skip

    assert set(told.values()) == {"change-me"}


def test_every_file_of_the_folder_is_known() -> None:
    found = {path.name for path in EXAMPLES.iterdir()} - {path.name for path in FILES}

    assert found == {"blackbox.yml", "conf.d", "platforms.env", "rules.yml"}
