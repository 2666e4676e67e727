"""The child as a process: real Locust, real gevent, a small parent and a small target."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scenarios.plan import Fences, Part, Plan, Pool, Stage
from scenarios.records import Final, Hello, Progress, Stop
from tests.scenarios.children import PACKAGES, Child, Target, child, plan, target
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

STOCK = """
import random
from locust import HttpUser, TaskSet, constant, events, task

ORDER = []
for name in ("init", "test_start", "spawning_complete", "test_stopping", "test_stop", "quitting"):
    def heard(name=name, **_):
        ORDER.append(name)
        if name == "quitting":
            open("order.txt", "w").write(" ".join(ORDER))
    getattr(events, name).add_listener(heard)

@events.quitting.add_listener
def ask(environment, **_):
    environment.process_exit_code = 7

class Shopper(HttpUser):
    wait_time = constant(30)
    starts = 0

    def on_start(self):
        Shopper.starts += 1
        is_first = Shopper.starts == 1
        self.client.get("/login", name="login")
        if is_first:
            raise RuntimeError("no login\\udcff")

    @task
    class Inner(TaskSet):
        @task
        def page(self):
            self.client.get("/page?%d" % random.getrandbits(60))
            self.client.get("/plain", name="half \\udcff \\n name")
            with self.client.get("/odd", name="odd", catch_response=True) as answer:
                answer.failure("not \\udcff what I want")

        @task
        def breaks(self):
            raise ValueError("on purpose")
"""


HOSTILE = """
import logging, socket, sys
from locust import HttpUser, events, task

class Asks(HttpUser):
    rows = open("rows.csv").read().split()

    @task
    def go(self):
        logging.warning("%(none)s", {"one": 1})
        with self.environment.events.request.measure("GET", self.rows[0]):
            pass

class Digs(HttpUser):
    @task
    def go(self):
        if self.sonde_seat.number % 2:
            socket.create_connection(("10.9.9.9", 80), 1)
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("10.9.9.9", 53))

class Idles(HttpUser):
    pass

class Breaks(HttpUser):
    def __init__(self, environment):
        raise ValueError("no user")

class Exits(HttpUser):
    @task
    def go(self):
        sys.exit(3)

class Quits(HttpUser):
    @task
    def go(self):
        self.environment.runner.quit()

class Stops(HttpUser):
    @task
    def go(self):
        from locust.exception import StopTest
        raise StopTest("enough")
