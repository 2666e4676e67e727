"""Numbers out of answers: where they stand, what is missing, how many series there may be."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from probes.kind import Metric
from probes.measure import MAX_MEASURES, MAX_VALUES, Answer, Measure, Measures, record_measures
from probes.recorder import Recorder
from probes.result import Reason

DOCUMENT = {
    "lag": 7,
    "ok": True,
    "text": " 12.5 ",
    "word": "many",
    "null": None,
    "huge": 10**400,
    "vast": 1e308,
    "most": {"a": 1e308, "b": 1e308, "c": 1e308},
    "by_category": {"run": 3, "swim": 4.5},
    "queues": [{"name": "mail", "size": 1}, {"name": "jobs", "size": 2, "prio": 1}],
}
BODY = json.dumps(DOCUMENT).encode()
HEADERS = {"x-process-time": ["0.25", "9"], "x-word": ["many"]}


def measure(**keys: Any) -> Measure:
    return Measure.model_validate({"name": "shop_value", **keys})


def taken(*measures: Measure, body: bytes = BODY) -> tuple[Any, Recorder, Any]:
    recorder = Recorder()
    answer = Answer(lambda name: HEADERS.get(name.lower(), []), body)
    missed = record_measures(measures, answer, recorder)
    return {(s.name, *s.labels): s.value for s in recorder.samples}, recorder, missed


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"json": "$.lag"}, {("shop_value",): 7}),
        ({"json": "$.ok"}, {("shop_value",): 1}),
        ({"json": "$.text", "scale": 0.01}, {("shop_value",): 0.125}),
        ({"json": "$.lag", "unit": "blocks"}, {("shop_value_blocks",): 7}),
        (
            {"name": "shop_votes_total", "type": "counter", "json": "$.lag"},
            {("shop_votes_total",): 7},
        ),
        ({"header": "X-Process-Time"}, {("shop_value",): 0.25}),
        ({"regex": '"lag": ([0-9]+)'}, {("shop_value",): 7}),
        (
            {
                "regex": '"(?P<what>lag)": (?P<value>[0-9]+)',
                "labels": {"name": "what"},
            },
            {("shop_value", ("name", "lag")): 7},
        ),
        (
            {"json": "$.lag", "labels": {"word": "$.word", "up": "$.ok", "no": "$.nothing"}},
            {("shop_value", ("word", "many"), ("up", "true"), ("no", "")): 7},
        ),
        (
            {"each": "$.by_category", "label": "category"},
            {
                ("shop_value", ("category", "run")): 3,
                ("shop_value", ("category", "swim")): 4.5,
            },
        ),
        (
            {"each": "$.queues[*]", "json": "$.size", "labels": {"queue": "$.name"}},
            {("shop_value", ("queue", "mail")): 1, ("shop_value", ("queue", "jobs")): 2},
        ),
        (
            {
                "each": "$.queues[*]",
                "json": "$.prio",
                "labels": {"queue": "$.name"},
                "optional": True,
            },
            {("shop_value", ("queue", "jobs")): 1},
        ),
    ],
)
def test_a_value_is_found_where_it_stands(keys: Any, found: Any) -> None:
    values, _, missed = taken(measure(**keys))
    assert values == found
    assert missed is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"json": "$.nothing"}, "shop_value: want a number, got nothing"),
        ({"json": "$.word"}, "shop_value: want a number, got 'many'"),
        ({"json": "$.null"}, "shop_value: want a number, got null"),
        ({"json": "$.huge"}, None),
        ({"json": "$.queues"}, None),
        ({"header": "X-Word"}, "shop_value: want a number, got 'many'"),
        ({"header": "X-None"}, "shop_value: want a number, got nothing"),
        ({"regex": "nowhere([0-9])"}, "shop_value: want a number, got nothing"),
        ({"each": "$.nothing", "label": "x"}, "shop_value: want a number, got nothing"),
        ({"each": "$.lag", "label": "x"}, "shop_value: want an object at $.lag, got 7"),
        ({"json": "$.lag", "labels": {"x": "$.queues"}}, None),
        (
            {"json": "$.vast", "scale": 1000},
            "shop_value: want numbers that a float can hold, got a larger one",
        ),
        (
            {"each": "$.most", "label": "x", "max": 1},
            "shop_value: want numbers that a float can hold, got a larger one",
        ),
    ],
)
def test_what_is_missing_is_a_miss_unless_it_may_be(keys: Any, message: str | None) -> None:
    values, _, missed = taken(measure(**keys))
    assert not values
    assert missed is not None
    assert missed.reason is Reason.VALUE
    assert message in (None, missed.message)
    assert taken(measure(**keys, optional=True))[2] is None


def test_a_body_that_is_no_json_is_a_miss_and_headers_are_still_read() -> None:
    values, _, missed = taken(
        measure(json="$.lag"), measure(name="shop_seconds", header="X-Process-Time"), body=b"<html>"
    )
    assert values == {("shop_seconds",): 0.25}
    assert missed is not None
    assert missed.message.startswith("shop_value: want JSON, got")


def test_series_beyond_the_cap_are_one_whose_value_is_their_sum() -> None:
    body = json.dumps({f"k{n:02}": 1 for n in reversed(range(50))}).encode()
    values, _, _ = taken(measure(each="$", label="key"), body=body)
    assert len(values) == MAX_VALUES + 1
    assert values["shop_value", ("key", "k00")] == 1
    assert values["shop_value", ("key", "k19")] == 1
    assert values["shop_value", ("key", "other")] == 30


def test_equal_labels_are_summed_up_and_so_is_a_label_that_is_called_other() -> None:
    rows = [{"k": "a", "v": 1}, {"k": "a", "v": 2}, {"k": "other", "v": 4}, {"k": "z", "v": 8}]
    values, _, _ = taken(
        measure(each="$[*]", json="$.v", labels={"key": "$.k"}, max=2),
        body=json.dumps(rows).encode(),
    )
    assert values == {("shop_value", ("key", "a")): 3, ("shop_value", ("key", "other")): 12}


def test_limits_warn_and_fail() -> None:
    _, recorder, missed = taken(
        measure(json="$.lag", warn="> 5", fail=">= 10"),
        measure(name="shop_low", json="$.lag", fail="<8"),
    )
    assert [w.message for w in recorder.warnings] == ["want shop_value <= 5, got 7"]
    assert missed is not None
    assert (missed.reason, missed.message) == (Reason.VALUE, "want shop_low >= 8, got 7")


def test_the_family_is_known_before_any_answer() -> None:
    assert measure(each="$", label="key", labels={"b": "$.b"}, unit="seconds").metric == Metric(
        "shop_value_seconds", "Out of the answer: shop_value", ("key", "b"), dynamic=True
    )
    named = measure(name="shop_paid_total", type="counter", unit="usd", json="$", help="Paid")
    assert named.metric == Metric("shop_paid_usd_total", "Paid", (), "counter")
    assert measure(name="shop_wait_seconds", unit="seconds", json="$").family == "shop_wait_seconds"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "want one of json, header, regex and each, got none"),
        ({"json": "$", "header": "A"}, "want one of json, header, regex and each, got json and"),
        ({"header": "A", "each": "$", "label": "x"}, "want each alone or with json, got it with"),
        ({"each": "$"}, "want label or labels beside each, got none"),
        ({"json": "$", "label": "x"}, "want label beside each alone, got it elsewhere"),
        ({"each": "$", "label": "x", "labels": {"x": "$"}}, "want each label once, got 'x' twice"),
        ({"header": "A", "labels": {"x": "$"}}, "want labels beside json, each or regex"),
        ({"regex": "a"}, "want a group around the value, got a regex without one"),
        ({"regex": "(a)", "labels": {"x": "b"}}, "want the name of a group of regex, got 'b'"),
        ({"json": "$", "labels": {"x": "b"}}, "want a JSONPath such as $.a.b, got 'b'"),
        ({"json": "lag"}, "want a JSONPath such as $.a.b, got 'lag'"),
        ({"json": "$", "labels": {"le": "$"}}, "want a free label name, got 'le'"),
        ({"json": "$", "labels": {"probe": "$"}}, "want a free label name, got 'probe'"),
        ({"json": "$", "labels": {"team": "$"}}, "want a free label name, got 'team'"),
        ({"json": "$", "labels": {"a-b": "$"}}, "want a label name such as 'queue', got 'a-b'"),
        ({"json": "$", "type": "counter"}, "want _total at the end of counters alone"),
        ({"json": "$", "name": "shop_total"}, "want _total at the end of counters alone"),
        ({"json": "$", "name": "Shop"}, "want a name such as queue_size, got 'Shop'"),
        ({"json": "$", "name": "up"}, "want a name such as queue_size, got 'up'"),
        ({"json": "$", "name": "http_ssl"}, "want a name that no sample of ours has"),
        ({"json": "$", "name": "probe_mine"}, "want a name with a prefix of your own"),
        ({"json": "$", "name": "shop_info"}, "want a name without the ending of a part"),
        ({"json": "$", "fail": "0.9"}, "want a limit such as '> 0.9', got '0.9'"),
        ({"json": "$", "fail": "> much"}, "want a finite decimal number, got 'much'"),
        ({"json": "$", "max": 21}, "less than or equal to 20"),
    ],
)
def test_a_mistake_is_told_at_load(keys: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        measure(**keys)
    assert message in str(caught.value)


def test_there_are_so_many_of_them_and_each_family_once() -> None:
    adapter = TypeAdapter(Measures)
    many = [{"name": f"shop_{n}", "json": "$"} for n in range(MAX_MEASURES + 1)]
    with pytest.raises(ValidationError, match="at most 32"):
        adapter.validate_python(many)
    with pytest.raises(ValidationError, match="want each metric once, got 'shop_a_seconds' twice"):
        adapter.validate_python(
            [
                {"name": "shop_a", "unit": "seconds", "json": "$"},
                {"name": "shop_a_seconds", "json": "$"},
            ]
        )
