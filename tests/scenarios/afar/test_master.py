"""The master without sockets: who gets a shard, what is relayed, who must leave."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenarios.afar.master import Master
from scenarios.afar.message import Join, Message, read_plan, text_body
from scenarios.child.channel import DELIVERY_S, Link
from scenarios.codec import encode
from scenarios.records import Bye, Final, Hello, Left, Progress, Record, Start, Stop
from tests.scenarios.children import plan

VERSIONS = {"sonde": "1", "locust": "2.47", "python": "3.11"}
PLAN = replace(plan(shards=2, run_id="r1"), journeys={})


class Parent(Link):
    """Says what it is told to, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Record] = []
        self.orders: list[Record] = []

    def offer(self, record: Record) -> bool:
        raise AssertionError("want records delivered, got one offered")

    def deliver(self, record: Record, within_s: float = DELIVERY_S) -> bool:
        self.heard.append(record)
        return True

    def listen(self) -> Iterator[Record]:
        yield from self.orders


class Stage:
    """A master, its parent, and what it sends."""

    def __init__(self, place: Path) -> None:
        self.parent = Parent()
        self.sent: list[tuple[str, str, bytes]] = []
        self.master = Master(PLAN.to_json(), place, self.parent, self._send, VERSIONS)
        self.numbers: dict[str, int] = {}

    def _send(self, kind: str, data: Mapping[str, Any], client: str) -> None:
        self.sent.append((kind, client, data["b"]))

    def say(self, client: str, kind: str, body: bytes, run: str = "r1") -> None:
        self.numbers[client] = self.numbers.get(client, 0) + 1
        packed = Message(run, self.numbers[client], body).packed()
        self.master.heard(f"sonde.{kind}", client, packed)

    def join(self, *clients: str, **versions: str) -> None:
        for client in clients:
            self.say(client, "join", Join(client, VERSIONS | versions).to_bytes(), "")

    def record(self, client: str, record: Record) -> None:
        for part in encode(record):
            self.say(client, type(record).__name__.lower(), part)

    def order(self, *orders: Record) -> None:
        self.parent.orders = list(orders)
        self.master.listen()

    def told(self, client: str) -> list[tuple[str, bytes]]:
        return [(kind, body) for kind, its, body in self.sent if its == client]

    @property
    def relayed(self) -> list[Record]:
        """What the parent has, once all is out."""
        self.master._outgoing.put(None)
        self.master.pump()
        return self.parent.heard


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_each_worker_gets_a_shard_and_the_plan_without_code(stage: Stage) -> None:
    stage.join("a", "b", "a")

    assert [read_plan(body) for _, body in stage.told("a")] == [(0, PLAN.to_json())] * 2
    assert [read_plan(body) for _, body in stage.told("b")] == [(1, PLAN.to_json())]
    assert '"journeys": {}' in PLAN.to_json()


def test_workers_7_one_too_many_and_a_late_one_are_told_to_leave(stage: Stage) -> None:
    stage.join("a", "b", "c")
    stage.order(Start(5.0))
    stage.join("d")

    assert stage.told("c") == [("sonde.bye", b"want 2 workers, got another: there are as many")]
    assert stage.told("d") == [("sonde.bye", b"want 2 workers, got another: the run has begun")]
    assert stage.relayed == []


def test_workers_6_another_version_is_refused_by_name(stage: Stage) -> None:
    stage.join("a", locust="2.40")

    text = "want locust '2.47' on 'a', got locust '2.40'"
    assert stage.told("a") == [("sonde.bye", text_body(text))]
    assert stage.relayed == [Left(0, text)]


def test_what_a_worker_refuses_for_is_told_to_the_parent(stage: Stage) -> None:
    stage.join("a")
    stage.say("a", "refuse", b"want the config hash \xff")

    assert stage.relayed == [Left(0, "a refuses: want the config hash \ufffd")]


