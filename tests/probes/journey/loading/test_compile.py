"""Journeys compiled as a whole: variables, secrets, data, base URLs, bounds, equality."""

from pathlib import Path
from typing import Any

import pytest

from probes.journey.model import Part
from probes.journey.steps import RepeatStep
from tests.probes.journey.scopes import scope
from tests.probes.journey.written import flaws, made

STEP = {"name": "a", "get": "/"}
REST = [{"name": f"s{number}", "get": "/"} for number in range(200)]


def test_the_head_of_a_journey_is_as_written() -> None:
    journey = made(
        {
            "description": "Buy",
            "base_url": "http://shop/app",
            "timeout": "9s",
            "cleanup_timeout": "2s",
            "cookies": "reset",
            "http": {"tls": {"verify": False}},
            "setup": [{"name": "s", "get": "/"}],
            "steps": [STEP],
            "cleanup": [{"name": "c", "get": "/"}],
        }
    )

    assert (journey.name, journey.description) == ("it", "Buy")
    assert (journey.base_url, journey.timeout_s) == ("http://shop/app", 9)
    assert (journey.cleanup_timeout_s, journey.keeps_cookies) == (2, False)
    assert not journey.tls.verify
    assert [[it.common.name for it in journey.part(part)] for part in Part] == [["s"], ["a"], ["c"]]


def test_defaults_are_those_of_the_design() -> None:
    journey = made({"steps": [STEP]})

    assert (journey.timeout_s, journey.cleanup_timeout_s, journey.keeps_cookies) == (30, 5, True)
    assert (journey.feeder, journey.base_url, journey.tls.verify) == (None, "", True)


def test_variables_may_be_made_of_earlier_ones() -> None:
    journey = made(
        {"vars": {"x": 1, "y": ["${x}", "${run_id}"]}, "steps": [{"name": "a", "get": "/${y}"}]}
    )

    values: dict[str, Any] = {}
    for name, tree in journey.vars:
        values[name] = tree.value(scope(**values))
    assert values == {"x": 1, "y": [1, "run-1"]}


def test_a_variable_of_the_command_comes_along_only_where_it_is_read() -> None:
    steps = {"steps": [{"name": "a", "get": "/${vars.x}"}]}

    assert [name for name, _ in made(steps, x="1", y="2").vars] == ["x"]
    assert made(steps, x="1", y="2") == made(steps, x="1", y="3")
    assert made(steps, x="1") != made(steps, x="2")


@pytest.mark.parametrize(
    ("urls", "base"),
    [
        pytest.param(["http://a:1/x?y"], "http://a:1", id="absolute"),
        pytest.param(["https://a/${run_id}", "http://b/"], "https://a", id="the first"),
        pytest.param(["http://a/", "/x"], "", id="one is relative"),
        pytest.param(["http://${run_id}/", "http://b/"], "http://b", id="host of the run"),
        pytest.param(["${run_id}"], "", id="all of the run"),
    ],
)
def test_without_a_base_url_the_first_origin_is_one(urls: list[str], base: str) -> None:
    steps = [{"name": f"s{at}", "get": url} for at, url in enumerate(urls)]

    assert made({"steps": steps}).base_url == base


def test_rows_come_from_a_file_beside_the_probe_file(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("user\nann\n")
    keys = {"data": {"file": "u.csv"}, "steps": [{"name": "a", "get": "/${row.user}/${user}"}]}

    feeder = made(keys, directory=tmp_path).feeder

    assert feeder is not None
    assert feeder.row(0, 0) == {"user": "ann"}


def test_secrets_and_variables_of_what_is_included_come_along() -> None:
    other = {
        "secrets": {"a": "of the other", "b": "of the other"},
        "vars": {"x": "other", "y": "${x}"},
        "steps": [{"name": "o", "get": "/${secrets.a}/${secrets.b}/${x}/${y}"}],
    }
    keys = {"secrets": {"b": "own"}, "vars": {"x": "own"}, "steps": [{"include": "other"}]}

    journey = made(keys, {"other": other})

    secrets = {name: secret.get_secret_value() for name, secret in journey.secrets}
    assert secrets == {"a": "of the other", "b": "own"}
    assert {name: tree.source for name, tree in journey.vars} == {"x": "own", "y": "${x}"}


def test_a_journey_knows_what_its_texts_read() -> None:
    keys = {"vars": {"x": "${run_id}"}, "secrets": {"s": "secret"}}
    step = {"name": "a", "post": "/${x}", "json": ["${secrets.s}"], "expect": {"body": "${vars.x}"}}

    assert made({**keys, "steps": [step]}).reads == {"x", "secrets.s", "vars.x"}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        pytest.param(
            [{"repeat": {"times": 1, "steps": [*REST]}}],
            "want at most 200 steps in all, includes counted, got 201",
            id="with a repeat",
        ),
        pytest.param(
            [*REST[:150], {"include": "other"}],
            "want at most 200 steps in all, includes counted, got 210",
            id="with an include",
        ),
    ],
)
def test_steps_are_bounded(steps: list[Any], said: str) -> None:
    other = {"steps": [{"name": f"o{number}", "get": "/"} for number in range(60)]}

    assert [flaw.message for flaw in flaws({"steps": steps}, {"other": other})] == [said]


def test_the_rounds_of_a_constant_list_are_known() -> None:
    inner = {"repeat": {"over": list(range(101)), "steps": [STEP]}}

    (flaw,) = flaws({"steps": [{"repeat": {"times": 10, "steps": [inner]}}]})
    assert flaw.path == ("steps", 0, "repeat", "steps", 0, "repeat")
    assert flaw.message.endswith("got 1010")


def test_the_rounds_of_a_list_of_the_run_are_not_known() -> None:
    keys = {"vars": {"x": [1]}, "steps": [{"repeat": {"over": "${x}", "steps": [STEP]}}]}

    (step,) = made(keys).steps
    assert isinstance(step, RepeatStep)
    assert (step.times, step.over and step.over.source) == (None, "${x}")


def test_journeys_of_equal_texts_are_equal() -> None:
    keys = {"secrets": {"s": {"env": "PW"}}, "steps": [STEP]}

    assert made(keys) == made(keys)
    assert hash(made(keys)) == hash(made(keys))
    assert made(keys) != made({**keys, "timeout": "29s"})
    assert made(keys) != made({**keys, "secrets": {"s": "other"}})
    assert made(keys) != "it"


def test_a_journey_with_a_flaw_tells_all_of_them_in_order() -> None:
    found = flaws(
        {
            "vars": {"x": "${a}"},
            "steps": [{"name": "a", "get": "${b}"}, {"name": "a", "get": "x"}],
        }
    )

    assert [flaw.path for flaw in found] == [
        ("vars", "x"), ("steps", 0, "get"), ("steps", 1, "get"), ("steps", 1, "name"),
    ]  # fmt: skip
