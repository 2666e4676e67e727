"""A shard without Locust that behaves as its arguments say: ``fake_child.py hang``.

Not a test: `tests.scenarios.fleet.test_launch` starts it in the place of the real one. Standard
library only, and records written by hand: both sides from one codec would agree on its mistakes.
"""

import copy
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# Longer than any test; the fleet ends it.
FOR_EVER = 600
SECOND_S = 1.0
MIB = 1024 * 1024

# What is no record at all.
RAW = {
    "garbage": b"\xff\xfe segmentation fault",
    "half": b'{"t":"progress","shard":0,"seq"',
    "unknown-word": b'{"t":"gossip","shard":0}',
    "order": b'{"t":"start","t0":1.0}',
    "too-long": b"[" * (200 * 1024),
    "deep": b"[" * (100 * 1024),
    "part": b"part 2/3\nxxx",
    "surrogate": b'{"t":"log","shard":0,"level":"info","text":"\\ud800"}',
}
KILLED_BY = {"crash": signal.SIGKILL, "children": signal.SIGKILL, "segfault": signal.SIGSEGV}
# A record that does not follow the one before, or counts what nobody can.
CHANGED: dict[str, dict[str, Any]] = {
    "gap": {"seq": 7},
    "repeats": {"seq": 1},
    "future": {"at_s": 1e9},
    "other-shard": {"shard": 999},
    "not-a-number": {"rate": float("nan")},
    "negative": {"users": -1},
    "contradiction": {"book": {"durations": [], "numbers": [[["a"], 1]]}},
}


