from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from probes.browser.compile import compile_browser
from probes.browser.journey import BrowserJourney
from probes.browser.plan import Action, Locator, Look, Take
from probes.browser.process import Launch
from probes.browser.settings import BrowserJourneyKeys
from probes.journey.flaws import Flawed
from probes.journey.loading.settings import World
from probes.journey.safety import BrowserSafety

HOME = {"name": "home", "goto": "/"}


def keys(*steps: dict[str, Any], **more: Any) -> BrowserJourneyKeys:
    values = {"base_url": "http://x", "browser": {}, "steps": [HOME, *steps], **more}
    return BrowserJourneyKeys.model_validate(values, context={"environ": {"PW": "hunter22"}})


def made(*steps: dict[str, Any], place: Path = Path(), **more: Any) -> BrowserJourney:
    variables = more.pop("variables", {})
    world = World(place, environ={"REGION": "eu"}, variables=variables)
    return compile_browser("shop", keys(*steps, **more), world)


def flaws(*steps: dict[str, Any], place: Path = Path(), **more: Any) -> list[tuple[Any, str]]:
    with pytest.raises(Flawed) as refused:
        made(*steps, place=place, **more)
    return [(flaw.path, flaw.message) for flaw in refused.value.flaws]


def test_a_journey_becomes_a_plan(tmp_path: Path) -> None:
    (tmp_path / "cv.pdf").write_text("x")
    journey = made(
        {"name": "a", "click": {"role": "button", "name": "Sign ${vars.word}"}},
        {"name": "b", "fill": {"label": "E-mail", "value": "${run_id}"}, "timeout": "3s"},
        {"name": "c", "press": {"key": "Enter"}},
        {"name": "d", "select": {"css": "#s", "option": "two"}},
        {"name": "e", "check": {"test_id": "t", "checked": False}},
        {"name": "f", "upload": {"placeholder": "CV", "file": "cv.pdf"}},
        {"name": "g", "see": "Welcome"},
        {"name": "h", "not_see": {"text": "Bye", "exact": True, "timeout": "7s"}},
        {"name": "i", "screenshot": True},
        {"name": "j", "wait": "2s"},
        {"name": "k", "extract": {"id": {"css": "#o", "regex": "([0-9]+)"}, "here": "url"}},
        {"name": "l", "expect": {"title": {"contains": "${id}"}, "console_errors": 0}},
        {"name": "m", "goto": "/b", "wait": "networkidle", "status": ["2xx", 404], "if": "${id}"},
        {"name": "n", "evaluate": "1 + 1", "result": 2},
        place=tmp_path,
        timeout="45s",
        browser={
            "viewport": "800x600", "locale": "en-GB", "timezone": "Europe/Berlin",
            "user_agent": "sonde", "block": ["*.ads"], "record": "always", "sandbox": False,
            "headers": {"X-Probe": "${secrets.pw}", "X-None": None}, "evaluate": True,
            "executable": "/opt/chromium", "verify": False,
        },
        vars={"word": "up"},
        secrets={"pw": {"env": "PW"}},
        expect={"lcp": {"lt": "2.5s"}, "cls": {"lt": 0.1}},
    )  # fmt: skip
    plan, steps = journey.plan, journey.plan.steps
    assert [step.action for step in steps[1:]] == [
        "click", "fill", "press", "select", "check", "upload", "see", "not_see", "screenshot",
        "wait", "extract", "expect", "goto", "evaluate",
    ]  # fmt: skip
    assert steps[0].action is Action.GOTO
    assert steps[1].target == Locator("role", "button", "Sign ${vars.word}")
    assert (steps[2].text, steps[2].timeout_s) == ("${run_id}", 3.0)
    assert (steps[3].text, steps[3].target) == ("Enter", None)
    assert steps[5].checked is False
    assert steps[6].text == str(tmp_path.resolve() / "cv.pdf")
    assert steps[7].target == Locator("text", "Welcome")
    assert (steps[8].timeout_s, steps[8].target) == (7.0, Locator("text", "Bye", exact=True))
    assert steps[10].seconds == 2.0
    assert steps[11].extract == (
        Take("id", "text", Locator("css", "#o"), pattern="([0-9]+)", group=1),
        Take("here", "url"),
    )
    assert steps[12].expect == {"title": {"contains": "${id}"}, "console_errors": 0}
    assert (steps[13].statuses, steps[13].wait) == (("200-299", "404"), "networkidle")
    assert steps[13].condition == "${id}"
    assert steps[14].expect == {"result": 2}
    assert plan.vitals == {"lcp": {"lt": "2.5s"}, "cls": {"lt": 0.1}}
    assert plan.look == Look(800, 600, "en-GB", "Europe/Berlin", "sonde")
    assert plan.headers == (("X-Probe", "${secrets.pw}"),)
    assert (plan.block, plan.verifies, plan.may_evaluate) == (("*.ads",), False, True)
    assert journey.launch == Launch("/opt/chromium", sandbox=False)
    assert (journey.timeout_s, journey.record, journey.name) == (45.0, "always", "shop")
    assert journey.environ == {}


