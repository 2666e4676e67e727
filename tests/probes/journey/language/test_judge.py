"""What an answer should be: statuses, headers, JSON, body, HTML, duration; misses told in order."""

from typing import Any

import pytest
from pydantic import ValidationError

from probes.journey.language.expression import Unset
from probes.journey.language.judge import Expect, ExpectKeys
from probes.journey.language.view import View
from probes.result import Reason
from tests.probes.journey.building import expect
from tests.probes.journey.memory import scope

BODY = b'{"items": [{"price": 9.5}, {"price": 12}], "owner": "u-1", "state": "done"}'
HEADERS = (("content-type", "application/json"), ("x-left", "5"), ("x-left", "17"))
PAGE = b"<h1>Welcome</h1><ul><li class=item>lamp<li class=item>chair</ul><p id=sum>21.50</p>"


def view(body: bytes = BODY, status: int = 200) -> View:
    return View(status=status, headers=HEADERS, body=body)


def miss(keys: Any, it: View | None = None, seconds: float = 0.5, **values: Any) -> str | None:
    judgement = expect(keys).judge(it or view(), scope(values=values), seconds)
    return None if judgement.failure is None else judgement.failure.message


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(200, id="bare-number"),
        pytest.param("2xx", id="bare-text"),
        pytest.param([200, "3xx"], id="bare-list"),
        pytest.param({"status": {"not": "5xx"}}, id="negated"),
        pytest.param({"headers": {"Content-Type": {"contains": "json"}}}, id="header"),
        pytest.param({"header": {"X-Left": {"gt": 10}}}, id="one-of-several-values"),
        pytest.param({"json": {"$.items": {"size": 2}, "$.no": {"exists": False}}}, id="json"),
        pytest.param({"json": {"$.items[*].price": {"contains": 12}}}, id="several-nodes"),
        pytest.param({"json": {"$.owner": "${user}"}}, id="expression"),
        pytest.param(
            {"json": {"$.state": {"in": ["open", "${state}"]}}}, id="expression-in-a-list"
        ),
        pytest.param({"body": {"not_contains": "stack trace"}}, id="body"),
        pytest.param({"duration": {"lt": "800ms"}}, id="duration"),
        pytest.param({"duration": "500ms"}, id="bare-duration-is-the-most"),
        pytest.param({}, id="nothing"),
    ],
)
def test_an_answer_as_wanted_misses_nothing(keys: Any) -> None:
    assert miss(keys, user="u-1", state="done") is None


@pytest.mark.parametrize(
    ("keys", "reason", "message"),
    [
        pytest.param([201, "3xx"], Reason.STATUS, "want status 201, 3xx, got 200", id="status"),
        pytest.param({"header": {"X-No": "1"}}, Reason.BODY,
                     "header X-No: want '1', got nothing", id="header"),
        pytest.param({"json": {"$.state": "open"}}, Reason.BODY,
                     "$.state: want 'open', got 'done'", id="json"),
        pytest.param({"json": {"$.owner": "${user}"}}, Reason.BODY,
                     "$.owner: want 'u-2', got 'u-1'", id="expression"),
        pytest.param({"json": {"$.n": 1}}, Reason.BODY, "$.n: want 1, got nothing", id="no-node"),
        pytest.param({"body": {"starts_with": "["}}, Reason.BODY,
                     "body: want a text that starts with '[', got "
                     + repr(BODY.decode()), id="body"),
        pytest.param({"duration": {"lt": "400ms"}}, Reason.LATENCY,
                     "want duration < 400ms, got 500ms", id="duration"),
    ],
)  # fmt: skip
def test_a_miss_says_what_was_wanted(keys: Any, reason: Reason, message: str) -> None:
    failure = expect(keys).judge(view(), scope(values={"user": "u-2"}), 0.5).failure

    assert failure is not None
    assert (failure.reason, failure.message, failure.phase) == (reason, message, None)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param({"h1": "Welcome", ".item": {"size": 2}}, None, id="holds"),
        pytest.param({".item": "chair"}, None, id="one-of-them"),
        pytest.param({"#sum": {"gt": 20, "lt": 30}}, None, id="text-that-is-a-number"),
        pytest.param({".error": {"exists": False}}, None, id="nothing-there"),
        pytest.param({".item": {"size": {"gt": 2}}}, "css .item: want a size of > 2, got ["
                     "'lamp', 'chair']", id="size"),
        pytest.param({".item": {"not_contains": "chair"}}, "css .item: want something without "
                     "'chair', got 'chair'", id="one-good-text-excuses-no-bad-one"),
        pytest.param({".error": {"not_contains": "x"}}, "css .error: want something without 'x', "
                     "got nothing", id="nothing-is-no-good-text"),
        pytest.param({"h2": "Welcome"}, "css h2: want 'Welcome', got nothing", id="no-element"),
        pytest.param({"h1": {"exists": False}},
                     "css h1: want nothing, got ['Welcome']", id="there"),
        pytest.param({"h1": "${title}"}, None, id="expression"),
    ],
)  # fmt: skip
def test_texts_of_a_page_are_judged(keys: Any, message: str | None) -> None:
    assert miss({"css": keys}, view(PAGE), title="Welcome") == message


