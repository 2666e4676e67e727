"""The proof of sources: what may be read where."""

from typing import Any

import pytest

from probes.journey.loading.proof import Origins, Proof
from tests.probes.journey.written import flaws, made


def proof(**origins: Any) -> Proof:
    return Proof(Origins(**origins))


def said(it: Proof) -> list[str]:
    return [flaw.message for flaw in it.flaws]


GOOD = [
    pytest.param({"vars": {"x": 1}}, "${x}${vars.x}", id="vars"),
    pytest.param({"secrets": {"x": "secret"}}, "${secrets.x}", id="secrets"),
    pytest.param({}, "${run_id}${uuid()}${now()}${seq()}", id="what is built in"),
    pytest.param({}, "${env('HOME')}${env('NOPE', 'x')}", id="the environment"),
    pytest.param({}, "$${x}", id="an escape"),
]


@pytest.mark.parametrize(("keys", "url"), GOOD)
def test_what_has_a_source_is_proved(keys: dict[str, Any], url: str) -> None:
    assert made({**keys, "steps": [{"name": "a", "post": "/", "body": url}]}).steps


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("setup", "steps", id="setup to steps"),
        pytest.param("setup", "cleanup", id="setup to clean-up"),
        pytest.param("steps", "cleanup", id="steps to clean-up"),
    ],
)
def test_a_later_part_reads_what_an_earlier_one_took(first: str, second: str) -> None:
    taking = {"name": "a", "get": "/", "extract": {"t": "$.t"}}
    reading = {"name": "b", "get": "/${t}"}
    filler = {"name": "c", "get": "/"}

    assert made({"steps": [filler], first: [taking], second: [reading]}).reads == {"t"}
    if second != "cleanup" or first == "setup":
        (flaw,) = flaws({"steps": [filler], second: [taking], first: [reading]})
        assert flaw.path == (first, 0, "get")


@pytest.mark.parametrize(
    "step",
    [
        pytest.param({"if": "${run_id} == 1"}, id="under a condition"),
        pytest.param({"extract": {"t": {"json": "$.t", "optional": True}}}, id="optional"),
    ],
)
def test_what_a_step_may_have_skipped_is_known(step: dict[str, Any]) -> None:
    taking = {"name": "a", "get": "/", "extract": {"t": "$.t"}, **step}

    assert made({"steps": [taking, {"name": "b", "get": "/${t}"}]}).steps


def taking(**more: Any) -> dict[str, Any]:
    return {"name": "a", "get": "/", "extract": {"t": "$.t"}, **more}


def reading(**more: Any) -> dict[str, Any]:
    return {"name": "b", "get": "/${t}", **more}


ONE_MODE = [
    pytest.param(
        [taking(load="only"), reading()],
        "want 't' to be extracted in a probe too, got it in step 'a' of loads alone",
        id="a load alone takes it",
    ),
    pytest.param(
        [taking(load="skip"), reading()],
        "want 't' to be extracted in a load too, got it in step 'a' of probes alone",
        id="a probe alone takes it",
    ),
    pytest.param(
        [taking(load="skip"), reading(load="only")],
        "want 't' to be extracted in a load too, got it in step 'a' of probes alone",
        id="the one takes, the other reads",
    ),
    pytest.param(
        [{"load": "skip", "repeat": {"times": 1, "steps": [taking()]}}, reading()],
        "want 't' to be extracted in a load too, got it in step 'a' of probes alone",
        id="inside of a repeat",
    ),
    pytest.param(
        [taking(load="only"), reading(**{"if": "${t} == 1"})],
        "want 't' to be extracted in a probe too, got it in step 'a' of loads alone",
        id="a comparison needs it",
    ),
]


@pytest.mark.parametrize(("steps", "text"), ONE_MODE)
def test_what_one_mode_takes_the_other_cannot_read(steps: list[dict[str, Any]], text: str) -> None:
    (flaw, *_) = flaws({"steps": steps})

    assert flaw.message == text


BOTH_MODES = [
    pytest.param([taking(load="only"), reading(load="only")], id="a load takes and reads"),
    pytest.param([taking(load="skip"), reading(load="skip")], id="a probe takes and reads"),
    pytest.param(
        [taking(load="skip"), taking(load="only", name="c"), reading()], id="each takes its own"
    ),
    pytest.param([taking(), reading(load="only"), reading(name="d", load="skip")], id="both take"),
    pytest.param(
        [taking(load="only"), reading(**{"if": "${t}"})], id="read only when it was taken"
    ),
    pytest.param(
        [
            {"load": "only", "repeat": {"times": 1, "steps": [taking()]}},
            {"load": "only", "repeat": {"times": 1, "steps": [reading()]}},
        ],
        id="inside of repeats",
    ),
]


