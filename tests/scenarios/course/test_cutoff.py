"""What is told of a run that was cut off."""

from datetime import UTC, datetime

import pytest

from scenarios.course.cutoff import report_of
from scenarios.course.lock import Claim
from scenarios.report import Verdict


@pytest.mark.parametrize("since", ["2026-11-21 03:17:00 UTC", "yesterday", ""])
def test_it_is_inconclusive_and_says_who_it_was(since: str) -> None:
    report = report_of(Claim("nightly", "r1", 42, "vm", since, started=True))

    (why,) = report.reasons
    assert (report.scenario, report.run_id) == ("nightly", "r1")
    assert (report.verdict, report.exit_code, why.code) == (Verdict.INCONCLUSIVE, 3, "interrupted")
    assert "scenario 'nightly' of process 42 on vm" in why.text
    assert report.started_at <= report.ended_at
    if since.endswith("UTC"):
        assert report.started_at == datetime(2026, 11, 21, 3, 17, tzinfo=UTC)
