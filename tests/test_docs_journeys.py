"""docs/journeys.md is true: its examples go through the demo shop, its failure looks like that."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from probes.config.load import load
from probes.kinds.journey import Journey
from probes.probe import Probe
from probes.report import describe
from probes.result import Outcome
from probes.run import run_once
from scripts.docs import ROOT
from tests.shop.app import RunningShop, shop_server
from tests.shop.faults import Fault

PAGE = (ROOT / "docs/journeys.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml probes\.yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(USERS,) = re.findall(r"^```csv users\.csv\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHOP = "http://127.0.0.1:8090"
PLAYED = [text for text in BLOCKS if SHOP in text]
ENVIRON = {"PRIVATE_PASSWORD": "battery-staple"}

one_loop = pytest.mark.asyncio(loop_factories=["uvloop"])


@pytest.fixture
async def shop() -> AsyncIterator[RunningShop]:
    async with shop_server(pricing_s=0.02) as shop:
        yield shop


def probe_of(text: str, directory: Path) -> Probe:
    (directory / "users.csv").write_text(USERS, encoding="utf-8")
    (directory / "probes.yaml").write_text(text, encoding="utf-8")
    (probe,) = load(directory / "probes.yaml", environ=ENVIRON).probes
    return probe


PROBES = pytest.mark.parametrize(
    "text", [pytest.param(text, id=re.findall(r"name: ([\w-]+)", text)[-1]) for text in PLAYED]
)


@pytest.fixture
def probe(text: str, tmp_path: Path) -> Probe:
    return probe_of(text, tmp_path)


@PROBES
@one_loop
async def test_an_example_goes_through_the_shop(probe: Probe, text: str, shop: RunningShop) -> None:
    result = await run_once(replace(probe, target=shop.url))

    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert {step.outcome for step in result.steps if step.attempts} == {Outcome.UP}


def test_nearly_all_examples_are_played() -> None:
    assert len(PLAYED) >= 6
    assert [text for text in BLOCKS if text not in PLAYED] == [
        text for text in BLOCKS if "sql:" in text
    ]


@pytest.fixture
def checkout() -> Probe:
    probes = load(ROOT / "examples/shop.yaml", environ={}).probes
    return next(probe for probe in probes if probe.name == "checkout")


@one_loop
async def test_a_failure_looks_as_it_is_shown(checkout: Probe, shop: RunningShop) -> None:
    shown = next(
        text for text in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if text.startswith("checkout: down")
    )  # fmt: skip
    shop.break_it(Fault.PAY_DECLINED)
    told = describe(await run_once(replace(checkout, target=shop.url)))

    assert [line for line in shapes(shown) if line not in shapes(told)] == []


def shapes(text: str) -> list[str]:
    """Return the lines without what differs from run to run."""
    text = re.sub(r" *[0-9.]+ m?s\b", " T", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST", text)
    return re.sub(r"/cart/[0-9a-f]+", "/cart/ID", text).splitlines()


def test_every_series_of_the_page_is_declared() -> None:
    named = set(re.findall(r"`sonde_(journey_\w+)", PAGE))

    assert named == {metric.name for metric in Journey.metrics}
