"""What is kept of targets that nobody has named: bounded, whoever asks for how many."""

import gc
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from exporter.on_demand import plans
from exporter.on_demand.plans import Plans
from exporter.on_demand.question import Question
from probes.config.load import load_blackbox
from probes.wire.http_check import check

# Instead of 4,096: so each bound is met several times.
FEW = 64
TARGETS = 3 * FEW
# reliability.md T27: 10 MiB for whoever asks for 100,000 targets. 2026-11: plans for 4,096 left
# 65,000 blocks of memory; with what the process remembers of addresses 8 MiB.
MAX_BLOCKS = 80_000


@pytest.fixture
def two(tmp_path: Path) -> tuple[Plans, Plans]:
    """Plans of two files that say the same."""
    path = tmp_path / "blackbox.yml"
    path.write_text("modules: {web: {prober: http, timeout: 2s}}\n")
    first, second = (Plans(load_blackbox(path)) for _ in range(2))
    return first, second


def plan(kept: Plans, numbers: Iterable[int]) -> None:
    """Plan a run of as many targets."""
    for number in numbers:
        question = Question(module="web", target=f"http://127.0.0.1:1/{number:06}")
        kept.make(kept.judge(question, kept.source(question))).within(2.0)
    gc.collect()


def blocks_for_each(two: tuple[Plans, Plans]) -> float:
    """Return how many blocks of memory each of some new targets leaves behind."""
    others, kept = two
    # what is remembered of an address is the process' own, and has bounds of its own
    plan(others, range(2 * TARGETS))
    plan(kept, range(TARGETS))
    before = sys.getallocatedblocks()
    plan(kept, range(TARGETS, 2 * TARGETS))
    return (sys.getallocatedblocks() - before) / TARGETS


def test_t27_what_is_kept_of_targets_does_not_grow(
    two: tuple[Plans, Plans], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MAX_PLANS", FEW)
    monkeypatch.setattr(check, "MAX_PLANS", FEW)

    # without one of the bounds it is five or more
    assert blocks_for_each(two) < 2


def test_t27_what_is_kept_of_targets_fits(two: tuple[Plans, Plans]) -> None:
    kept = blocks_for_each(two)

    assert check.MAX_PLANS == plans.MAX_PLANS
    assert 0 < kept * plans.MAX_PLANS < MAX_BLOCKS
