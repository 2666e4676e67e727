from collections.abc import Callable
from typing import Any

import pytest

from probes.journey.model import Answer, Effect, Pause, Request, Response
from probes.result import Failure, Reason
from scenarios.child.counting import Counts
from scenarios.child.player import CutOff, Player, Stand, Ticket
from tests.probes.journey.written import made

SHOP = {
    "secrets": {"password": {"env": "PW"}},
    "setup": [
        {
            "name": "login",
            "post": "/login",
            "form": {"password": "${secrets.password}"},
            "extract": {"token": "$.token"},
        }
    ],
    "steps": [{"name": "buy", "get": "/buy/${seq()}", "headers": {"X-Token": "${token}"}}],
    "cleanup": [{"name": "tidy", "delete": "/cart"}],
}


class Handed:
    """A driver that does what a function says."""

    def __init__(self, handler: Callable[[Request], Response]) -> None:
        self.handler = handler
        self.effects: list[Effect] = []
        self.is_closed = False

    @property
    def requests(self) -> list[Request]:
        return [effect for effect in self.effects if isinstance(effect, Request)]

    def answer(self, effect: Effect) -> Answer:
        self.effects.append(effect)
        return self.handler(effect) if isinstance(effect, Request) else None

    def close(self) -> None:
        self.is_closed = True


def good(request: Request) -> Response:
    headers = (("set-cookie", f"sid={request.step}"),) if request.step == "login" else ()
    return Response(200, headers, b'{"token": "t0ken"}', 0.01, sent=3, received=5)


def player(
    journey: Any = SHOP, handler: Callable[[Request], Response] = good, **stand: Any
) -> tuple[Player, Handed, Counts]:
    counts = Counts()
    driver = Handed(handler)
    made_stand = Stand(made(journey), "r1", 5, "http://shop.test", {}, counts, **stand)
    return Player(made_stand, driver, 3), driver, counts


def test_what_the_set_up_brought_stays_with_the_user() -> None:
    it, driver, counts = player()

    assert it.prepare()
    it.play(Ticket(7))
    it.play(Ticket(9))

    assert [request.step for request in driver.requests] == ["login", *["buy", "tidy"] * 2]
    buys = [request for request in driver.requests if request.step == "buy"]
    assert [request.url.path_query for request in buys] == ["/buy/7", "/buy/9"]
    assert all(("X-Token", "t0ken") in request.headers for request in buys)
    assert all(("Cookie", "sid=login") in request.headers for request in buys)
    assert counts.book.total("setup.done", journey="it") == 1
    assert counts.iterations == 2


def test_cookies_can_be_those_of_the_set_up_again_each_time() -> None:
    def baking(request: Request) -> Response:
        return Response(200, (("set-cookie", f"{request.step}=1"),), b'{"token": 1}')

    it, driver, _ = player({**SHOP, "cookies": "reset"}, baking)
    it.prepare()
    it.play(Ticket(0))
    it.play(Ticket(1))

    sent = [dict(request.headers)["Cookie"] for request in driver.requests if request.step == "buy"]
    assert sent == ["login=1", "login=1"]


def test_a_set_up_that_fails_is_counted_by_its_step() -> None:
    it, _, counts = player({**SHOP, "cleanup": []}, handler=lambda _: Response(500, seconds=0.01))

    assert not it.prepare()
    assert counts.book.total("setup.failed", journey="it", step="login") == 1
    # requests of a set-up reach no threshold
    assert counts.book.timed("request.duration", measured=True).count == 0
    assert counts.book.total("request.failed", reason="status", measured=False) == 1


REFUSED = Response(failure=Failure(Reason.REFUSED, "want a connection, got a refusal", "connect"))
OWN = Response(failure=Failure(Reason.RESOURCE, "want a descriptor, got EMFILE", "connect"))


@pytest.mark.parametrize(
    ("answer", "outcome", "failed", "is_idle"),
    [
        pytest.param(Response(200), "up", 0, False, id="good"),
        pytest.param(Response(500), "down", 1, False, id="status"),
        pytest.param(REFUSED, "down", 1, True, id="refused"),
        pytest.param(OWN, "unknown", 0, True, id="own fault"),
    ],
)
def test_an_iteration_ends_as_its_steps_do(
    answer: Response, outcome: str, failed: int, is_idle: bool
) -> None:
    it, _, counts = player({"steps": [{"name": "a", "get": "/"}]}, lambda _: answer)

    it.play(Ticket(0, is_measured=False))

    assert counts.book.timed("iteration.duration", outcome=outcome, measured=False).count == 1
    assert counts.book.total("iteration.failed") == failed
    assert counts.book.timed("request.duration", outcome=outcome).count == 1
    assert it.is_idle is is_idle


def test_a_warning_degrades_request_and_iteration() -> None:
    step = {"name": "a", "get": "/", "warn": {"status": 201}}
    it, _, counts = player({"steps": [step]})

    it.play(Ticket(0))

    assert counts.book.timed("request.duration", outcome="degraded").count == 1
    assert counts.book.timed("iteration.duration", outcome="degraded").count == 1


def test_latency_counts_from_the_intended_start() -> None:
    it, _, counts = player({"steps": [{"name": "a", "get": "/"}]})

    it.play(Ticket(0, due_at=0.0))

    assert counts.book.timed("iteration.latency").least > 10**6
    assert counts.book.timed("start.delay").least > 10**6
    assert counts.book.timed("iteration.duration").greatest < 10**6


