"""What load balancers are told about RPC endpoints."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exporter.web.chains import endpoint_answer, list_answer
from probes.chain.memory import Memory
from probes.chain.model import EndpointHealth
from probes.probe import Probe
from probes.result import Outcome
from tests.exporter.web.conftest import Ask
from tests.exporter.web.support import FakeBackend, make_probe

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UP, DEGRADED, DOWN, UNKNOWN = Outcome.UP, Outcome.DEGRADED, Outcome.DOWN, Outcome.UNKNOWN


def health(
    outcome: Outcome | None = UP, *, age_s: float = 1.0, chain: str = "ethereum", **fields: Any
) -> EndpointHealth:
    fields.setdefault("endpoint", "own")
    return EndpointHealth(
        chain, outcome=outcome, checked_wall=(NOW - timedelta(seconds=age_s)).timestamp(), **fields
    )


def backend_of(*found: EndpointHealth, **probe: Any) -> FakeBackend:
    probe.setdefault("every_s", 10.0)
    return FakeBackend(kept=[(make_probe("ethereum", **probe), Memory(health=found), None)])


def code(backend: FakeBackend, name: str = "ethereum/own") -> int:
    return endpoint_answer(backend, name, NOW).status


@pytest.mark.parametrize(
    ("known", "status"),
    [
        pytest.param(health(UP), 200, id="up"),
        pytest.param(health(DEGRADED, reasons=("lag_warn",)), 200, id="degraded"),
        pytest.param(health(DOWN, reasons=("lag_down",)), 503, id="down"),
        pytest.param(EndpointHealth("ethereum", "own", None), 503, id="before the first run"),
        pytest.param(health(None, is_unknown=True), 503, id="never known"),
        pytest.param(health(UP, is_unknown=True, age_s=30), 200, id="unknown for 3 intervals"),
        pytest.param(health(UP, is_unknown=True, age_s=30.1), 503, id="unknown for longer"),
        pytest.param(health(DOWN, is_unknown=True, age_s=5), 503, id="was down, now unknown"),
        pytest.param(health(UP, age_s=34.9), 200, id="the schedule lags a little"),
        pytest.param(health(UP, age_s=35.1), 503, id="nobody has looked for too long"),
    ],
)
def test_the_status_says_whether_it_must_get_traffic(known: EndpointHealth, status: int) -> None:
    assert code(backend_of(known)) == status


def test_the_body_says_why_and_holds_no_url() -> None:
    known = health(
        DEGRADED, reasons=("lag_warn", "latency_high"), height=19_000_000, head_age_s=12.5
    )

    answer = endpoint_answer(backend_of(known), "ethereum/own", NOW)

    assert answer.content_type == "application/json"
    assert answer.body == (
        b'{"chain": "ethereum", "endpoint": "own", "outcome": "degraded",'
        b' "reasons": ["lag_warn", "latency_high"], "height": 19000000,'
        b' "head_age_seconds": 12.5, "checked_at": "2026-01-02T03:04:04.000+00:00"}\n'
    )


@pytest.mark.parametrize(
    ("known", "outcome", "checked_at"),
    [
        pytest.param(EndpointHealth("e", "own", None), b'"unknown"', b"null", id="never"),
        pytest.param(health(UP, age_s=500), b'"unknown"', b'"2026-01-02T02:55:45', id="too old"),
    ],
)
def test_what_is_not_known_is_called_so(
    known: EndpointHealth, outcome: bytes, checked_at: bytes
) -> None:
    body = endpoint_answer(backend_of(known), "own", NOW).body

    assert b'"outcome": ' + outcome in body
    assert b'"checked_at": ' + checked_at in body


@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param("ethereum/own", 200, id="full"),
        pytest.param("own", 404, id="short, of two chains"),
        pytest.param("public", 200, id="short, of one"),
        pytest.param("x/8a/own", 200, id="a chain with a slash"),
        pytest.param("ethereum", 404, id="a chain is no endpoint"),
        pytest.param("ethereum/", 404, id="no endpoint"),
        pytest.param("ethereum/nobody", 404, id="unknown"),
    ],
)
def test_names(name: str, status: int) -> None:
    backend = backend_of(
        health(), health(endpoint="public"), health(chain="x/8a"), health(chain="polygon")
    )

    assert code(backend, name) == status


def test_an_ambiguous_name_is_told_with_the_full_ones() -> None:
    backend = backend_of(health(), health(chain="polygon"))

    answer = endpoint_answer(backend, "own", NOW)

    assert (answer.status, answer.body) == (
        404, b"want one endpoint, got 2 of that name: ethereum/own, polygon/own\n",
    )  # fmt: skip


def test_chains_of_one_name_are_told_apart_by_nobody() -> None:
    kept: Sequence[tuple[Probe, object, object]] = [
        (make_probe(name), Memory(health=(health(),)), None) for name in ("a", "b")
    ]

    answer = endpoint_answer(FakeBackend(kept=kept), "ethereum/own", NOW)

    assert answer.status == 404
    assert b"got ethereum/own of the probes a, b" in answer.body


def test_a_name_from_outside_is_not_repeated() -> None:
    assert b"<script>" not in endpoint_answer(backend_of(health()), "<script>", NOW).body


def test_other_kinds_remember_other_things() -> None:
    backend = FakeBackend(kept=[(make_probe(), 17, 3), (make_probe("b"), {"health": 1}, None)])

    assert code(backend) == 404


@pytest.mark.parametrize(
    ("now", "before", "status"),
    [
        pytest.param(EndpointHealth("ethereum", "own", None), health(UP), 200, id="not yet run"),
        pytest.param(
            EndpointHealth("ethereum", "own", None), health(UP, age_s=99), 503, id="too long ago"
        ),
        pytest.param(
            EndpointHealth("ethereum", "own", None), health(endpoint="x"), 503, id="of another"
        ),
        pytest.param(health(DOWN), health(UP), 503, id="the newest word counts"),
        pytest.param(health(None, is_unknown=True), health(UP), 503, id="run, and not known"),
    ],
)
def test_a_reload_takes_nobody_out_until_the_next_run(
    now: EndpointHealth, before: EndpointHealth, status: int
) -> None:
    kept = (make_probe(every_s=10.0), Memory(health=(now,)), Memory(health=(before,)))

    assert code(FakeBackend(kept=[kept])) == status


def test_the_list_has_every_endpoint() -> None:
    answer = list_answer(backend_of(health(), health(DOWN, endpoint="public")), NOW)

    assert answer.status == 200
    assert answer.body.count(b'"chain": "ethereum"') == 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_it_is_served(backend: FakeBackend, ask: Ask, method: str) -> None:
    wall = datetime.now(UTC).timestamp()
    known = EndpointHealth("my chain", "own", UP, checked_wall=wall)
    backend.kept = [(make_probe(), Memory(health=(known,)), None)]

    reply = await ask(method, "/healthz/chain/my%20chain/own")

    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-length"] != "0"
    assert (await ask(method, "/healthz/chain")).status == 200
    assert (await ask(method, "/healthz/chain/nobody")).status == 404
    assert backend.requests["healthz", "2xx"] == 2


async def test_it_takes_no_other_method(ask: Ask) -> None:
    assert (await ask("POST", "/healthz/chain/own")).status == 405