def test_records_and_the_result_of_a_worker_are_relayed(stage: Stage, tmp_path: Path) -> None:
    hello, progress = Hello(0, 7, "x", VERSIONS), Progress(0, 1, 1.0)
    final = Final(0, 2, "completed", "result-0.json", "sum")
    stage.join("a")
    stage.record("a", hello)
    stage.record("a", progress)
    stage.say("a", "result", b"one ")
    stage.say("a", "result", b"two")
    stage.record("a", final)

    assert (tmp_path / "result-0.json").read_bytes() == b"one two"
    # it may go: what it said was heard
    assert stage.told("a")[-1] == ("sonde.bye", b"")
    assert [encode(it) for it in stage.relayed] == [encode(it) for it in (hello, progress, final)]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param("progress", b"junk", id="no record"),
        pytest.param("progress", encode(Progress(1, 1, 1.0))[0], id="of another shard"),
        pytest.param("final", encode(Final(0, 1, "completed", "../x"))[0], id="another file"),
        pytest.param("progress", encode(Stop("x"))[0], id="an order"),
        pytest.param("progress", encode(Left(0, "x"))[0], id="a word of the master"),
    ],
)
def test_a_worker_that_cannot_be_believed_is_lost_alone(
    stage: Stage, kind: str, body: bytes
) -> None:
    stage.join("a", "b")
    stage.say("a", kind, body)
    stage.record("b", Hello(1, 7, "x"))

    assert stage.told("a")[-1][0] == "sonde.bye"
    left, hello = stage.relayed
    assert isinstance(left, Left)
    assert left.shard == 0
    assert hello == Hello(1, 7, "x")


def test_messages_of_strangers_of_other_runs_and_said_twice_are_dropped(stage: Stage) -> None:
    stage.join("a")
    body = encode(Hello(0, 7, "x"))[0]
    stage.say("stranger", "hello", body)
    stage.say("a", "hello", body, run="other")
    stage.master.heard("sonde.hello", "a", Message("r1", 1 << 20, body).packed())
    stage.master.heard("sonde.hello", "a", Message("r1", 1 << 20, body).packed())
    stage.master.heard("sonde.join", "x", {"b": 1})

    assert stage.relayed == [Hello(0, 7, "x")]
    assert stage.master.dropped == 4


def test_workers_7_a_lost_one_that_comes_back_stays_lost(stage: Stage) -> None:
    stage.join("a", "b")
    stage.order(Start(5.0), Bye(0, "was silent"))
    stage.record("a", Progress(0, 1, 1.0))
    stage.join("a")

    assert stage.told("a")[2:] == [("sonde.bye", b"was silent")] * 3
    assert stage.relayed == [Left(0, "was silent")]
    # the other goes on
    assert [kind for kind, _ in stage.told("b")] == ["sonde.plan", "sonde.start"]


def test_the_start_and_the_stop_go_to_all(stage: Stage) -> None:
    stage.join("a", "b")
    stage.order(Start(5.0), Stop("signal", 0.0))

    for client in "ab":
        assert stage.told(client)[1:] == [
            ("sonde.start", encode(Start(0.0))[0]),
            ("sonde.stop", encode(Stop("signal", 0.0))[0]),
        ]


def test_it_is_over_when_every_shard_is_final_or_lost(stage: Stage) -> None:
    stage.join("a", "b")
    stage.say("a", "refuse", b"no")
    stage.record("b", Final(1, 1, "plan_error", text="no"))
    stage.master.pump()

    assert stage.master.watch(set, lambda: False)


def test_a_worker_that_locust_misses_is_lost_and_the_others_hear_a_tick(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.afar.master.WATCH_S", 0.01)
    stage.join("a", "b")
    looks = [{"a", "b"}, {"a"}, set[str]()]

    def missing() -> set[str]:
        found = looks.pop()
        if not looks:
            stage.master.is_over.set()
        return found

    assert stage.master.watch(missing, lambda: False)
    assert [kind for kind, _ in stage.told("a")] == ["sonde.plan", "sonde.tick", "sonde.bye"]
    assert [kind for kind, _ in stage.told("b")][1:3] == ["sonde.tick", "sonde.tick"]


def test_workers_8_dead_listeners_of_locust_end_the_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.afar.master.WATCH_S", 0.01)
    stage.join("a")

    assert not stage.master.watch(set, lambda: True)
    text = "want messages on the port that Locust can read, got others"
    assert stage.told("a")[-1] == ("sonde.bye", text.encode())
    assert stage.relayed == [Left(0, text), Left(1, text)]
