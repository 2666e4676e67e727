"""Writes what a sample found into the recorder of the run: samples, steps, facts, the verdict.

A run yields one Result for the group; the verdict of each endpoint, indexer and contract nests in
its steps. Knows no wire.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from probes.chain.books.books import samples
from probes.chain.course import Sample
from probes.chain.model import Group, Judgement, Verdict
from probes.chain.reasons import Finding
from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Failure, Outcome, Phase, Result
from probes.result import Sample as Number

EXPIRY = "ssl_earliest_cert_expiry"
# chains.md 6.3: where a call stands, in words of its own.
PHASES: Mapping[str, str] = MappingProxyType({"processing": "response", "transfer": "body"})


def record(group: Group, sample: Sample, recorder: Recorder) -> None:
    """Write *sample* into *recorder* and tell the verdict.

    Raises:
        CheckFailed: the group is down, or nothing can be said of it.
    """
    judgement = sample.judgement
    recorder.extend(samples(group, sample.memory.books, judgement, sample.now))
    _record_certificates(sample, recorder)
    _record_facts(judgement, recorder)
    for verdict in judgement.endpoints:
        visit = sample.visits[verdict.name]
        notes = visit.recorder
        phases = tuple(
            phase._replace(name=PHASES.get(phase.name, phase.name)) for phase in notes.phases
        )
        facts = {**notes.facts, **visit.seen.facts, **_numbers(verdict)}
        step = _step(group, verdict, (phases, notes.samples, facts))
        recorder.step(step)
        if len(judgement.endpoints) == 1:
            # the run is that of its one endpoint
            for name, seconds, complete in phases:
                recorder.add_phase(name, seconds, complete=complete)
    for verdict in judgement.steps:
        recorder.step(_step(group, verdict, ((), (), {})))
    _tell(judgement, recorder)


def _tell(judgement: Judgement, recorder: Recorder) -> None:
    finding = judgement.finding
    if finding is None:
        return
    blamed = f"{judgement.blamed}: " if judgement.blamed else ""
    message = f"{finding.reason}: {blamed}{finding.detail}"
    if judgement.outcome is Outcome.DEGRADED:
        recorder.warn(finding.product_reason, message, phase=finding.phase)
    elif judgement.outcome is not Outcome.UP:
        raise CheckFailed(finding.product_reason, message, phase=finding.phase)


def _step(
    group: Group,
    verdict: Verdict,
    notes: tuple[tuple[Phase, ...], tuple[Number, ...], dict[str, str]],
) -> Result:
    phases, numbers, facts = notes
    failures = tuple(map(_failure, verdict.findings))
    is_failed = verdict.outcome in (Outcome.DOWN, Outcome.UNKNOWN)
    return Result(
        probe=verdict.name,
        kind=group.family,
        target=verdict.name,
        outcome=verdict.outcome,
        started_at=datetime.now(UTC),
        seconds=sum(phase.seconds for phase in phases),
        failure=failures[0] if is_failed and failures else None,
        warnings=failures[1:] if is_failed else failures,
        phases=phases,
        samples=numbers,
        facts=facts,
    )


def _failure(finding: Finding) -> Failure:
    message = f"{finding.reason}: {finding.detail}" if finding.detail else finding.reason.value
    return Failure(finding.product_reason, message, finding.phase)


def _numbers(verdict: Verdict) -> dict[str, str]:
    """Return what people want to see beside a verdict."""
    told = {
        "height": verdict.height,
        "behind": verdict.lag,
        "head age": None if verdict.head_age_s is None else f"{verdict.head_age_s:.1f} s",
    }
    return {name: str(value) for name, value in told.items() if value is not None}


def _record_certificates(sample: Sample, recorder: Recorder) -> None:
    """Tell the certificate of the group that ends first, also when its endpoint was refused."""
    ends = [
        number.value for number in _all_numbers(sample) if number.name == EXPIRY and number.value
    ]
    if ends:
        recorder.sample(EXPIRY, min(ends))


def _all_numbers(sample: Sample) -> Iterable[Number]:
    for visit in sample.visits.values():
        yield from visit.recorder.samples


def _record_facts(judgement: Judgement, recorder: Recorder) -> None:
    if judgement.reference is not None:
        recorder.fact("reference", str(judgement.reference))
    recorder.fact("voters", str(judgement.voters))
    recorder.fact("block time", f"{judgement.block_time_s:g} s")
