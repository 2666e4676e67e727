"""What the interpreter of journeys costs: time for a step above the transport, memory for a play.

    python bench/journey.py [--rounds 200] [--plays 4] [--json FILE]

A typical step: GET with two templates, a header, status and one JSON expectation, one value taken
out. The transport is a function that gives a finished answer; to yield the same finished requests
to it is the baseline. Rounds are short and interleaved; the quietest counts, for whoever shares the
core slows the others. Exit 1 above the limits.
"""

import argparse
import gc
import json
import statistics
import sys
import tracemalloc
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, thread_time

from probes.journey.language.expression import Scope, template
from probes.journey.language.extract import extract
from probes.journey.language.functions import chance
from probes.journey.language.judge import ExpectKeys, compile_expect
from probes.journey.model import Answer, Effect, Part, Request, Response
from probes.journey.playing.play import Context, play
from probes.journey.steps import Common, HttpStep, Journey
from probes.result import Phase
from probes.wire.url import parse_url

STEPS = 100
CONCURRENT = 1000
# Issue 4: what the interpreter may add to each request.
LIMIT_US = 15.0
# Of a play that waits for an answer: a thousand users of a load must fit beside their connections.
LIMIT_BYTES = 16 * 1024

BASE = "https://shop.example.org"
BODY = json.dumps(
    {"items": [{"id": "item-1", "price": 12.5, "name": "lamp"}], "total": 1, "next": None}
).encode()
PHASES = (Phase("processing", 0.003), Phase("transfer", 0.001))
ANSWER = Response(
    status=200,
    headers=(
        ("server", "bench"),
        ("date", "Fri, 02 Jan 2026 03:04:05 GMT"),
        ("content-type", "application/json"),
        ("content-length", str(len(BODY))),
    ),
    body=BODY,
    seconds=0.004,
    phases=PHASES,
    received=len(BODY),
    reused=True,
)


def journey() -> Journey:
    """Return a journey of typical steps; each reads what the one before has taken."""
    expect = compile_expect(
        ExpectKeys.model_validate({"json": {"$.items[0].price": {"gt": 0, "lt": 10000}}}),
        wants_2xx=True,
    )
    taken = extract("item_id", "$.items[0].id")
    steps = tuple(
        HttpStep(
            Common(f"step-{number}"),
            "GET",
            template("/api/items/${item_id}?user=${user}"),
            headers=(
                ("Authorization", template("Bearer ${token}")),
                ("Accept", template("application/json")),
            ),
            expect=expect,
            extract=(taken,),
        )
        for number in range(STEPS)
    )
    return Journey("bench", base_url=BASE, steps=steps)


def context() -> Context:
    values = {"item_id": "item-0", "user": "probe", "token": "0123456789abcdef0123456789abcdef"}
    scope = Scope("run-1", 0, chance(1, 0), lambda: datetime.now(UTC), {}, values=values)
    return Context(scope, monotonic)


def bare() -> Generator[Effect, Answer, None]:
    """Yield as many requests as the journey has steps, finished beforehand."""
    url = parse_url(f"{BASE}/api/items/item-1?user=probe")
    request = Request("step", "GET", url, (("Accept", "application/json"),), part=Part.STEPS)
    for _ in range(STEPS):
        yield request


def transport(_: Effect) -> Answer:
    return ANSWER


def drive(game: Generator[Effect, Answer, object]) -> None:
    answer: Answer = None
    try:
        while True:
            answer = transport(game.send(answer))
    except StopIteration:
        return


def seconds_of(make: Callable[[], Generator[Effect, Answer, object]], plays: int) -> float:
    """Return the seconds that a step takes."""
    games = [make() for _ in range(plays)]
    started = thread_time()
    for game in games:
        drive(game)
    return (thread_time() - started) / plays / STEPS


def time(rounds: int, plays: int) -> dict[str, float]:
    written = journey()
    with_us: list[float] = []
    without_us: list[float] = []
    for _ in range(rounds):
        with_us.append(seconds_of(lambda: play(written, context()), plays) * 1e6)
        without_us.append(seconds_of(bare, plays) * 1e6)
    whole, transport_us = min(with_us), min(without_us)
    return {
        "step_us": whole,
        "step_median_us": statistics.median(with_us),
        "transport_us": transport_us,
        "overhead_us": whole - transport_us,
    }


def memory() -> float:
    """Return the bytes of one play that waits for the answer to its fifth request."""
    written = journey()
    drive(play(written, context()))
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    games = [play(written, context()) for _ in range(CONCURRENT)]
    for game in games:
        game.send(None)
        for _ in range(4):
            game.send(ANSWER)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    for game in games:
        game.close()
    return used / CONCURRENT


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=200)
    arguments.add_argument("--plays", type=int, default=4)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    found = time(given.rounds, given.plays)
    found["bytes_per_play"] = memory()
    for name, value in found.items():
        print(f"{name:16} {value:10.2f}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    is_met = found["overhead_us"] <= LIMIT_US and found["bytes_per_play"] <= LIMIT_BYTES
    print("met" if is_met else f"want {LIMIT_US:g} us and {LIMIT_BYTES} bytes at most")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
