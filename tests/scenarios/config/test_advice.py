"""What is odd about a scenario: told with its place, and no mistake."""

from pathlib import Path
from typing import Any

import pytest

from probes.config.load import load
from scenarios.config.section import SCENARIOS, scenarios_of

HEAD = """\
version: 1
safety: {targets: {allow: [shop.test]}}
probes: [{name: front, kind: tcp, target: "127.0.0.1:1"}]
journeys:
  shop:
    base_url: http://shop.test
    data: {file: rows.csv, pick: unique}
    steps: [{name: home, get: "/${row.id}"}, {repeat: {times: 2, steps: [{name: look, get: /}]}}]
"""
OPEN = "journey: shop, rate: 2/s, duration: 2s"
WARM = "mix: [{journey: shop}], load: {stages: [{duration: 1s, rate: 3/s, warmup: true}, {duration: 1s, rate: 2/s}]}"  # noqa: E501 - one scenario
COUNTED = "journey: shop, load: {model: iterations, iterations: 5}"
BREACH = "expr: rate(request.failed) < 9%"


ALONE = "the others will fail by our own fault"


def rows(iterations: int) -> str:
    """Return what is said of a file whose rows do not suffice."""
    text = f"want a row of rows.csv for each of {iterations} iterations (pick: unique), got 4"
    return f"{text}: {ALONE}"


def row(title: str, keys: str, *said: str) -> Any:
    return pytest.param(keys, list(said), id=title)


ROWS = [
    row("as many rows as iterations", OPEN),
    row("too few rows", OPEN.replace("2s", "20s"), f"journey: {rows(40)}"),
    row("a warm-up takes rows too", WARM, f"mix.0.journey: {rows(5)}"),
    row("a number of iterations", COUNTED, f"journey: {rows(5)}"),
    row("nobody knows how many", "journey: shop, users: 9, duration: 1m"),
    row("a threshold of a run of half a second",
        "journey: shop, rate: 4/s, duration: 500ms, thresholds: [rate(request.failed) < 1%]"),
    row("just enough samples", f"{OPEN}, min_samples: 12"),
    row("more samples than there can be", f"{OPEN}, min_samples: 13",
        "min_samples: want at most the 12 requests that are planned, got 13: its runs will be"
        " inconclusive"),
    row("a share of itself",
        f"{OPEN}, thresholds: ['rate(request.failed{{code_class=\"5xx\"}}) < 1%']",
        "thresholds.0: want count(request.failed{...}) to ask how many, got their share among the"
        ' requests with code_class="5xx": no data while there is none'),
    row("shares and counts that make sense",
        f"{OPEN}, thresholds: ['count(request.failed{{code_class=\"5xx\"}}) == 0',"
        " 'rate(request.failed{{reason=\"timeout\"}}) < 1%',"
        " 'rate(request.failed{{step=\"home\"}}) < 1%']"),
    row("a rule that is looked at and ends nothing",
        f"{OPEN}, thresholds: [{{{BREACH}, window: 1s, after: 1s, for: 2}}]",
        *(f"thresholds.0.{key}: want abort: true beside {key}, got none: at its end all of a run is"
          " judged" for key in ("window", "after", "for"))),
    row("a rule that ends the run",
        f"{OPEN}, thresholds: [{{{BREACH}, window: 1s, abort: true}}]"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "said"), ROWS)
def test_what_is_odd_is_a_warning(tmp_path: Path, keys: str, said: list[str]) -> None:
    (tmp_path / "rows.csv").write_text("id\n1\n2\n3\n4\n")
    file = tmp_path / "probes.yaml"
    file.write_text(f"{HEAD}scenarios:\n  s: {{{keys.replace('{{', '{').replace('}}', '}')}}}\n")

    config = load(file, environ={}, further=(SCENARIOS,))

    assert [f"{it.path}: {it.message}" for it in config.warnings] == [
        f"scenarios.s.{it}" for it in said
    ]
    assert "s" in scenarios_of(config)