def test_a_page_beyond_all_bounds_is_too_large() -> None:
    failure = expect({"css": {"b": "x"}}).judge(view(b"<b>" * 20_000), scope(), 0.1).failure

    assert failure is not None
    assert failure.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", Reason.BODY, id="204-without-a-body"),
        pytest.param(b"<html>", Reason.PROTOCOL, id="html"),
        pytest.param(b"\xff\xfe", Reason.PROTOCOL, id="no-utf-8"),
        pytest.param(b"NaN", Reason.PROTOCOL, id="no-json-number"),
        pytest.param(b"[" * 99 + b"]" * 99, Reason.PROTOCOL, id="too-deep"),
    ],
)
def test_a_body_that_is_no_json_is_told_as_such(body: bytes, reason: Reason) -> None:
    failure = expect({"json": {"$.a": 1}}).judge(view(body, 204), scope(), 0.1).failure

    assert failure is not None
    assert failure.reason is reason
    assert failure.message.startswith("want a JSON body, got ")


def test_everything_is_judged_and_counted_and_the_first_miss_is_told() -> None:
    keys = {"status": 201, "header": {"x-left": "5"}, "json": {"$.state": "done", "$.owner": "x"}}
    judgement = expect(keys).judge(view(), scope(), 0.1)

    assert judgement.failure is not None
    assert judgement.failure.reason is Reason.STATUS
    assert judgement.missed == "status"
    assert dict(judgement.counts) == {
        ("status", "failed"): 1, ("header", "passed"): 1,
        ("json", "passed"): 1, ("json", "failed"): 1,
    }  # fmt: skip


def test_the_head_alone_is_judged_where_the_body_broke_off() -> None:
    both = expect({"status": 500, "json": {"$.a": 1}, "duration": "1ms"})

    assert both.judge_head(view(status=500), scope()).failure is None
    judgement = both.judge_head(view(), scope())
    assert judgement.counts == {("status", "failed"): 1}


def test_no_status_means_2xx_only_where_it_is_asked_for() -> None:
    keys = {"json": {"$.state": "done"}}

    assert expect(keys).judge(view(status=500), scope(), 0.1).failure is None
    strict = expect(keys, wants_2xx=True).judge(view(status=500), scope(), 0.1)
    assert strict.failure is not None
    assert (
        expect({"status": 500}, wants_2xx=True).judge(view(status=500), scope(), 0).failure is None
    )
    assert Expect.status_2xx().judge(view(status=404), scope(), 0).failure is not None
    assert Expect.anything().judge(view(b"", 0), scope(), 9e9).failure is None


def test_names_are_known_and_can_be_filled_in_beforehand() -> None:
    wanted = expect({
        "json": {"$.owner": "${user}"}, "body": {"contains": "${vars.word}"},
        "headers": {"x-left": {"any_of": ["${n}", "5"]}}, "css": {"p": {"size": {"gte": "${few}"}}},
    })  # fmt: skip
    assert wanted.reads == {"user", "vars.word", "n", "few"}
    with pytest.raises(Unset):
        wanted.judge(view(), scope(), 0.1)
    here = scope(values={"user": "u-1", "n": "6", "few": 0})
    here.vars = {"word": "done"}

    bound = wanted.bound(here)

    assert bound.reads == set()
    assert bound.judge(view(), scope(), 0.1).failure is None
    assert bound.bound(scope()) is bound


def test_what_an_answer_gave_is_compared_and_never_obeyed() -> None:
    hostile = {"exists": True}
    assert miss({"json": {"$.owner": "${x}"}}, x=hostile) == (
        "$.owner: want {'exists': True}, got 'u-1'"
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param({"body": {"matches": "a${x}"}}, "want a pattern without", id="pattern"),
        pytest.param({"body": {"contians": "a"}}, "did you mean 'contains'", id="operator"),
        pytest.param({"body": {}}, "got an empty mapping", id="empty"),
        pytest.param({"body": {"any_of": [{"contians": "a"}]}}, "did you mean", id="nested"),
        pytest.param({"body": {"matches": "("}}, "want an RE2 pattern", id="no-pattern"),
        pytest.param({"body": "${random("}, "want", id="expression"),
        pytest.param({"json": {"a.b": 1}}, "want a JSONPath", id="path"),
        pytest.param({"css": {"h1[": 1}}, "want", id="selector"),
        pytest.param({"duration": {"eq": "1s"}}, "want a duration or", id="duration-operator"),
        pytest.param({"duration": {}}, "want a duration or", id="duration-empty"),
        pytest.param({"duration": 5}, "want a duration with its unit", id="duration"),
        pytest.param({"header": {"a": 1}, "headers": {"a": 1}}, "got both", id="both-spellings"),
        pytest.param({"statsu": 1}, "Extra inputs", id="key"),
        pytest.param({"status": "abc"}, "want a status", id="status"),
    ],
)
def test_what_can_never_be_right_is_refused_at_load(keys: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        ExpectKeys.model_validate(keys)


def test_the_schema_offers_the_operators() -> None:
    schema = ExpectKeys.model_json_schema()

    assert {"status", "headers", "header", "json", "body", "css", "duration"} == set(
        schema["properties"]
    )
    assert "not_contains" in str(schema["properties"]["body"])
    assert "additionalProperties" in str(schema["properties"]["duration"])


def test_a_path_that_looks_at_too_much_is_a_miss_and_no_fault_of_ours() -> None:
    body = b"[" + b",".join([b'{"a":{"a":{"a":1}}}'] * 10_000) + b"]"

    judgement = expect({"json": {"$..a..a": {"size": 1}}}).judge(view(body), scope(), 0.1)

    assert judgement.failure is not None
    assert judgement.failure.reason is Reason.TOO_LARGE
