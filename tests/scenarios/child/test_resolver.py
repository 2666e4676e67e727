"""A thousand users that want one name ask for it once."""

import socket
import threading
from time import monotonic
from typing import Any

import pytest

from probes.errors import CheckFailed
from probes.result import Reason
from scenarios.child import resolver
from scenarios.child.resolver import MAX_NAMES, Resolver


class Names:
    """The system's resolver; hangs until ``ready``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: Any = [(socket.AF_INET, 1, 6, "", ("10.0.0.1", 0))]
        self.ready = threading.Event()
        self.ready.set()
        self.asked = 0
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, *_: Any) -> Any:
        self.asked += 1
        self.ready.wait(5)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def soon() -> float:
    return monotonic() + 5


def test_all_who_ask_at_the_same_time_share_an_answer(names: Names) -> None:
    names.ready.clear()
    made, found = Resolver(), []
    users = [
        threading.Thread(target=lambda: found.append(made.resolve("shop.test", 80, soon()).literal))
        for _ in range(20)
    ]
    for user in users:
        user.start()
    names.ready.set()
    for user in users:
        user.join()

    assert found == ["10.0.0.1:80"] * 20
    assert names.asked == 1


def test_an_answer_is_fresh_for_a_while(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Resolver()
    for _ in range(2):
        made.resolve("shop.test", 80, soon())
    assert names.asked == 1

    monkeypatch.setattr(resolver, "FRESH_S", 0.0)
    names.answer = [(socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0))]
    assert made.resolve("shop.test", 81, soon()).literal == "[::1]:81"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        pytest.param(socket.EAI_NONAME, Reason.DNS_NXDOMAIN, id="no such name"),
        pytest.param(socket.EAI_AGAIN, Reason.DNS_SERVFAIL, id="no answer of use"),
        pytest.param(socket.EAI_NODATA, Reason.DNS_NO_ADDRESS, id="no address"),
    ],
)
def test_a_failure_is_told_and_not_kept(number: int, reason: Reason, names: Names) -> None:
    names.answer = socket.gaierror(number, "words of the system")
    made = Resolver()
    for _ in range(2):
        with pytest.raises(CheckFailed) as caught:
            made.resolve("shop.test", 80, soon())
        assert caught.value.reason is reason
        assert caught.value.phase == "resolve"
        assert caught.value.message == "want an address of 'shop.test', got words of the system"

    assert names.asked == 2


def test_nobody_waits_longer_than_his_own_time(names: Names) -> None:
    names.ready.clear()
    made = Resolver()
    try:
        with pytest.raises(TimeoutError):
            made.resolve("shop.test", 80, monotonic() + 0.02)
    finally:
        names.ready.set()


def test_families(names: Names) -> None:
    made = Resolver()
    names.answer = [
        (socket.AF_INET6, 1, 6, "", ("2001:db8::1", 0, 0, 0)),
        (socket.AF_INET, 1, 6, "", ("10.0.0.1", 0)),
    ]

    assert made.resolve("shop.test", 80, soon()).ip == "2001:db8::1"
    assert made.resolve("shop.test", 80, soon(), ip="prefer_4").ip == "10.0.0.1"
    assert made.resolve("127.0.0.1", 80, soon()).ip == "127.0.0.1"
    with pytest.raises(CheckFailed, match="want an IPv6 address"):
        made.resolve("127.0.0.1", 80, soon(), ip="6")


def test_names_are_not_kept_for_ever(names: Names) -> None:
    made = Resolver()
    for number in range(MAX_NAMES + 2):
        made.resolve(f"shop{number}.test", 80, soon())

    assert len(made._questions) == MAX_NAMES