class Fake:
    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.end = socket.socket(fileno=int(os.environ["SONDE_FD"]))
        self.end.settimeout(FOR_EVER)
        self.shard = int(os.environ["SONDE_SHARD"])
        self.plan = Path("plan.json").read_bytes()
        self.seq = 0
        self.requests = 0
        self.t0 = 0.0
        self.stopped = False
        self.orders: list[str] = []

    def say(self, t: str, **fields: Any) -> None:
        self.end.send(json.dumps({"t": t, "shard": self.shard, **fields}).encode())

    def hello(self) -> None:
        digest = hashlib.sha256(self.plan).hexdigest()
        digest = "0" * 64 if self.mode == "other-plan" else digest
        versions = {"sonde": "1", "locust": "2.47", "python": "3.11"}
        self.say("hello", pid=os.getpid(), plan=digest, versions=versions, host="here")
        if self.mode == "two-hellos":
            self.say("hello", pid=os.getpid(), plan=digest, versions=versions, host="here")

    def book(self, requests: int) -> dict[str, Any]:
        labels = ["request.duration", "buy", "home", "GET", "2xx", "up", "", True]
        histogram = {"count": requests, "total": 100 * requests, "least": 100, "greatest": 100,
                     "buckets": {"100": requests}}  # fmt: skip
        done = ["iteration.completed", "buy", "", "", "", "", "", True]
        numbers = [[done, requests]] if requests else []
        return {"durations": [[labels, histogram]] if requests else [], "numbers": numbers}

    def progress(self, requests: int = 10, **changed: Any) -> None:
        self.seq += 1
        self.requests += requests
        vitals = {"lag_p99_s": 0.001, "lag_max_s": 0.002, "cpu": 0.5, "rss_bytes": 5, "fds": 7}
        told = {"step": "home", "reason": "status", "text": f"shard {self.shard}", "count": 1}
        fields = {
            "seq": self.seq, "at_s": max(0.0, time.monotonic() - self.t0), "users": 2, "idle": 1,
            "rate": 10.0, "book": self.book(requests), "errors": [told], "vitals": vitals,
            "overflow": 0,
        }  # fmt: skip
        self.say("progress", **(fields | changed))

    def final(self, why: str = "completed", **changed: Any) -> None:
        name = f"result-{self.shard}.json"
        # two requests more than the records told of: the file counts
        held = {"book": self.book(self.requests + 2), "errors": [["home", "status", "file", 3]]}
        text = json.dumps(held).encode()
        if self.mode == "no-json":
            text = b"{"
        Path(name).write_bytes(text)
        fields = {
            "seq": self.seq + 1, "why": why, "file": name,
            "sha256": hashlib.sha256(text).hexdigest(), "requests": self.requests + 2,
            "iterations": self.requests + 2, "text": "", "exit_code": None,
        }  # fmt: skip
        if self.mode == "other-file":
            fields["sha256"] = "0" * 64
        if self.mode == "other-count":
            fields["requests"] = 5
        if self.mode == "escape":
            fields["file"] = "../../etc/passwd"
        self.say("final", **(fields | changed))

    def hear(self, seconds: float) -> None:
        """Take orders for so long, or until there is one to stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.stopped:
            self.end.settimeout(max(left, 0.001))
            try:
                data = self.end.recv(256 * 1024)
            except TimeoutError:
                return
            if not data:
                os._exit(4)
            if data.startswith(b"part "):
                continue
            order = json.loads(data)
            self.orders.append(order["t"])
            self.stopped = order["t"] == "stop" and self.mode != "ignores-stop"
            if order["t"] == "start":
                self.t0 = order["t0"]
                return

    def before_hello(self) -> None:
        if self.mode == "dies-early":
            os.write(2, b"Traceback\nImportError: no locust\n")
            os._exit(1)
        if self.mode == "bad-plan":
            self.say("final", seq=1, why="plan_error", file="", sha256="", requests=0, iterations=0,
                     text="locustfile.py:3: invalid syntax", exit_code=None)  # fmt: skip
            os._exit(2)
        if self.mode == "mute":
            time.sleep(FOR_EVER)
        if self.mode in ("ignores-stop", "stubborn"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.mode == "children":
            subprocess.Popen([sys.executable, "-IS", "-c", f"import time; time.sleep({FOR_EVER})"])
        if self.mode == "flood-output":
            for _ in range(20):
                os.write(1, b"x" * MIB)
                os.write(2, b"y" * MIB)

    def lose_mind(self) -> None:
        """Do what a sane shard does not, if the mode says so."""
        if self.mode in KILLED_BY:
            os.kill(os.getpid(), KILLED_BY[self.mode])
        if self.mode == "leaves":
            os._exit(0)
        if self.mode == "closes":
            self.end.close()
        if self.mode in ("closes", "silent"):
            time.sleep(FOR_EVER)
        while self.mode == "flood-records":
            self.say("log", level="info", text="again")
        if self.mode in RAW:
            self.end.send(RAW[self.mode])
            time.sleep(FOR_EVER)
        if self.mode in CHANGED:
            self.progress(**CHANGED[self.mode])
            time.sleep(FOR_EVER)

    def relay(self) -> None:
        """Speak for three shards, of which the second one repeats itself."""
        every = [copy.copy(self) for _ in range(3)]
        for number, it in enumerate(every):
            it.shard = number
            it.hello()
        while not self.t0:
            self.hear(FOR_EVER)
        self.hear(max(0.0, self.t0 - time.monotonic()))
        for it in every:
            it.t0 = self.t0
            it.progress()
        every[1].progress(seq=1)
        for it in (every[0], every[2]):
            it.progress()
            it.final()
        os._exit(0)

    def main(self) -> None:
        self.before_hello()
        if self.mode == "relay":
            self.relay()
        self.hello()
        while not self.t0 and not self.stopped:
            self.hear(FOR_EVER)
        seconds = sum(stage["seconds"] for stage in json.loads(self.plan)["stages"])
        end = self.t0 + (FOR_EVER if self.mode == "late" else seconds)
        self.hear(max(0.0, self.t0 - time.monotonic()))
        self.progress()
        self.lose_mind()
        if self.mode == "unread":
            # an order comes, and stays where it is
            select.select([self.end], [], [])
            self.final()
            os._exit(0)
        while not self.stopped and time.monotonic() < end:
            self.hear(min(SECOND_S, end - time.monotonic()))
            self.progress()
        text = ",".join(self.orders)
        self.final("stopped" if self.stopped else "completed", text=text)
        if self.mode == "stubborn":
            time.sleep(FOR_EVER)
        if self.mode == "after-final":
            self.progress()
        os._exit(0)


def stop(fake: Fake) -> None:
    """Stop at SIGTERM, as a shard does; the record with the reason is read too."""
    signal.signal(signal.SIGTERM, lambda *_: setattr(fake, "stopped", True))


if __name__ == "__main__":
    sane = Fake(sys.argv[1])
    stop(sane)
    sane.main()
