"""The frozen values: what counts as ok, whose fault a reason is, and the way through JSON."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.result import PROBER_REASONS, Failure, Outcome, Phase, Reason, Result, Sample

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
# product.md, Reasons: spelled here once more, because a rename would break people's alerts
OF_THE_TARGET = [
    "dns_nxdomain", "dns_no_address", "dns_servfail", "dns_timeout",
    "refused", "unreachable", "timeout", "closed",
    "tls", "certificate_expired", "certificate_untrusted", "certificate_name",
    "certificate_expiring", "protocol", "too_large", "redirect", "blocked",
    "status", "auth", "body", "value", "latency", "extract",
]  # fmt: skip
OF_THE_PROBER = [
    "internal", "resource", "network", "overload", "stall", "permission", "config", "policy",
    "clock", "evidence",
]  # fmt: skip

texts = st.text(max_size=20)
failures = st.builds(Failure, st.sampled_from(Reason), texts, st.none() | texts)
seconds = st.floats(0, 1e6)
leaves = st.builds(
    Result,
    probe=texts,
    kind=texts,
    target=texts,
    outcome=st.sampled_from(Outcome),
    started_at=st.datetimes(timezones=st.just(UTC)),
    seconds=seconds,
    run_id=texts,
    attempts=st.integers(0, 9),
    failure=st.none() | failures,
    warnings=st.lists(failures, max_size=3).map(tuple),
    phases=st.lists(st.builds(Phase, texts, seconds, st.booleans()), max_size=3).map(tuple),
    samples=st.lists(
        st.builds(
            Sample,
            texts,
            st.floats(allow_nan=False),
            st.dictionaries(texts, texts, max_size=2).map(lambda labels: tuple(labels.items())),
        ),
        max_size=3,
    ).map(tuple),
    facts=st.dictionaries(texts, texts, max_size=3),
    steps=st.just(()),
)
results = st.builds(
    lambda result, steps: result._replace(steps=tuple(steps)),
    leaves,
    st.lists(leaves, max_size=2),
)


def result(**changes: Any) -> Result:
    """A Result that is up."""
    whole: dict[str, Any] = {
        "probe": "p",
        "kind": "tcp",
        "target": "h:1",
        "outcome": Outcome.UP,
        "started_at": AT,
        "seconds": 0.25,
    }
    return Result(**(whole | changes))


def test_the_list_of_reasons_is_the_published_one() -> None:
    assert [reason.value for reason in Reason] == OF_THE_TARGET + OF_THE_PROBER


def test_a_reason_knows_whose_fault_it_is() -> None:
    assert {reason.value for reason in Reason if reason.is_own_fault} == set(OF_THE_PROBER)
    assert {reason.value for reason in PROBER_REASONS} == set(OF_THE_PROBER)


@pytest.mark.parametrize(
    ("outcome", "ok"),
    [
        pytest.param(Outcome.UP, True, id="up"),
        pytest.param(Outcome.DEGRADED, True, id="degraded works, with a warning"),
        pytest.param(Outcome.DOWN, False, id="down"),
        pytest.param(Outcome.UNKNOWN, False, id="unknown is never ok"),
    ],
)
def test_ok_means_that_the_target_works(outcome: Outcome, ok: bool) -> None:
    assert result(outcome=outcome).ok is ok


def test_the_cause_is_the_failure_before_any_warning() -> None:
    slow, refused = Failure(Reason.LATENCY, "slow"), Failure(Reason.REFUSED, "no")

    assert result().cause is None
    assert result(warnings=(slow, refused)).cause is slow
    assert result(failure=refused, warnings=(slow,)).cause is refused


def test_a_result_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        result().outcome = Outcome.DOWN  # type: ignore[misc]
    with pytest.raises(TypeError):
        result().facts["x"] = "y"  # type: ignore[index]


def test_the_json_form_is_the_published_one() -> None:
    whole = result(
        outcome=Outcome.DOWN,
        failure=Failure(Reason.TIMEOUT, "want an answer, got none", "connect"),
        phases=(Phase("connect", 0.2, complete=False),),
        samples=(Sample("x", 1.0, (("a", "b"),)),),
        facts={"address": "h:1"},
        steps=(result(),),
    )

    assert whole.as_dict() == {
        "probe": "p",
        "kind": "tcp",
        "target": "h:1",
        "outcome": "down",
        "started_at": "2026-01-02T03:04:05.678901+00:00",
        "seconds": 0.25,
        "run_id": "",
        "attempts": 1,
        "failure": {"reason": "timeout", "message": "want an answer, got none", "phase": "connect"},
        "warnings": [],
        "phases": [{"name": "connect", "seconds": 0.2, "complete": False}],
        "samples": [{"name": "x", "value": 1.0, "labels": {"a": "b"}}],
        "facts": {"address": "h:1"},
        "steps": [result().as_dict()],
    }


def test_the_json_form_gives_the_time_in_utc() -> None:
    local = AT.astimezone(timezone(timedelta(hours=5)))

    assert result(started_at=local).as_dict()["started_at"] == "2026-01-02T03:04:05.678901+00:00"


@given(results)
def test_a_result_survives_json(whole: Result) -> None:
    assert Result.from_dict(json.loads(json.dumps(whole.as_dict()))) == whole


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"outcome": "sideways"}, ValueError, id="unknown outcome"),
        pytest.param(
            {"failure": {"reason": "x", "message": "", "phase": None}}, ValueError, id="reason"
        ),
        pytest.param({"started_at": "yesterday"}, ValueError, id="time"),
    ],
)
def test_what_is_no_result_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Result.from_dict(result().as_dict() | changes)


def test_a_dict_with_a_key_missing_is_refused() -> None:
    with pytest.raises(KeyError, match="probe"):
        Result.from_dict({})
