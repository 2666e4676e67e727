"""The names that a step reads, wherever they stand in it."""

from probes.journey.language.expression import template, tree
from probes.journey.playing.reads import reads_of
from probes.journey.steps import Common, LogStep, SocketStep, Turn, WaitStep
from tests.probes.journey.building import expect, http, repeat


def test_every_text_of_a_step_is_looked_at() -> None:
    step = http(
        "it", "/${a}", when="${b} == 1", headers={"x": "${c}"}, params={"y": "${d}"},
        json={"z": ["${e}"]}, wants={"body": "${f}"}, warn={"json": {"$.a": "${g}"}},
        until={"header": {"h": "${h}"}},
    )  # fmt: skip

    assert set(reads_of(step)) == set("abcdefgh")


def test_steps_inside_a_step_are_looked_at_too() -> None:
    turns = (Turn(send=tree({"a": "${a}"})), Turn(expect=expect({"body": "${b}"})))
    socket = SocketStep(Common("it"), template("/"), turns=turns)
    say = LogStep(Common(""), template("${c}"))

    assert set(reads_of(repeat(socket, say, over="${d}"))) == set("abcd")
    assert set(reads_of(WaitStep(Common(""), 1.0))) == set()