@pytest.mark.parametrize("steps", BOTH_MODES)
def test_each_mode_reads_what_it_took(steps: list[dict[str, Any]]) -> None:
    assert made({"steps": steps}).steps


def test_a_clean_up_may_read_what_one_mode_alone_took() -> None:
    assert made({"steps": [taking(load="skip")], "cleanup": [reading()]}).cleanup


def test_an_included_step_of_one_mode_is_told_where_it_is_included() -> None:
    others = {"login": {"steps": [taking()]}}

    (flaw,) = flaws({"steps": [{"include": "login", "load": "skip"}, reading()]}, others)

    assert flaw.path == ("steps", 1, "get")
    assert flaw.message == (
        "want 't' to be extracted in a load too, got it in step 'a' of probes alone"
    )


def test_what_is_known_inside_a_round_is_forgotten_behind_it() -> None:
    it = proof()

    with it.round({"t"}):
        it.reads(("a",), {"item", "index"})
        it.learn({"t"})
    assert said(it) == []
    it.reads(("a",), {"item", "t"})
    assert said(it) == ["want ${item} inside repeat: alone, got it outside"]


TAKING = {"name": "take", "get": "/", "extract": {"t": "$.t"}}


@pytest.mark.parametrize(
    "step",
    [
        pytest.param({"name": "a", "get": "/${t}"}, id="always played"),
        pytest.param({"name": "a", "get": "/", "if": "${t} != 1"}, id="compared"),
        pytest.param({"name": "a", "get": "/${t}", "extract": {"t": "$.t"}}, id="its own"),
    ],
)
def test_in_the_first_round_nothing_of_a_later_step_is_known(step: dict[str, Any]) -> None:
    (flaw,) = flaws({"steps": [{"repeat": {"times": 2, "steps": [step, TAKING]}}]})

    assert flaw.message == (
        "want 't' to be extracted before it is used, got it in step"
        f" {'a' if 'extract' in step else 'take'!r}"
        '; for the first round: vars:, or a step with if: "${t}"'
    )


@pytest.mark.parametrize(
    "step",
    [
        pytest.param({"name": "a", "get": "/${t}", "if": "${t}"}, id="when it is there"),
        pytest.param({"name": "a", "get": "/${t}", "if": "${index} > 0"}, id="in a later round"),
        pytest.param(
            {"repeat": {"times": 1, "steps": [{"name": "a", "get": "/${t}"}]}, "if": "${t}"},
            id="inside of what is played when it is there",
        ),
    ],
)
def test_in_a_later_round_what_the_one_before_took_is_known(step: dict[str, Any]) -> None:
    assert made({"steps": [{"repeat": {"times": 2, "steps": [step, TAKING]}}]}).steps


def test_a_round_inside_of_a_round_forgets_nothing() -> None:
    it = proof()

    with it.round(()):
        with it.round(()):
            pass
        it.reads(("a",), {"item"})
    assert said(it) == []


def test_a_flaw_of_a_guest_is_left_to_where_it_stands() -> None:
    it = proof()

    with it.guest(("steps", 0, "include"), "other"), it.guest(("steps", 1), "third"):
        it.flaw(("x",), "a slip")
        it.clash(("x",), "a clash")

    (flaw,) = it.flaws
    assert (flaw.path, flaw.message) == (("steps", 0, "include"), "steps of 'other': a clash")


def test_each_text_of_a_tree_is_judged_where_it_stands() -> None:
    it = proof()

    it.tree(("json",), {"a": ["${x}", {"b": "${y("}], "k${z}": 1, "n": 5})

    assert [flaw.path for flaw in it.flaws] == [
        ("json", "a", 0), ("json", "a", 1, "b"), ("json", "k${z}"),
    ]  # fmt: skip


def test_a_column_that_looks_like_a_variable_is_one() -> None:
    it = proof(columns=frozenset({"user"}), data="u.csv")

    it.reads(("a",), {"user", "row.user"})
    assert said(it) == []


def test_rows_that_could_not_be_read_are_not_missed_twice() -> None:
    it = proof(data="lost.csv")

    it.reads(("a",), {"row.user"})
    assert said(it) == []


def test_the_environment_is_asked_for_inside_of_other_calls() -> None:
    it = proof(environ={"THERE": "x"})

    it.template(("a",), "x ${base64(env('THERE'))} ${random(['a', env('NOT')])} ${env(run_id)}")

    assert said(it) == ["want the environment variable NOT to be set, got none"]
