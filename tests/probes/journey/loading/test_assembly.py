"""Keys of steps become steps: defaults merged in, texts compiled."""

from typing import Any

import pytest

from probes.journey.language.view import View
from probes.journey.steps import (
    HttpStep,
    LogStep,
    RepeatStep,
    SocketStep,
    SqlStep,
    Step,
    ThinkStep,
    WaitStep,
)
from tests.probes.journey.scopes import scope
from tests.probes.journey.written import made, made_request, made_step


def headers_of(step: HttpStep) -> dict[str, str]:
    return {name: it.text(scope()) for name, it in step.headers}


def body_of(step: HttpStep) -> tuple[str, Any]:
    assert step.body is not None
    return step.body.form, step.body.tree.value(scope())


@pytest.mark.parametrize("verb", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_a_verb_is_a_method(verb: str) -> None:
    step = made_request({verb: "/x${run_id}"})

    assert (step.method, step.url.text(scope())) == (verb.upper(), "/xrun-1")


def test_what_a_step_does_not_say_comes_from_http() -> None:
    http = {"timeout": "2s", "redirects": 1, "max_body": "1KiB", "headers": {"A": "a", "B": "b"}}

    step = made_request({"get": "/"}, http=http)
    assert (step.timeout_s, step.redirects, step.max_body) == (2, 1, 1024)
    own = made_request({"get": "/", "timeout": "3s", "redirects": 0, "max_body": "2KiB"}, http=http)
    assert (own.timeout_s, own.redirects, own.max_body) == (3, 0, 2048)


def test_without_http_the_defaults_are_those_of_the_design() -> None:
    step = made_request({"get": "/"})

    assert (step.timeout_s, step.redirects, step.max_body) == (5, 5, 2 * 2**20)
    assert (step.headers, step.params, step.body, step.poll, step.warn) == (
        (),
        (),
        None,
        None,
        None,
    )
    assert step.envelope == "plain"


def test_headers_replace_those_of_http_in_any_case() -> None:
    http = {"headers": {"Accept": "a", "X-Gone": "b", "X-Kept": "${run_id}"}}

    step = made_request({"get": "/", "headers": {"accept": 5, "x-gone": None}}, http=http)

    assert headers_of(step) == {"X-Kept": "run-1", "accept": "5"}


@pytest.mark.parametrize(
    ("keys", "body"),
    [
        pytest.param({"json": {"a": ["${run_id}"]}}, ("json", {"a": ["run-1"]}), id="json"),
        pytest.param({"json": None}, ("json", None), id="null"),
        pytest.param({"form": {"a": 1, "b": ["${run_id}"]}}, ("form", {"a": 1, "b": ["run-1"]}),
                     id="form"),
        pytest.param({"body": "x ${run_id}"}, ("text", "x run-1"), id="text"),
    ],
)  # fmt: skip
def test_a_body_has_one_form(keys: dict[str, Any], body: tuple[str, Any]) -> None:
    assert body_of(made_request({"post": "/", **keys})) == body


def test_parameters_are_values() -> None:
    step = made_request({"get": "/", "params": {"q": "${run_id}", "n": 1, "l": [1, 2]}})

    values = {name: tree.value(scope()) for name, tree in step.params}
    assert values == {"q": "run-1", "n": 1, "l": [1, 2]}


@pytest.mark.parametrize(
    ("keys", "good", "bad"),
    [
        pytest.param({}, 204, 404, id="nothing said"),
        pytest.param({"expect": 404}, 404, 200, id="a status"),
        pytest.param({"expect": {"body": "x"}}, 200, 500, id="no status among it"),
        pytest.param({"expect": {"status": [200, "3xx"]}}, 302, 204, id="several"),
    ],
)
def test_a_request_wants_2xx_unless_it_says_otherwise(
    keys: dict[str, Any], good: int, bad: int
) -> None:
    expect = made_request({"get": "/", **keys}).expect

    def misses(status: int) -> bool:
        view = View(status=status, body=b"x")
        return expect.judge(view, scope(), 0.1).failure is not None

    assert (misses(good), misses(bad)) == (False, True)


def test_warnings_and_polls_want_no_status_by_themselves() -> None:
    step = made_request(
        {"get": "/", "warn": {"body": "x"}, "poll": {"until": {"body": "x"}, "timeout": "3s"}}
    )

    view = View(status=500, body=b"x")
    assert step.warn is not None
    assert step.poll is not None
    assert step.warn.judge(view, scope(), 0.1).failure is None
    assert step.poll.until.judge(view, scope(), 0.1).failure is None
    assert (step.poll.every_s, step.poll.timeout_s) == (0.5, 3)


def test_extracts_keep_their_order() -> None:
    step = made_request({"get": "/", "extract": {"b": "$.b", "a": {"header": "A"}}})

    assert [it.name for it in step.extract] == ["b", "a"]


def test_conditions_and_loads_are_kept() -> None:
    step = made_request({"get": "/", "if": "${run_id} == run-1", "load": "skip"})

    assert step.common.condition is not None
    assert step.common.condition.holds(scope())
    assert (step.common.load, step.common.where) == ("skip", ("steps", 0))
    assert made_request({"get": "/"}).common.load == "both"


def test_graphql_is_a_request_with_an_envelope() -> None:
    keys = {"url": "/graphql", "query": "query Q($a: Int) {x(a: $a)}", "operation": "Q"}

    step = made_request({"graphql": {**keys, "variables": {"a": "${run_id}"}}})

    assert (step.method, step.url.text(scope()), step.envelope) == ("POST", "/graphql", "graphql")
    wanted = {"query": keys["query"], "variables": {"a": "run-1"}, "operationName": "Q"}
    assert body_of(step) == ("json", wanted)


@pytest.mark.parametrize(
    ("keys", "call"),
    [
        pytest.param({"method": "m"}, {"jsonrpc": "2.0", "id": 1, "method": "m"}, id="plain"),
        pytest.param(
            {"method": "${run_id}", "params": ["${run_id}"]},
            {"jsonrpc": "2.0", "id": 1, "method": "run-1", "params": ["run-1"]},
            id="by place",
        ),
        pytest.param(
            {"method": "m", "params": {"a": 1}, "version": "1.0"},
            {"id": 1, "method": "m", "params": {"a": 1}},
            id="1.0",
        ),
        pytest.param(
            {"method": "m", "version": "1.0"}, {"id": 1, "method": "m", "params": []}, id="1.0 bare"
        ),
    ],
)
def test_rpc_is_a_request_with_an_envelope(keys: dict[str, Any], call: dict[str, Any]) -> None:
    step = made_request({"rpc": keys})

    assert (step.method, step.url.text(scope()), step.envelope) == ("POST", "", "rpc")
    assert body_of(step) == ("json", call)


def test_a_web_socket_has_turns() -> None:
    talk = {
        "url": "wss://a/feed",
        "subprotocol": "v1",
        "headers": {"X": "${run_id}"},
        "dialog": [
            {"send": "hello ${run_id}"},
            {"send": {"json": {"id": "${run_id}"}}, "timeout": "1m"},
            {"expect": {"json": {"$.a": 1}}, "within": 3, "timeout": "1s", "extract": {"b": "$.b"}},
        ],
    }

    step = made_step({"name": "a", "ws": talk, "timeout": "4s"}, http={"headers": {"Y": "y"}})

    assert isinstance(step, SocketStep)
    first, second, third = step.turns
    assert first.send is not None
    assert (first.send.value(scope()), first.send_as) == ("hello run-1", "text")
    assert second.send is not None
    assert (second.send.value(scope()), second.send_as) == ({"id": "run-1"}, "json")
    # a turn has no longer than its step
    assert [turn.timeout_s for turn in step.turns] == [4, 4, 1]
    assert (third.send, third.within, [it.name for it in third.extract]) == (None, 3, ["b"])
    assert (step.subprotocol, step.timeout_s) == ("v1", 4)
    assert [name for name, _ in step.headers] == ["Y", "X"]


def test_a_query_keeps_its_parameters_apart() -> None:
    asked = {"target": "${secrets.dsn}", "query": "select $1", "parameters": ["${run_id}", 2]}
    keys = {"name": "a", "sql": asked, "extract": {"n": "$[0].n"}, "expect": {"json": {"$": []}}}

    step = made_step(keys, secrets={"dsn": "postgresql://u@h/d"})

    assert isinstance(step, SqlStep)
    assert (step.kind, step.query, step.timeout_s) == ("postgres", "select $1", 5)
    assert [it.value(scope()) for it in step.parameters] == ["run-1", 2]
    assert step.target.reads == {"secrets.dsn"}
    assert step.expect.judge(View(document=[]), scope(), 0.1).failure is None


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        pytest.param({"wait": "2s"}, WaitStep, id="wait"),
        pytest.param({"think": "1s"}, ThinkStep, id="think"),
        pytest.param({"log": "${run_id}"}, LogStep, id="log"),
    ],
)
def test_small_steps(keys: dict[str, Any], kind: type[Step]) -> None:
    assert isinstance(made_step(keys), kind)


def test_a_thought_has_two_ends() -> None:
    one, two = made({"steps": [{"think": "1s"}, {"think": "500ms..3s"}]}).steps

    assert isinstance(one, ThinkStep)
    assert isinstance(two, ThinkStep)
    assert ((one.low_s, one.high_s), (two.low_s, two.high_s)) == ((1, 1), (0.5, 3))


def test_inside_repeat_there_are_item_and_index() -> None:
    inner = {
        "name": "a",
        "get": "/${item.id}/${index}/${cursor}",
        "extract": {"cursor": "$.c"},
        "if": "${index} > 0",
    }

    step = made_step({"repeat": {"over": [{"id": 1}], "steps": [inner]}})

    assert isinstance(step, RepeatStep)
    (asked,) = step.steps
    assert isinstance(asked, HttpStep)
    # what a later step of the round before has taken may be read
    assert asked.url.text(scope(item={"id": 1}, index=0, cursor="c")) == "/1/0/c"