"""
ENDS = {
    "Breaks": "want no exception in a user, got ValueError: 'no user'",
    "Exits": "want the whole plan played, got SystemExit(3) of a locust file",
    "Quits": "want the whole plan played, got runner.quit() of a locust file",
    "Stops": "want the whole plan played, got StopTest('enough') of a locust file",
}


@dataclass
class Ran:
    """One child that has ended."""

    child: Child
    final: Final
    target: Target


def ran(made: Plan, place: Path, server: Target, during: Any = None) -> Ran:
    with child(made, place) as it:
        it.start()
        if during is not None:
            during(it)
        return Ran(it, it.finish(), server)


def stall(server: Target) -> Any:
    def during(it: Child) -> None:
        # from the fourth tenth of a second on, for 3 s: every arrival of that time waits
        wait_until(lambda: len(server.paths) >= 16)
        server.open.clear()
        time.sleep(3)  # the length of the stall is what is tested
        server.open.set()

    return during


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Ran]]:
    """All runs that may go on side by side, done once."""
    root = tmp_path_factory.mktemp("runs")
    file = root / "shopper.py"
    file.write_text(STOCK)
    stock = (Part("Shopper", 4, locustfile=str(file)), Part("shop"))
    (root / "rows.csv").write_text("first second")
    hostile, like = root / "hostile.py", root / "like" / "hostile.py"
    like.parent.mkdir()
    hostile.write_text(HOSTILE)
    like.write_text(HOSTILE.replace("self.rows[0]", "'of another file'"))
    odd = tuple(
        Part(name, locustfile=str(file))
        for name, file in (("Asks", hostile), ("Asks", like), ("Digs", hostile), ("Idles", hostile))
    )
    parked = {"steps": [{"name": "home", "get": "/"}, {"think": "20s"}],
              "cleanup": [{"name": "tidy", "delete": "/tidy"}]}  # fmt: skip
    with target() as one, target() as two, target() as three, target() as four, target() as five:
        jobs = {
            "open": (plan(one.url), one, None),
            "stall": (plan(two.url, pool=Pool(2, 200), stages=(Stage(4, 40, 40),)),
                      two, stall(two)),
            "fixed": (plan(three.url, model="iterations", iterations=33, users=4, stages=()),
                      three, None),
            "stock": (plan(four.url, mix=stock, stages=(Stage(2, 60, 60),), locust_html=True),
                      four, None),
            "odd": (plan(mix=odd, directory=str(root)), one, None),
            "cut": (plan(five.url, graceful_stop_s=0.3, journeys={"shop": parked}), five, None),
        }  # fmt: skip
        for name in ENDS:
            mix = (Part(name, locustfile=str(hostile)),)
            jobs[name] = (
                plan(mix=mix, directory=str(root), stages=(Stage(30, 40, 40),)),
                one,
                None,
            )
        with ThreadPoolExecutor(len(jobs)) as threads:
            began = {
                name: threads.submit(ran, made, root / name, server, during)
                for name, (made, server, during) in jobs.items()
            }
            yield {name: it.result() for name, it in began.items()}


def test_every_arrival_is_sent_or_dropped(runs: dict[str, Ran]) -> None:
    run = runs["open"]
    book = run.child.book

    assert run.final.why == "completed"
    assert book.total("iteration.due") == 40
    assert book.total("iteration.started") + book.total("iteration.dropped") == 40
    assert run.final.requests == len(run.target.paths) == book.total("iteration.started")
    assert run.final.seq == len(run.child.progress) + 1


def test_arrivals_come_at_their_times(runs: dict[str, Ran]) -> None:
    came = runs["open"].target.came_at

    assert 0.9 < came[-1] - came[0] < 1.2


def test_a_stall_of_the_target_is_seen_by_whoever_came_meanwhile(runs: dict[str, Ran]) -> None:
    """load.md 5.2: a closed user would have waited, and told of one slow request."""
    book = runs["stall"].child.book
    latency = book.timed("iteration.latency")

    assert book.total("iteration.due") == 160
    assert book.total("iteration.dropped") == 0
    assert latency.greatest >= 2.9e6
    assert latency.quantile(0.5) > 0.5
    assert latency.quantile(0.95) > 2.5


def test_so_many_iterations_are_played_and_no_more(runs: dict[str, Ran]) -> None:
    run = runs["fixed"]

    assert run.final.iterations == len(run.target.paths) == 33
    assert run.child.book.timed("iteration.latency").count == 0


def test_what_outlives_the_grace_is_cut_off_and_tidies_up(runs: dict[str, Ran]) -> None:
    run = runs["cut"]
    book = run.child.book
    begun = book.total("iteration.started")

    assert begun == 20
    assert book.total("iteration.interrupted") == begun
    assert book.total("iteration.dropped") == 20
    assert book.timed("iteration.latency", outcome="interrupted").count == begun
    assert run.target.paths.count("/tidy") == begun


def test_a_stock_locust_file_is_played_by_our_tickets(runs: dict[str, Ran]) -> None:
    run = runs["stock"]
    book = run.child.book
    mine = {"journey": "Shopper"}

    assert book.total("iteration.due") == 120
    assert book.total("iteration.due") == book.total("iteration.started") + book.total(
        "iteration.dropped"
    )
    # its wait_time of 30 s is not asked: arrivals wait for nobody
    assert book.total("iteration.completed", **mine) > 40
    assert 5 < book.total("iteration.failed", **mine) < book.total("iteration.completed", **mine)
    # the journey beside it is counted once, though Locust's listeners hear of it
    assert book.timed("request.duration", journey="shop").count == book.total(
        "iteration.completed", journey="shop"
    )
    assert run.final.exit_code == 7


def test_a_set_up_that_fails_is_tried_again(runs: dict[str, Ran]) -> None:
    book = runs["stock"].child.book

    assert book.total("setup.failed", journey="Shopper", step="on_start") == 1
    assert book.total("setup.done", journey="Shopper") >= 2
    assert book.timed("request.duration", step="login", measured=False).count >= 2
    assert book.timed("request.duration", step="login", measured=True).count == 0


def test_events_come_in_the_order_that_locust_files_expect(runs: dict[str, Ran]) -> None:
    order = (runs["stock"].child.place / "order.txt").read_text().split()

    assert order == [
        "init", "test_start", "spawning_complete", "test_stopping", "test_stop", "quitting",
    ]  # fmt: skip


def test_the_report_of_locust_itself_can_be_had(runs: dict[str, Ran]) -> None:
    text = (runs["stock"].child.place / "locust-0.html").read_text(encoding="utf-8")

    assert "</html>" in text
    assert "login" in text


def test_names_of_a_locust_file_are_clean_and_bounded(runs: dict[str, Ran]) -> None:
    book = runs["stock"].child.book
    steps = {key.step for key in book.durations if key.metric == "request.duration"}

    assert len(steps) <= 201
    assert "half \\udcff \ufffd name" in steps
    assert all(step.encode() and step.isprintable() for step in steps)


def test_errors_of_a_locust_file_are_told(runs: dict[str, Ran]) -> None:
    told = {(step, text) for step, _, text, _ in runs["stock"].child.result["errors"]}

    assert ("odd", "not \\udcff what I want") in told
    assert ("task", "ValueError: on purpose") in told
    assert ("on_start", "RuntimeError: no login\\udcff") in told


@pytest.mark.parametrize("name", ENDS)
def test_a_locust_file_that_ends_the_test_leaves_a_last_word(
    name: str, runs: dict[str, Ran]
) -> None:
    run = runs[name]
    book = run.child.book

    assert (run.final.why, run.final.text) == ("internal", ENDS[name])
    assert book.total("iteration.due") == book.total("iteration.started") + book.total(
        "iteration.dropped"
    )
    # the plan goes on for 1,200: it ends within a quarter of a second, also on a busy host
    assert book.total("iteration.due") <= 10


def test_what_users_do_beside_their_clients_is_seen(runs: dict[str, Ran]) -> None:
    run = runs["odd"]
    book, told = run.child.book, run.child.result["errors"]
    digs = book.total("iteration.started", journey="Digs")

    assert run.final.why == "completed"
    assert digs > 2
    # sockets of their own stop at the fence
    assert book.total("request.failed", journey="Digs", reason="policy") == digs
    assert {(step, reason) for step, reason, _, _ in told} == {
        ("task", "policy"),
        ("user", "internal"),
    }
    assert any("No tasks defined" in text for _, _, text, _ in told)


def test_classes_of_one_name_are_two(runs: dict[str, Ran]) -> None:
    book = runs["odd"].child.book

    # the files stand in one directory, and what they open beside them is found
    assert book.timed("request.duration", step="first").count > 2
    assert book.timed("request.duration", step="of another file").count > 2


def test_closed_users_come_go_and_stop(tmp_path: Path) -> None:
    stages = (Stage(0.8, 0, 6), Stage(30, 6, 6))
    with target() as server:
        made = plan(server.url, model="closed", stages=stages, pace_s=0.05)
        with child(made, tmp_path) as it:
            it.start()
            it.until(Progress)
            last = it.until(Progress)
            it.process.terminate()
            it.say(Stop("enough", 1.0))
            began = time.monotonic()
            final = it.finish()

    assert last.users == 6
    assert final.why == "stopped"
    assert final.text in ("SIGTERM", "enough")
    assert time.monotonic() - began < 3
    assert it.book.total("iteration.completed") == len(server.paths) == final.iterations
    # six users with a pace of 50 ms, and the ramp before: never more than that
    assert 20 < final.iterations < 2.5 * 6 / 0.05


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(b"nonsense", id="no record"),
        pytest.param(b'{"t":"hello"}', id="a record that only a child says"),
    ],
)
def test_what_is_no_order_ends_the_shard_and_not_in_silence(says: bytes, tmp_path: Path) -> None:
    with child(plan(), tmp_path) as it:
        it.until(Hello)
        it.end.send(says)
        final = it.finish()

    assert final.why == "internal"
    assert "want a record" in final.text
    assert final.requests == 0


def test_a_broken_locust_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import locust\n\ndef (:\n")
    made = plan(mix=(Part("X", locustfile=str(file)),), journeys={})
    with child(made, tmp_path / "place") as it:
        final = it.finish()

    assert final.why == "plan_error"
    assert final.text == "broken.py:3: invalid syntax"
    assert not any(isinstance(record, Hello) for record in it.records)


def test_a_fence_stands_before_every_request(tmp_path: Path) -> None:
    with target() as server:
        made = plan(server.url, fences=Fences(allow=("other.test",)), stages=(Stage(0.3, 20, 20),))
        with child(made, tmp_path) as it:
            it.start()
            it.finish()

    assert server.paths == []
    assert it.book.total("request.failed", outcome="unknown", reason="policy") == 6


LEADER = """
import sys, time
from pathlib import Path
from tests.scenarios.children import Child, plan
from scenarios.plan import Stage
made = plan(sys.argv[1], stages=(Stage(60, 40, 40),))
it = Child(made, Path(sys.argv[2]))
it.start()
print(it.process.pid, flush=True)
time.sleep(60)
"""


def test_the_load_ends_with_whoever_leads_it(tmp_path: Path) -> None:
    """load.md 13: parent killed: load stops within a second."""
    with target() as server:
        leader = subprocess.Popen(
            [sys.executable, "-c", LEADER, server.url, str(tmp_path)],
            cwd=PACKAGES,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert leader.stdout is not None
        with leader.stdout:
            number = int(leader.stdout.readline())
        wait_until(lambda: server.paths, 20)
        leader.kill()
        leader.wait()
        killed = time.monotonic()
        wait_until(lambda: not is_alive(number), 5)

        assert time.monotonic() - killed < 1


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
