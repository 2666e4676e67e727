"""The report of a run that was cut off by a crash or a kill; it is never made up for.

Knows of it what its lock file says (`scenarios.course.lock`), and nothing that it counted.
"""

from datetime import UTC, datetime

from scenarios.course.lock import Claim
from scenarios.report import EXIT_CODES, LoadReport, Verdict, Why

CODE = "interrupted"


def report_of(claim: Claim) -> LoadReport:
    """Return what is left to say of the run that *claim* names."""
    now = datetime.now(UTC)
    text = f"want the run to its end, got {claim} cut off; it is not made up for"
    return LoadReport(
        claim.scenario,
        claim.run_id,
        Verdict.INCONCLUSIVE,
        EXIT_CODES[Verdict.INCONCLUSIVE],
        (Why(Verdict.INCONCLUSIVE, CODE, text),),
        _since(claim, now),
        now,
    )


def _since(claim: Claim, now: datetime) -> datetime:
    try:
        began = datetime.fromisoformat(claim.since.replace(" UTC", "+00:00"))
    except ValueError:
        return now
    return began if began.tzinfo is not None else now
