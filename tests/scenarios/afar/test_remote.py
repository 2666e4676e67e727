"""The worker's end without sockets: a shard, orders, the last word, and silence."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import pytest

from scenarios.afar import message
from scenarios.afar.message import AHEAD_S, Join, Message, plan_body
from scenarios.afar.remote import Remote, Unwanted
from scenarios.codec import encode
from scenarios.records import Final, Hello, Offer, Progress, Start, Stop

JOIN = Join("vm", {"sonde": "1"})


class Master:
    """Answers as it is told to."""

    def __init__(self, place: Path) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.answers: dict[str, tuple[str, bytes]] = {}
        self.remote = Remote(self._send, place)
        self._said = 0

    def say(self, kind: str, body: bytes = b"", run: str = "r1") -> None:
        self._said += 1
        self.remote.heard(kind, Message(run, self._said, body).packed())

    def _send(self, kind: str, data: Mapping[str, Any]) -> None:
        self.heard.append((kind, data["b"]))
        if kind in self.answers:
            self.say(*self.answers[kind])


@pytest.fixture
def master(tmp_path: Path) -> Master:
    made = Master(tmp_path)
    made.answers[message.JOIN] = (message.PLAN, plan_body(1, "{}"))
    return made


def joined(master: Master) -> Remote:
    assert master.remote.join(JOIN) == Offer(1, "{}")
    Thread(target=master.remote.pump, daemon=True).start()
    return master.remote


def test_it_asks_for_a_shard_and_greets_with_the_plan_of_the_master(master: Master) -> None:
    remote = joined(master)
    master.answers["sonde.hello"] = (message.BYE, b"seen")
    remote.deliver(Hello(1, 7, "of our own journeys"))
    remote._dismissed.wait(5)

    digest = sha256(b"{}").hexdigest()
    assert master.heard == [
        (message.JOIN, JOIN.to_bytes()),
        ("sonde.hello", encode(Hello(1, 7, digest))[0]),
    ]


def test_workers_7_one_that_is_not_wanted_says_why(master: Master) -> None:
    master.answers[message.JOIN] = (message.BYE, b"there are as many")

    with pytest.raises(Unwanted, match="there are as many"):
        master.remote.join(JOIN)


def test_orders_come_by_the_own_clock_and_those_of_other_runs_do_not(master: Master) -> None:
    remote = joined(master)
    remote.heard("sonde.start", {"b": b"junk"})
    master.say("sonde.stop", encode(Stop("theirs"))[0], run="other")
    master.say("sonde.start", encode(Start(0.0))[0])
    master.say("sonde.stop", encode(Stop("signal", 2.0))[0])
    master.say(message.BYE, b"was silent")
    orders = remote.listen()

    start = next(orders)
    assert isinstance(start, Start)
    assert 0 < start.t0 - monotonic() <= AHEAD_S
    assert next(orders) == Stop("signal", 2.0)
    assert next(orders) == Stop("the master: was silent", 0.0)
    assert remote.bye == "was silent"


def test_workers_4_a_master_that_says_nothing_is_gone(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message, "ALONE_S", 0.05)
    remote = joined(master)
    master.say(message.TICK)

    assert list(remote.listen()) == []
    # nobody is left who could hear it
    assert not remote.deliver(Final(1, 1, "parent_gone"))


def test_the_last_word_is_said_when_the_master_has_heard_it(master: Master, tmp_path: Path) -> None:
    remote = joined(master)
    (tmp_path / "result-1.json").write_bytes(b"x" * 300_000)
    master.answers["sonde.final"] = (message.BYE, b"")

    assert remote.deliver(Final(1, 3, "completed", "result-1.json"))
    kinds = [kind for kind, _ in master.heard]
    assert kinds == ["sonde.join", *["sonde.result"] * 3, "sonde.final"]
    assert b"".join(body for kind, body in master.heard if kind == message.RESULT) == b"x" * 300_000


def test_a_last_word_that_nobody_hears_is_not_delivered(master: Master) -> None:
    remote = joined(master)

    assert not remote.deliver(Final(1, 3, "completed"), within_s=0.05)
    assert not remote.is_delivered


def test_what_does_not_fit_is_not_taken(master: Master) -> None:
    # nothing is sent: nobody pumps
    master.remote.join(JOIN)
    taken = [master.remote.offer(Progress(1, number, 1.0)) for number in range(1, 8)]

    assert taken == [True] * 5 + [False] * 2
