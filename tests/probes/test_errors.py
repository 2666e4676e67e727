"""Config mistakes and verdicts: the words in which people meet them."""

import pytest

from probes.errors import CheckFailed, ConfigError, Problem
from probes.result import Reason

MISTAKE = Problem("probes.yaml", 9, 13, "probes.1.target", "want an http:// URL, got 'x'")


@pytest.mark.parametrize(
    ("problem", "plain", "with_column"),
    [
        pytest.param(
            MISTAKE,
            "probes.yaml:9: probes.1.target: want an http:// URL, got 'x'",
            "probes.yaml:9:13: probes.1.target: want an http:// URL, got 'x'",
            id="a key",
        ),
        pytest.param(
            Problem("a.yaml", 0, 0, "", "want a file, got none"),
            "a.yaml: want a file, got none",
            "a.yaml: want a file, got none",
            id="the file as a whole",
        ),
        pytest.param(
            Problem("a.yaml", 3, 1, "", "want valid YAML"),
            "a.yaml:3: want valid YAML",
            "a.yaml:3:1: want valid YAML",
            id="a place without a key",
        ),
    ],
)
def test_a_mistake_says_where_it_is(problem: Problem, plain: str, with_column: str) -> None:
    assert str(problem) == plain
    assert problem.with_column() == with_column


def test_mistakes_sort_in_file_order() -> None:
    earlier = Problem("probes.yaml", 9, 2, "z", "z")

    assert sorted([MISTAKE, earlier]) == [earlier, MISTAKE]


def test_a_config_error_tells_every_mistake_at_once() -> None:
    other = Problem("probes.yaml", 12, 1, "", "want one more")

    error = ConfigError([MISTAKE, other])

    assert error.problems == (MISTAKE, other)
    assert str(error).splitlines() == [str(MISTAKE), str(other)]


def test_a_verdict_carries_reason_message_and_phase() -> None:
    verdict = CheckFailed(Reason.STATUS, "want 2xx, got 503", phase="processing")

    assert (verdict.reason, verdict.message, verdict.phase) == (
        Reason.STATUS,
        "want 2xx, got 503",
        "processing",
    )
    assert str(verdict) == "want 2xx, got 503"
    assert CheckFailed(Reason.STATUS, "x").phase is None