def cut_at(*steps: str) -> Callable[[Request], Response]:
    def handler(request: Request) -> Response:
        if request.step in steps:
            raise CutOff
        return good(request)

    return handler


def test_who_is_cut_off_tidies_up() -> None:
    it, driver, counts = player(handler=cut_at("buy"))
    it.prepare()

    it.play(Ticket(0, due_at=0.0))

    assert [request.step for request in driver.requests] == ["login", "buy", "tidy"]
    assert counts.book.total("iteration.interrupted") == 1
    assert counts.book.timed("iteration.latency", outcome="interrupted").count == 1
    # no answer was due yet: it is no request that failed
    assert counts.book.total("request.failed") == 0
    assert counts.iterations == 0


def test_who_is_cut_off_twice_is_gone() -> None:
    it, _, counts = player(handler=cut_at("buy", "tidy"))
    it.prepare()

    it.play(Ticket(0))

    assert counts.book.total("iteration.interrupted") == 1


HALF = {
    "setup": [
        {"name": "account", "post": "/accounts", "extract": {"account": "$.token"}},
        {"name": "fill", "post": "/accounts/${account}", "extract": {"cart": "$.cart"}},
    ],
    "steps": [{"name": "buy", "get": "/"}],
    "cleanup": [
        {"name": "empty", "delete": "/carts/${cart}"},
        {"name": "close", "delete": "/accounts/${account}"},
    ],
}


def broken_at(step: str) -> Callable[[Request], Response]:
    return lambda request: Response(500) if request.step == step else good(request)


@pytest.mark.parametrize(
    ("handler", "failed"),
    [
        pytest.param(broken_at("fill"), 1, id="failed"),
        pytest.param(cut_at("fill"), 0, id="cut off"),
    ],
)
def test_what_half_a_set_up_has_made_is_tidied_up(
    handler: Callable[[Request], Response], failed: int
) -> None:
    it, driver, counts = player(HALF, handler)

    assert not it.prepare()

    # no cart was made: there is none to empty
    assert [request.step for request in driver.requests] == ["account", "fill", "close"]
    assert driver.requests[-1].url.path_query == "/accounts/t0ken"
    assert counts.book.total("setup.failed") == failed
    assert counts.book.total("setup.done") == 0


def test_a_set_up_that_is_cut_off_in_its_clean_up_too_is_left() -> None:
    it, driver, _ = player(HALF, cut_at("fill", "close"))

    with pytest.raises(CutOff):
        it.prepare()

    assert [request.step for request in driver.requests] == ["account", "fill", "close"]


def test_who_is_killed_by_others_is_counted_too() -> None:
    class Killed(BaseException):
        """As gevent's GreenletExit and Timeout."""

    def killed(request: Request) -> Response:
        raise Killed

    it, _, counts = player({"steps": [{"name": "a", "get": "/"}]}, killed)

    with pytest.raises(Killed):
        it.play(Ticket(0, due_at=0.0))

    assert counts.book.total("iteration.started") == 1
    assert counts.book.total("iteration.interrupted") == 1


def test_think_and_skip_are_those_of_a_load() -> None:
    steps = [
        {"name": "probe-only", "get": "/a", "load": "skip"},
        {"think": "1s..2s"},
        {"name": "load-only", "get": "/b", "load": "only"},
    ]
    it, driver, _ = player({"steps": steps})

    it.play(Ticket(0))

    pause, request = driver.effects
    assert isinstance(pause, Pause)
    assert 1 <= pause.seconds <= 2
    assert isinstance(request, Request)
    assert request.step == "load-only"


def test_chance_is_that_of_the_number_not_of_the_user() -> None:
    journey = {"steps": [{"name": "a", "get": "/${uuid()}"}]}
    paths = []
    for number in (1, 2):
        it, driver, _ = player(journey)
        it._number = number
        it.play(Ticket(4))
        paths.append(driver.requests[0].url.path_query)

    assert paths[0] == paths[1]


def test_no_secret_is_in_an_error() -> None:
    journey = {
        **SHOP,
        "steps": [{"name": "buy", "get": "/", "expect": {"body": {"contains": "${token}"}}}],
    }

    def echo(request: Request) -> Response:
        token = b'{"token": "sup3rs3cret-t0ken"}' if request.step == "login" else b"s3cretpw"
        return Response(200, (), token)

    it, _, counts = player(journey, echo)
    it.prepare()
    it.play(Ticket(0))
    (told,) = counts.everything()[1]

    assert told.step == "buy"
    assert "s3cretpw" not in told.text
    assert "sup3rs3cret" not in told.text


def test_a_step_that_cannot_ask_is_told_too() -> None:
    steps = [
        {"name": "a", "get": "/", "extract": {"x": {"json": "$.none", "optional": True}}},
        {"name": "b", "get": "/${x}"},
    ]
    it, _, counts = player({"steps": steps})
    it.play(Ticket(0))
    (told,) = counts.everything()[1]

    assert (told.step, told.reason, told.count) == ("b", "extract", 1)
    assert counts.book.total("iteration.failed") == 0
    assert counts.total.total("iteration.failed") == 1


def test_a_listener_hears_of_each_request() -> None:
    heard: list[Any] = []
    it, _, _ = player(heard=lambda *it: heard.append(it))
    it.prepare()

    assert heard == [("POST", "login", 0.01, 5, None)]
