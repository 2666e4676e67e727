"""The load generators of `bench/load.py`, in a process that gevent patches before anything else.

    python bench/_load_child.py cost PORT [--rounds 40]
    python bench/_load_child.py memory PORT [--users 1000]

Both kinds are Locust users: one plays a journey of YAML, the other is written by hand against
FastHttpUser. Their rounds are short and interleaved, in one process: whoever shares the core slows
both. Prints what a request costs as JSON.
"""

# ruff: noqa: E402, TID253 - patched first; only here and in scenarios/worker.py
from gevent import monkey

monkey.patch_all()

import argparse
import gc
import json
import logging
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, User, constant, task
from locust.env import Environment
from locust.exception import StopUser

from probes.journey.loading.compile import compile_journey
from probes.journey.loading.settings import JourneyKeys, World
from scenarios.child.counting import Counts
from scenarios.child.driver import LoadDriver
from scenarios.child.player import Player, Stand, Ticket
from scenarios.child.resolver import Resolver

TOKEN = "0123456789abcdef0123456789abcdef"
STEPS = 3
JOURNEY: dict[str, Any] = {
    "vars": {"user": "u-7", "token": TOKEN},
    "http": {"headers": {"Accept": "application/json", "Authorization": "Bearer ${token}"}},
    "steps": [
        {
            "name": "search",
            "get": "/api/items?user=${user}&page=${seq()}",
            "extract": {"item": "$.items[0].id"},
            "expect": {"json": {"$.items[0].price": {"gt": 0, "lt": 10000}}},
        },
        {
            "name": "item",
            "get": "/api/items/${item}",
            "expect": {"json": {"$.id": "${item}"}},
        },
        {
            "name": "cart",
            "post": "/api/cart",
            "json": {"item": "${item}", "count": 1, "user": "${user}"},
            "extract": {"order": "$.order"},
            "expect": {"status": 200, "json": {"$.count": 1}},
        },
    ],
}


class Shared:
    """What all users know."""

    page = 0
    rounds = 0
    """Iterations that each user plays before it stops."""
    stand: Stand
    resolver = Resolver()


class Journeyed(User):
    """Plays the journey."""

    def on_start(self) -> None:
        self.player = Player(Shared.stand, LoadDriver(Shared.stand.journey.tls, Shared.resolver), 0)

    def plays(self) -> None:
        for _ in range(Shared.rounds):
            Shared.page += 1
            self.player.play(Ticket(Shared.page))


class Written(FastHttpUser):
    """The same by hand."""

    wait_time = constant(0)
    left = 0

    def on_start(self) -> None:
        self.user = "u-7"
        self.headers = {"Accept": "application/json", "Authorization": f"Bearer {TOKEN}"}
        self.left = Shared.rounds

    @task
    def buy(self) -> None:
        if not self.left:
            raise StopUser
        self.left -= 1
        Shared.page += 1
        page = Shared.page
        headers, client = self.headers, self.client
        with client.get(
            f"/api/items?user={self.user}&page={page}",
            name="search",
            headers=headers,
            catch_response=True,
        ) as answer:
            found = answer.json()["items"][0]
            if answer.status_code != 200 or not 0 < found["price"] < 10000:
                answer.failure("no price")
            item = found["id"]
        with client.get(
            f"/api/items/{item}", name="item", headers=headers, catch_response=True
        ) as answer:
            if answer.status_code != 200 or answer.json()["id"] != item:
                answer.failure("another item")
        with client.post(
            "/api/cart",
            name="cart",
            headers=headers,
            json={"item": item, "count": 1, "user": self.user},
            catch_response=True,
        ) as answer:
            if answer.status_code != 200 or answer.json()["count"] != 1:
                answer.failure("not in the cart")


def round_of(users: list[Callable[[], None]]) -> float:
    """Let each user play and return the seconds of CPU of a request."""
    gc.collect()
    before = time.process_time()
    gevent.joinall([gevent.spawn(user) for user in users], raise_error=True)
    return (time.process_time() - before) / len(users) / Shared.rounds / STEPS


def failed(environment: Environment) -> int:
    numbers = Shared.stand.counts.book.numbers
    ours = sum(it for key, it in numbers.items() if key.metric == "request.failed")
    return ours + environment.stats.total.num_failures


def journeyed(given: argparse.Namespace, environment: Environment) -> list[Journeyed]:
    users = [Journeyed(environment) for _ in range(given.users)]
    for user in users:
        user.on_start()
    return users


def cost(given: argparse.Namespace, environment: Environment) -> dict[str, Any]:
    ours = [user.plays for user in journeyed(given, environment)]
    theirs = [Written(environment).run for _ in range(given.users)]
    Shared.rounds = given.iterations
    found: dict[str, list[float]] = {"ours": [], "locust": []}
    for users in (ours, theirs) * 2:
        round_of(users)
    turns = [("ours", ours), ("locust", theirs)]
    for _ in range(given.rounds):
        for name, users in turns:
            found[name].append(round_of(users) * 1e6)
        # whoever comes second finds another machine
        turns.reverse()
    asked = given.users * given.iterations * STEPS * (given.rounds + 2)
    counted = {"ours": Shared.stand.counts.requests, "locust": environment.stats.num_requests}
    if set(counted.values()) != {asked} or failed(environment):
        raise SystemExit(
            f"want {asked} good requests of each, got {counted}, {failed(environment)}"
        )
    return found


def memory(given: argparse.Namespace, environment: Environment) -> dict[str, Any]:
    """Tell the resident memory of users that have all played, and hold a connection."""
    before = resident()
    Shared.rounds = 2
    users = journeyed(given, environment)
    round_of([user.plays for user in users])
    after = resident()
    return {"before": before, "rss": after, "per_user": (after - before) / given.users}


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["cost", "memory"])
    parser.add_argument("port", type=int)
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    base = f"http://127.0.0.1:{given.port}"
    journey = compile_journey("it", JourneyKeys.model_validate(JOURNEY), World(Path(), {}))
    Shared.stand = Stand(journey, "run-1", 1, base, {}, Counts())
    Written.host = base
    environment = Environment(user_classes=[Journeyed, Written])
    environment.create_local_runner()
    print(json.dumps({"cost": cost, "memory": memory}[given.what](given, environment)))


main()
