"""Which connection makes room, and when one has had its time."""

import resource
from collections import Counter

import pytest

from exporter.web import limits
from exporter.web.limits import Connection, Connections, Stage, connection_limit, owner_of


class House:
    def __init__(self, limit: int) -> None:
        self.rejected: Counter[str] = Counter()
        self.kicked: list[str] = []
        self.all = Connections(limit, self.reject)

    def reject(self, reason: str) -> None:
        self.rejected[reason] += 1

    def come(self, name: str, address: str = "10.0.0.1", at: float = 0.0) -> Connection | None:
        connection = Connection(address, lambda: self.kicked.append(name), at)
        return connection if self.all.admit(connection) else None


def test_the_oldest_of_the_same_address_makes_room() -> None:
    house = House(limit=6)
    house.come("other", "10.0.0.2")
    for name in ("a", "b", "c", "d"):
        assert house.come(name)

    assert house.kicked == ["a"]
    assert house.all.count == 4
    assert house.rejected == {"limit": 1}


def test_at_the_total_cap_the_oldest_of_all_makes_room() -> None:
    house = House(limit=4)
    for number in range(5):
        assert house.come(str(number), f"10.0.0.{number}")

    assert house.kicked == ["0"]


def test_a_busy_connection_never_makes_room_and_an_idle_one_counts_from_its_last_answer() -> None:
    house = House(limit=6)
    first, second, third = (house.come(name) for name in ("a", "b", "c"))
    assert first is not None
    assert second is not None
    assert third is not None
    house.all.enter(first, Stage.BUSY, 1)
    house.all.enter(second, Stage.BUSY, 1)
    house.all.enter(second, Stage.IDLE, 2)

    house.come("d")
    house.come("e")

    assert house.kicked == ["c", "b"]


def test_when_all_are_busy_the_newcomer_is_turned_away() -> None:
    house = House(limit=4)
    for name in ("a", "b"):
        connection = house.come(name)
        assert connection is not None
        house.all.enter(connection, Stage.BUSY, 0)

    assert house.come("c") is None
    assert house.kicked == []
    assert house.rejected == {"limit": 1}


def test_a_request_that_is_here_already_is_not_pushed_out() -> None:
    house = House(limit=4)
    ready = Connection("10.0.0.1", lambda: house.kicked.append("ready"), 0, Stage.READY)
    assert house.all.admit(ready)

    for name in ("a", "b", "c"):
        assert house.come(name)

    assert house.kicked == ["a", "b"]


@pytest.mark.parametrize(
    ("stage", "allowed_s", "reason"),
    [
        pytest.param(Stage.ARRIVING, limits.HEADER_TIMEOUT_S, "header_timeout", id="head"),
        pytest.param(Stage.IDLE, limits.KEEP_ALIVE_S, None, id="idle"),
        pytest.param(Stage.BUSY, limits.REQUEST_S, "limit", id="busy"),
        pytest.param(Stage.LINGERING, limits.LINGER_S, None, id="refused"),
    ],
)
def test_t28_each_stage_has_its_time(stage: Stage, allowed_s: float, reason: str | None) -> None:
    house = House(limit=4)
    connection = house.come("a")
    assert connection is not None
    house.all.enter(connection, stage, 100)

    assert house.all.sweep(100 + allowed_s) == 0
    assert house.all.sweep(100.1 + allowed_s) == 1
    assert house.kicked == ["a"]
    assert house.all.count == 0
    assert list(house.rejected) == ([reason] if reason else [])


def test_a_reader_that_stands_still_is_cut() -> None:
    house = House(limit=4)
    connection = house.come("a")
    assert connection is not None
    house.all.enter(connection, Stage.BUSY, 0)
    connection.stalled_since = 5.0

    assert house.all.sweep(5 + limits.WRITE_STALL_S) == 0
    assert house.all.sweep(5.1 + limits.WRITE_STALL_S) == 1


def test_what_has_gone_is_forgotten_once() -> None:
    house = House(limit=4)
    connection = house.come("a")
    assert connection is not None

    house.all.drop(connection)
    house.all.drop(connection)
    house.all.enter(connection, Stage.IDLE, 1)

    assert house.all.count == 0
    assert house.all.all() == house.all.waiting() == []


@pytest.mark.parametrize(
    ("host", "owner"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::1", "20010db800010002/64"),
        ("2001:db8:1:2:4::1", "20010db800010002/64"),
        ("fe80::1%eth0", "fe80000000000000/64"),
    ],
)
def test_an_ipv6_customer_is_one_address(host: str, owner: str) -> None:
    assert owner_of(host) == owner


@pytest.mark.parametrize(
    ("nofile", "limit"),
    [(256, 56), (100_000, 1000), (resource.RLIM_INFINITY, 1000), (33, 2)],
)
def test_the_cap_follows_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, nofile: int, limit: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (nofile, nofile))

    assert connection_limit() == limit