def test_extract_takes_attributes_cookies_and_defaults() -> None:
    (_, step) = made(
        {
            "name": "a",
            "extract": {
                "link": {"css": "a", "attribute": "href", "optional": True},
                "sid": {"cookie": "sid"},
                "n": {"css": "li", "take": "count", "default": None},
                "all": {"take": "title", "regex": "x"},
            },
        }
    ).plan.steps
    assert step.extract == (
        Take("link", "attribute", Locator("css", "a"), "href", is_optional=True),
        Take("sid", "cookie", attribute="sid"),
        Take("n", "count", Locator("css", "li"), has_default=True),
        Take("all", "title", pattern="x"),
    )


def test_variables_of_the_command_line_win() -> None:
    journey = made(vars={"word": "up", "number": 3}, variables={"word": "${x}", "number": "4"})
    assert [(name, tree.source) for name, tree in journey.vars] == [
        ("word", "$${x}"), ("number", 4),
    ]  # fmt: skip


def test_the_environment_leaves_only_when_something_asks() -> None:
    asks = {"name": "a", "fill": {"css": "i", "value": "${env('REGION')}"}}
    assert made(asks).environ == {"REGION": "eu"}
    asks = {"name": "a", "expect": {"title": {"contains": "${env('REGION')}"}}}
    assert made(asks).environ == {"REGION": "eu"}


def test_rows_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("user\nann\n")
    step = {"name": "a", "fill": {"css": "i", "value": "${row.user}"}}
    journey = made(step, place=tmp_path, data={"file": "u.csv"})
    assert journey.feeder is not None
    assert journey.reads == {"row.user"}


@pytest.mark.parametrize(
    ("first", "wanted"),
    [
        pytest.param("https://shop.example.org:8443/a?b", "https://shop.example.org:8443", id="it"),
        pytest.param("https://${vars.host}/a", "", id="known in a run alone"),
        pytest.param("/a", "", id="relative"),
    ],
)
def test_the_first_address_tells_where_it_begins(first: str, wanted: str) -> None:
    steps = [{"name": "a", "goto": first}]
    assert made(base_url="", steps=steps, vars={"host": "x"}).base_url == wanted


def test_equal_files_make_equal_journeys() -> None:
    step = {"name": "a", "see": "${vars.word}"}
    assert made(step, vars={"word": "a"}) == made(step, vars={"word": "a"})
    assert made(step, vars={"word": "a"}) != made(step, vars={"word": "b"})
    assert made(step, vars={"word": "a"}) != made(step, vars={"word": "a"}, variables={"word": "b"})


def test_artefacts_lie_beside_the_file(tmp_path: Path) -> None:
    world = World(tmp_path, browser=BrowserSafety(artefacts="kept"))
    assert compile_browser("shop", keys(), world).artefacts == tmp_path / "kept"
    assert compile_browser("shop", keys(), World(tmp_path)).artefacts is None


