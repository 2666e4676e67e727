"""What may be expected of an HTTP answer: forms that people write, and the time of phases."""

from typing import Any

import jsonschema
import pytest

from probes.errors import CheckFailed
from probes.expect import Matcher
from probes.kinds.http import Http
from probes.recorder import Recorder
from probes.wire.http.message import Response
from probes.wire.http_check.answer import judges_of_run
from probes.wire.http_check.expect import HeaderPattern, HttpExpect, HttpWarn, LatencyBand, Patterns
from probes.wire.url import parse_url

SCHEMA = jsonschema.Draft202012Validator(Http.model_json_schema(by_alias=True))


def warn(**keys: Any) -> HttpWarn:
    return HttpWarn.model_validate(keys)


def timed(**phases: float) -> Recorder:
    recorder = Recorder(clock=lambda: 0.0)
    for name, seconds in phases.items():
        recorder.add_phase(name, seconds)
    return recorder


def judge_latency(recorder: Recorder, wanted: Any) -> None:
    """Judge a run by a band that is *wanted*."""
    for judge in judges_of_run(warn(latency=wanted)):
        judge(recorder, Response(parse_url("http://localhost/")))


def test_a_list_is_of_patterns_and_all_else_a_matcher() -> None:
    assert warn(body=["a", "b"]).body == Patterns(["a", "b"])
    assert warn(body="a").body == Matcher("a")
    assert warn(body={"contains": "a"}).body == Matcher({"contains": "a"})
    assert warn(headers={"a": "b"}).headers == {"a": Matcher("b")}
    listed = warn(headers=[{"name": "A", "regex": "b"}])
    assert listed.headers == [HeaderPattern.model_validate({"name": "A", "regex": "b"})]
    assert warn(headers_lack={"name": "A", "regex": "b"}).headers_lack == listed.headers
    assert [str(it) for it in warn(body_lacks="a").body_lacks] == ["a"]


@pytest.mark.parametrize(
    ("written", "read"),
    [("1.1", ["1.1"]), (1.1, ["1.1"]), (2, ["2"]), ([1.0, "2", 3], ["1.0", "2", "3"]), ([], [])],
)
def test_versions_are_read_as_people_write_them(written: Any, read: list[str]) -> None:
    assert warn(http_version=written).http_version == read


@pytest.mark.parametrize(
    ("keys", "searches", "asks", "judges"),
    [
        ({}, False, False, False),
        ({"headers_lack": [{"name": "A", "regex": "b"}]}, False, False, False),
        ({"body": ["a"]}, True, False, True),
        ({"body": []}, True, False, True),
        ({"body_lacks": ["a"]}, True, False, True),
        ({"json": {"$": 1}}, True, False, True),
        ({"cel": "true"}, False, True, True),
        ({"cel_not": "true"}, False, True, True),
    ],
)
def test_who_looks_at_the_body(keys: Any, searches: bool, asks: bool, judges: bool) -> None:
    found = warn(**keys)
    assert (found.searches_body, found.asks_cel, found.judges_body) == (searches, asks, judges)


def test_phases_are_judged_each_by_its_band() -> None:
    wanted = {"phases": {"tls": "300ms", "connect": {"warn": "10ms", "fail": "1s"}}}
    slow = timed(connect=0.02, tls=0.2, transfer=9)
    judge_latency(slow, wanted)
    assert [it.message for it in slow.warnings] == ["want connect <= 10ms, got 20ms"]
    with pytest.raises(CheckFailed, match="want tls <= 300ms, got 400ms"):
        judge_latency(timed(connect=0.001, tls=0.4), wanted)


def test_the_whole_run_is_judged_beside_its_phases() -> None:
    ticks = iter([0.0, 1.5])
    with pytest.raises(CheckFailed, match=r"want latency <= 1s, got 1\.5s"):
        judge_latency(Recorder(clock=lambda: next(ticks)), {"fail": "1s", "phases": {"tls": "1m"}})


@pytest.mark.parametrize(
    ("wanted", "seconds", "warned"),
    [
        pytest.param({"warn": "1s"}, 1.0, [], id="as long as it may be"),
        pytest.param(
            {"warn": "1s", "fail": "2s"}, 1.5, ["want latency <= 1s, got 1.5s"], id="long"
        ),
    ],
)
def test_a_run_between_its_bounds_is_warned_of(
    wanted: Any, seconds: float, warned: list[str]
) -> None:
    ticks = iter([0.0, seconds])
    recorder = Recorder(clock=lambda: next(ticks))

    judge_latency(recorder, wanted)

    assert [it.message for it in recorder.warnings] == warned


def test_a_bare_value_is_a_status_or_a_latency() -> None:
    assert HttpExpect.model_validate(404) == HttpExpect.model_validate({"status": 404})
    assert warn(latency="2s").latency == LatencyBand.model_validate({"fail": "2s"})


@pytest.mark.parametrize(
    "keys",
    [
        {"expect": {"body": ["a", "b"], "headers": [{"name": "a", "regex": "b"}]}},
        {"expect": {"body": {"contains": "a"}, "headers": {"a": "b"}}},
        {"expect": {"body_lacks": "a", "headers_lack": {"name": "a", "regex": "b"}}},
        {"expect": {"http_version": "2", "tls": "present", "cel": "body.a == 1"}},
        {"expect": {"http_version": [1.1, 2], "latency": {"phases": {"tls": "1s"}}}},
        {"expect": {"latency": "1s"}, "max_body": "none", "decode": "gzip"},
        {"headers": {"A": "b", "C": ["d", {"env": "E"}, {"file": "f", "every_run": True}]}},
        {"body": "a", "bearer": {"file": "f", "every_run": True}},
        {"body": {"file": "f"}, "authorization": {"type": "Token", "credentials": "abc"}},
        {"measure": [{"name": "shop_a", "json": "$.a", "fail": "> 1", "labels": {"b": "$.b"}}]},
    ],
)
def test_the_schema_of_the_editor_takes_every_form(keys: Any) -> None:
    SCHEMA.validate(keys)


@pytest.mark.parametrize(
    "keys",
    [
        {"expect": {"tls": "yes"}},
        {"expect": {"latency": {"phases": {"dns": "1s"}}}},
        {"decode": "lzma"},
        {"measure": [{"name": "shop_a", "json": "$.a", "fail": "much"}]},
    ],
)
def test_the_schema_of_the_editor_refuses_what_the_load_refuses(keys: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(keys)
