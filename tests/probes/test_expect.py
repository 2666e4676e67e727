"""Bands, statuses, certificate days, patterns: the pure judgements."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from probes.errors import CheckFailed
from probes.expect import (
    CertificateExpect,
    DurationBand,
    JsonExpect,
    NumberBand,
    Pattern,
    RatioBand,
    SizeBand,
    Statuses,
    judge_json,
    searchable,
    suggest,
)
from probes.recorder import Recorder
from probes.result import Reason
from probes.settings import Settings


class Everything(Settings):
    status: Statuses = Statuses("2xx")
    body: Pattern | None = None
    json_paths: JsonExpect = Field(default_factory=dict)
    latency: DurationBand | None = None


@pytest.mark.parametrize(
    ("source", "good", "bad", "text"),
    [
        (200, 200, 201, "200"),
        ("2xx", 299, 300, "2xx"),
        ("200-204", 204, 205, "200-204"),
        ([200, "3xx"], 302, 404, "200, 3xx"),
        ({"not": "5xx"}, 404, 503, "not 5xx"),
    ],
)
def test_statuses_admit_what_they_say(source: Any, good: int, bad: int, text: str) -> None:
    statuses = Statuses(source)

    assert statuses.admits(good)
    assert not statuses.admits(bad)
    assert str(statuses) == text


@pytest.mark.parametrize(
    "source", ["2xy", 99, 2000, True, None, [], {"nott": 200}, "299-200", "٢٠٠", 200.0]
)
def test_what_is_no_status_is_refused(source: Any) -> None:
    with pytest.raises(ValueError, match=r"^want"):
        Statuses(source)


def test_a_band_warns_above_warn_and_fails_above_fail() -> None:
    band = DurationBand.model_validate({"warn": "500ms", "fail": "2s"})
    recorder = Recorder()

    band.judge(0.5, recorder)
    band.judge(0.7, recorder)
    assert [w.message for w in recorder.warnings] == ["want latency <= 500ms, got 700ms"]
    with pytest.raises(CheckFailed, match=r"want latency <= 2s, got 2\.5s") as caught:
        band.judge(2.5, recorder)
    assert caught.value.reason is Reason.LATENCY


@pytest.mark.parametrize(
    ("band", "value", "message"),
    [
        (DurationBand.model_validate("1s"), 1.5, "want x <= 1s, got 1.5s"),
        (RatioBand.model_validate("90%"), 0.955, "want x <= 90%, got 95.5%"),
        (RatioBand.model_validate(0.5), 0.6, "want x <= 50%, got 60%"),
        (NumberBand.model_validate(3), 4, "want x <= 3, got 4"),
        (SizeBand.model_validate("1MiB"), 2097152, "want x <= 1MiB, got 2MiB"),
    ],
)
def test_a_bare_value_is_the_limit_of_failure(band: Any, value: float, message: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        band.judge(value, Recorder(), what="x", reason=Reason.VALUE)

    assert caught.value.message == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"latency": {}}, "want warn, fail or both, got neither"),
        ({"latency": {"warn": "3s", "fail": "2s"}}, "want warn to come before fail, got 3s and 2s"),
        ({"latency": 5}, "want a duration with its unit such as 500ms, 10s or 5m, got 5"),
        ({"status": "2xy"}, "want a status such as 200, 2xx or 200-299, got '2xy'"),
        ({"body": "("}, "want an RE2 pattern, got '(': missing ): ("),
        ({"body": r"\C"}, r"want an RE2 pattern without \C, got '\\C'"),
        ({"body": "a" * 20_000}, "want a pattern of at most 16384 characters, got 20000"),
        (
            {"json_paths": {"a": 1}},
            "want a JSONPath such as $.a.b, got 'a' without the $",
        ),
    ],
)
def test_a_mistake_is_told_in_our_words(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Everything.model_validate(data)

    assert caught.value.errors()[0]["msg"] == f"Value error, {message}"


def test_a_certificate_degrades_then_fails_as_its_end_comes_near() -> None:
    expect = CertificateExpect.model_validate({"expires_in": {"warn": "21d", "fail": "7d"}})
    recorder = Recorder()

    expect.judge(30 * 86400, recorder)
    expect.judge(10 * 86400, recorder)
    messages = [warning.message for warning in recorder.warnings]
    assert messages == ["want the certificate to expire in 21d or later, got 10d"]
    with pytest.raises(CheckFailed, match="in 7d or later, got nothing") as caught:
        expect.judge(-5, recorder)
    assert caught.value.reason is Reason.CERTIFICATE_EXPIRING


def test_the_order_of_an_expiry_band_is_the_other_way_round() -> None:
    with pytest.raises(ValidationError, match="want warn to come before fail, got 7d and 21d"):
        CertificateExpect.model_validate({"expires_in": {"warn": "7d", "fail": "21d"}})


def test_json_is_judged_by_path() -> None:
    expect = Everything.model_validate({"json_paths": {"$.a": 1, "$.b[*]": {"size": 2}}}).json_paths

    judge_json(expect, {"a": 1, "b": [1, 2]})
    with pytest.raises(CheckFailed) as caught:
        judge_json(expect, {"b": [1, 2]})
    assert (caught.value.reason, caught.value.message) == (Reason.BODY, "$.a: want 1, got nothing")


def test_a_pattern_is_linear_in_the_text() -> None:
    assert Pattern("(a+)+$").search(b"a" * 100_000 + b"b") is None


def test_invalid_utf8_reads_as_the_replacement_character() -> None:
    assert Pattern("^a.b$").search(b"a\xffb") is None
    assert Pattern("^a.b$").search(searchable(b"a\xffb"))
    assert searchable(b"plain") == b"plain"


def test_a_misspelt_word_is_told_its_neighbour() -> None:
    assert suggest("statsu", ["status", "body"]) == "; did you mean 'status'?"
    assert suggest("zzz", ["status", "body"]) == ""


@given(st.text(max_size=30), st.binary(max_size=50))
def test_any_pattern_is_refused_or_searches_any_bytes(text: str, data: bytes) -> None:
    try:
        compiled = Pattern(text)
    except ValueError as error:
        assert str(error).startswith("want an RE2 pattern")  # noqa: PT017 - either outcome is right
    else:
        compiled.search(searchable(data))
