"""What master and worker say to each other, inside of Locust's messages: load.md 8.2.

    worker -> master    join, hello, progress, log, final, result (before its final), refuse
    master -> worker    plan, start, tick, stop, bye

    {"run": <run id>, "n": 1, 2, 3 ... of its sender, "b": <UTF-8 JSON as bytes>}

Bytes, so that no text of ours passes through msgpack's strings. The port is open to whoever reaches
it: what comes is a message, or a `ValueError`. Pure. Knows no socket.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from probes.units import short
from scenarios.codec import MAX_BYTES, MAX_NUMBER

PREFIX = "sonde."
JOIN, REFUSE, RESULT = "sonde.join", "sonde.refuse", "sonde.result"
PLAN, TICK, BYE, START, STOP = "sonde.plan", "sonde.tick", "sonde.bye", "sonde.start", "sonde.stop"
RECORDS = ("sonde.hello", "sonde.progress", "sonde.log", "sonde.final")
OF_WORKER = (JOIN, REFUSE, RESULT, *RECORDS)
OF_MASTER = (PLAN, TICK, BYE, START, STOP)
# load.md 8.3: the master says something each second; a worker that hears nothing is alone.
TICK_S = 1.0
ALONE_S = 3.0
# As `scenarios.fleet.launch.AHEAD_S`: the time between the order to start and the first arrival.
AHEAD_S = 0.3
# A plan has no journeys: some stages, limits and names.
MAX_PLAN = 1024 * 1024
# `scenarios.fleet.merge` reads no longer result.
MAX_RESULT = 128 * 1024 * 1024
# Names of machines and versions of packages are shorter.
MAX_WORD = 256
_KEYS = {"run", "n", "b"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Args:
        run: whose it is; empty: its sender knows of none yet.
        number: 1, 2, 3 ... of its sender.
        body: what it says.
    """

    run: str
    number: int
    body: bytes

    def packed(self) -> Mapping[str, Any]:
        """Return it as Locust sends it."""
        return {"run": self.run, "n": self.number, "b": self.body}


def unpack(data: object) -> Message:
    """Return what `packed` has made.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(data, Mapping) or set(data) != _KEYS:
        raise ValueError(f"want a message with run, n and b, got {short(data)}")
    run, number, body = data["run"], data["n"], data["b"]
    if not isinstance(run, str) or not isinstance(number, int) or not isinstance(body, bytes):
        text = f"want a text, a number and bytes in a message, got {short(data)}"
        raise ValueError(text)  # noqa: TRY004 - of whoever sends it, not of a caller
    if not 0 < number <= MAX_NUMBER or len(body) > MAX_PLAN:
        raise ValueError(f"want at most {MAX_PLAN} bytes in a message, got {len(body)}")
    return Message(run, number, body)


@dataclass(frozen=True, slots=True)
class Join:
    """A worker that wants to play.

    Args:
        host: name of its machine.
        versions: of sonde, locust and python.
    """

    host: str
    versions: Mapping[str, str]

    def to_bytes(self) -> bytes:
        """Return it as a body."""
        return json.dumps({"host": self.host, "versions": dict(self.versions)}).encode("ascii")

    @classmethod
    def from_bytes(cls, body: bytes) -> "Join":
        """Return what `to_bytes` has made.

        Raises:
            ValueError: it is none.
        """
        values = _object(body, {"host": str, "versions": dict})
        words = [values["host"], *values["versions"], *values["versions"].values()]
        if not all(isinstance(it, str) and len(it) <= MAX_WORD for it in words):
            raise ValueError(f"want the name and versions of a worker, got {short(body)}")
        return cls(
            _clean(values["host"]), {_clean(k): _clean(v) for k, v in values["versions"].items()}
        )


def plan_body(shard: int, text: str) -> bytes:
    """Return the body of ``plan``: which shard a worker is, and of what."""
    return json.dumps({"shard": shard, "plan": text}).encode("ascii")


def read_plan(body: bytes) -> tuple[int, str]:
    """Return shard and plan of a body.

    Raises:
        ValueError: it has none.
    """
    values = _object(body, {"shard": int, "plan": str})
    if not 0 <= values["shard"] <= MAX_NUMBER:
        raise ValueError(f"want the number of a shard, got {short(values['shard'])}")
    return values["shard"], values["plan"]


def text_body(text: str) -> bytes:
    """Return the body of ``bye`` and ``refuse``: why."""
    return text.encode("utf-8", "backslashreplace")[:MAX_BYTES]


def read_text(body: bytes) -> str:
    """Return a reason, for people: on one line, bounded."""
    return _clean(body.decode("utf-8", "replace"))[:1024]


def _clean(text: str) -> str:
    told = text.encode("utf-8", "backslashreplace").decode()
    return "".join(it if it.isprintable() else " " for it in told)


def _object(body: bytes, kinds: Mapping[str, type[Any]]) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(f"want JSON in a message, got {short(body)}") from None
    if not isinstance(values, dict) or {key: type(it) for key, it in values.items()} != kinds:
        raise ValueError(f"want {', '.join(kinds)} in a message, got {short(body)}")
    return values