@pytest.mark.parametrize(
    ("step", "path", "message"),
    [
        pytest.param(
            {"name": "a", "see": "${tokn}"}, ("see", "text"),
            "want a variable that something sets, got 'tokn'", id="nothing sets it",
        ),
        pytest.param(
            {"name": "a", "see": "${late}"}, ("see", "text"),
            "want 'late' to be extracted before it is used, got it in step 'z'", id="too early",
        ),
        pytest.param(
            {"name": "a", "fill": {"label": "x", "value": "${secrets.pww}"}}, ("fill", "value"),
            "want the name of a secret in secrets:, got 'pww'; did you mean 'pw'?", id="secret",
        ),
        pytest.param(
            {"name": "a", "expect": {"title": "${row.x}"}}, ("expect", "title"),
            "want data: for ${row.x}, got none", id="row",
        ),
        pytest.param(
            {"name": "a", "goto": "file:///etc/passwd"}, ("goto",),
            "want a path or an http(s) URL, got 'file:///etc/passwd'", id="scheme",
        ),
        pytest.param(
            {"name": "a", "goto": "javascript:alert(1)"}, ("goto",),
            "want a path or an http(s) URL, got 'javascript:alert(1)'", id="script",
        ),
        pytest.param(
            {"name": "a", "upload": {"css": "i", "file": "../../etc/passwd"}}, ("upload", "file"),
            "got '../../etc/passwd'", id="a file elsewhere",
        ),
        pytest.param(
            {"name": "a", "upload": {"css": "i", "file": "none"}}, ("upload", "file"),
            "want a file that is there, got 'none'", id="no file",
        ),
        pytest.param(
            {"name": "a", "evaluate": "1"}, ("evaluate",),
            "want browser: {evaluate: true} for a step that runs a script, got none", id="evaluate",
        ),
        pytest.param(
            {"name": "a", "see": {"text": "x", "timeout": "1s"}, "timeout": "2s"}, ("timeout",),
            "want one timeout for a step, got two", id="two timeouts",
        ),
        pytest.param(
            {"name": "home", "wait": "1s"}, ("name",),
            "want a unique name of a step, got 'home' again (first at steps.0)", id="name",
        ),
        pytest.param({"name": "a", "see": "${", }, ("see", "text"), "want ", id="syntax"),
        pytest.param({"name": "a", "see": "x", "if": "a b"}, ("if",), "want ", id="condition"),
    ],
)  # fmt: skip
def test_every_mistake_is_told_at_its_place(
    step: dict[str, Any], path: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    last = {"name": "z", "extract": {"late": "url"}}
    found = flaws(step, last, place=tmp_path, secrets={"pw": {"env": "PW"}})
    assert [it for it, _ in found] == [("steps", 1, *path)]
    assert message in found[0][1]


def test_mistakes_outside_of_steps_are_told_too(tmp_path: Path) -> None:
    found = flaws(
        place=tmp_path,
        data={"file": "none.csv"},
        browser={"headers": {"X": "a\nb"}},
        vars={"a": "${b}"},
        variables={},
    )
    assert [path for path, _ in found] == [
        ("data", "file"), ("vars", "a"), ("browser", "headers", "X"),
    ]  # fmt: skip


def test_a_number_stays_one_on_the_command_line() -> None:
    assert flaws(vars={"n": 3}, variables={"n": "many"}) == [
        (("vars", "n"), "want a number by --var, got 'many'")
    ]


def test_secrets_are_in_no_repr() -> None:
    step = {"name": "a", "fill": {"css": "i", "value": "${secrets.pw}"}}
    journey = made(step, secrets={"pw": {"env": "PW"}})
    assert "hunter22" not in repr(journey)


def test_a_journey_without_steps_is_none() -> None:
    with pytest.raises(ValidationError):
        keys(steps=[])
