"""The Markdown of a load run, for job summaries."""

from dataclasses import replace

from scenarios.outlets.markdown import MAX_ERRORS, to_markdown
from scenarios.records import Told
from tests.scenarios.reports import half_lost, judged, passed, refused, small, stalled


def test_a_refusal_word_for_word() -> None:
    assert (
        to_markdown(refused())
        == """\
### ⛔ sonde load `shop-evening`: REFUSED

* protected: `want --yes-load shop.example for a protected host, got none`

No request was measured.
"""
    )


def test_a_failed_run_says_why_and_against_what() -> None:
    found = to_markdown(stalled())

    assert found.startswith("### ❌ sonde load `shop-evening`: FAILED\n\n* threshold: `want p99(")
    assert "| ❌ | `p99(iteration.latency) < 1s` | 6.6 s | breach |" in found
    assert "| ✅ | `rate(request.failed) < 1%` | 0.85 % | ok |" in found
    assert "| `p99(iteration.latency)` | 402 ms | 6.6 s | 16.4 times as bad: regression |" in found
    assert "| 66 | `login` | `timeout` | `want an answer within 3 s, got none` |" in found
    assert "| `checkout` | `catalogue` | 2,296 | 0 % |" in found


def test_steps_stand_in_the_order_of_the_plan() -> None:
    rows = [line for line in to_markdown(passed()).splitlines() if line.startswith("| `")]

    steps = [row.split("`")[3] for row in rows if row.count("`") == 4]
    assert steps == ["login", "catalogue", "add-to-cart", "pay", "search", "product"]


def test_a_lost_generator_and_a_missing_baseline_are_told() -> None:
    found = to_markdown(half_lost())

    assert "* generator 1: lost `killed by signal 9 (no memory?)`" in found
    assert "Baseline `ref:main`: none, `no passing run with this config hash`" in found
    assert '| ❔ | `p95(request.duration{step="refund"}) < 1s` | – | no data |' in found  # noqa: RUF001 - a dash, as it is printed


def test_a_warning_is_no_breach() -> None:
    noted = judged("p95(request.duration) < 1ms", 0.1, 0.001, "s", level="warn")

    assert "| ⚠️ | `p95(request.duration) < 1ms` | 100 ms | warning |" in to_markdown(
        replace(small(), thresholds=(noted,))
    )


def test_a_summary_is_short_whatever_went_wrong() -> None:
    many = tuple(Told("login", "status", f"error {number}", 1) for number in range(90))

    found = to_markdown(replace(small(), errors=many))

    assert found.count("`error ") == MAX_ERRORS
    assert f"\n\nand {90 - MAX_ERRORS} more errors\n" in found
