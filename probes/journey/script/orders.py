"""What parent and child of a play in Python say to each other.

    parent ── Order ──> child      on its stdin, one line of JSON
    parent <── lines ── child      on a pipe of its own; the code can write there, too

    {"step": {...}}                a step has ended
    {"end": {...}}                 all steps again, the failure, warnings, facts; the last line

Knows no process.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from probes.journey.codec import decode, encode
from probes.journey.model import Part, Played, State, StepResult
from probes.redact import Secret
from probes.result import Failure, Phase, Reason
from probes.wire.address import IpChoice
from probes.wire.policy import Policy
from probes.wire.tls.settings import TlsOptions

# 200 steps with four facts of 4 KiB, each character escaped.
MAX_LINE_BYTES = 16 * 2**20
# Every step twice, and rounds of it.
MAX_REPORT_BYTES = 64 * 2**20
MAX_STEPS = 200
MAX_TEXTS = 1000
MAX_CHARACTERS = 64 * 2**10
# A value that was extracted is shown to people at best.
MAX_NUMBER = 2**53


@dataclass(frozen=True, slots=True)
class Order:
    """One play.

    Args:
        path: of the code, for messages.
        source: the code.
        function: its name.
        journey: its name.
        base_url: of relative URLs; empty: none.
        run_id, iteration: of the run.
        ends_at: monotonic time when the steps must be over; the clock is the machine's.
        timeout_s: of all steps, for messages.
        cleanup_s: for clean-ups.
        vars, row, secrets: what the code may read.
        headers: of every request.
        request_s, redirects, max_body: defaults of a request.
        names: of all steps; empty: any.
        origins: that are asked as freely as that of the base URL.
        tls: keys of `TlsOptions`, secrets and all.
        ip, policy: how servers are dialled.
    """

    path: str
    source: str = field(repr=False)
    function: str
    journey: str
    base_url: str
    run_id: str
    iteration: int
    ends_at: float
    timeout_s: float
    cleanup_s: float
    vars: Mapping[str, Any]
    row: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    headers: tuple[tuple[str, str], ...]
    request_s: float
    redirects: int
    max_body: int
    names: tuple[str, ...]
    origins: tuple[str, ...]
    tls: Mapping[str, Any] = field(repr=False)
    ip: IpChoice
    policy: Policy


def order_line(order: Order) -> bytes:
    """Return the line that orders a play."""
    return _line(encode(order))


def read_order(line: bytes) -> Order:
    """Read the line of the parent.

    Raises:
        ValueError: it is none.
    """
    return decode(Order, json.loads(line))


def tls_keys(tls: TlsOptions) -> dict[str, Any]:
    """Return what makes the same options again."""
    keys = {name: getattr(tls, name) for name in tls.model_fields_set}
    return {
        name: value.get_secret_value() if isinstance(value, Secret) else value
        for name, value in keys.items()
    }


def step_line(step: StepResult) -> bytes:
    """Return the line that tells a step."""
    return _line({"step": _step(step)})


def end_line(played: Played) -> bytes:
    """Return the line that ends a play."""
    values = {key: value for key, value in played.values.items() if _is_plain(value)}
    return _line(
        {
            "end": {
                "steps": [_step(step) for step in played.steps],
                "failure": _failure(played.failure),
                "warnings": [_failure(it) for it in played.warnings],
                "logs": played.logs,
                "values": values,
                "hidden": sorted(played.hidden),
            }
        }
    )


def read_line(line: bytes) -> StepResult | Played:
    """Read a line of a child.

    Raises:
        ValueError: it is none.
    """
    try:
        document = json.loads(line)
        if "step" in document:
            return _read_step(document["step"])
        end = document["end"]
        return Played(
            steps=tuple(map(_read_step, end["steps"][:MAX_STEPS])),
            failure=_read_failure(end["failure"]),
            warnings=tuple(it for one in end["warnings"][:MAX_TEXTS] if (it := _read_failure(one))),
            logs=tuple((_text(name), _text(text)) for name, text in end["logs"][:MAX_TEXTS]),
            values={_text(key): value for key, value in end["values"].items()},
            hidden=frozenset(map(_text, end["hidden"][:MAX_TEXTS])),
        )
    except (LookupError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"want a report of the child, got {type(error).__name__}") from None


def _line(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=True).encode() + b"\n"


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | None)


def _failure(failure: Failure | None) -> Any:
    return None if failure is None else [failure.reason.value, failure.message, failure.phase]


def _read_failure(value: Any) -> Failure | None:
    if value is None:
        return None
    reason, message, phase = value
    return Failure(Reason(reason), _text(message), None if phase is None else _text(phase))


def _step(step: StepResult) -> Any:
    return {
        "step": step.step,
        "part": step.part.value,
        "state": step.state.value,
        "failure": _failure(step.failure),
        "seconds": step.seconds,
        "phases": [[it.name, it.seconds, it.complete] for it in step.phases],
        "numbers": [step.status, *step.requests, step.sent, step.received, step.rounds],
        "warnings": [_failure(it) for it in step.warnings],
        "expectations": [[*key, number] for key, number in step.expectations.items()],
        "facts": dict(step.facts),
    }


def _read_step(value: Any) -> StepResult:
    status, good, bad, sent, received, rounds = map(_number, value["numbers"])
    return StepResult(
        step=_text(value["step"]),
        part=Part(value["part"]),
        state=State(value["state"]),
        failure=_read_failure(value["failure"]),
        seconds=_seconds(value["seconds"]),
        phases=tuple(
            Phase(_text(name), _seconds(seconds), complete is True)
            for name, seconds, complete in value["phases"][:MAX_TEXTS]
        ),
        status=status,
        requests=(good, bad),
        sent=sent,
        received=received,
        warnings=tuple(it for one in value["warnings"][:MAX_TEXTS] if (it := _read_failure(one))),
        expectations={
            (_text(word), _text(how)): _number(number)
            for word, how, number in value["expectations"][:MAX_TEXTS]
        },
        facts={_text(name): _text(text) for name, text in value["facts"].items()},
        rounds=rounds,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("want a text")
    return value[:MAX_CHARACTERS]


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise TypeError("want a whole number")
    return value


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= MAX_NUMBER:
        raise TypeError("want seconds")
    return float(value)
