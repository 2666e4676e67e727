"""Passwords, tokens and buckets."""

import base64
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter

import bcrypt
import pytest

from exporter.web import auth
from exporter.web.auth import Bucket, Failures, Passwords, read_basic, token_matches

USERS = {"alice": bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(ThreadPoolExecutor(1))


def verdict(passwords: Passwords, authorization: str | None) -> bool:
    found = passwords.check(USERS, authorization)
    assert found is not None
    return found.result(5) if isinstance(found, Future) else found


@pytest.mark.parametrize(
    ("authorization", "right"),
    [
        pytest.param(basic("alice", "open sesame"), True, id="right"),
        pytest.param(basic("alice", "open"), False, id="wrong password"),
        pytest.param(basic("bob", "open sesame"), False, id="unknown user"),
        pytest.param(basic("alice", "x" * 100), False, id="longer than bcrypt reads"),
        pytest.param(None, False, id="no header"),
        pytest.param("Basic ???", False, id="no base64"),
        pytest.param("Basic " + base64.b64encode(b"alice").decode(), False, id="no colon"),
        pytest.param("Bearer abc", False, id="another scheme"),
    ],
)
def test_only_the_right_password_enters(
    passwords: Passwords, authorization: str | None, *, right: bool
) -> None:
    assert verdict(passwords, authorization) is right


def test_a_scrape_every_five_seconds_costs_one_bcrypt_for_ever(passwords: Passwords) -> None:
    for _ in range(5):
        assert verdict(passwords, basic("alice", "open sesame"))

    assert passwords.computed == 1


def test_guesses_do_not_push_the_right_password_out(passwords: Passwords) -> None:
    assert verdict(passwords, basic("alice", "open sesame"))
    for number in range(3 * auth.MAX_REMEMBERED):
        assert not verdict(passwords, basic("alice", f"guess {number}"))
    before = passwords.computed

    assert verdict(passwords, basic("alice", "open sesame"))
    assert passwords.computed == before


def test_the_parts_of_the_key_are_separate(passwords: Passwords) -> None:
    """A cache keyed by one joined text could be bypassed by moving the border."""
    assert verdict(passwords, basic("alice", "open sesame"))

    assert not verdict(passwords, basic("ali", "ceopen sesame"))
    assert not verdict(passwords, basic("", "aliceopen sesame"))


def test_equal_questions_wait_for_one_answer_and_too_many_are_turned_away() -> None:
    worker = ThreadPoolExecutor(1)
    gate: Future[None] = Future()
    worker.submit(gate.result)
    passwords = Passwords(worker)

    first = passwords.check(USERS, basic("alice", "0"))
    assert passwords.check(USERS, basic("alice", "0")) is first
    for number in range(1, auth.MAX_QUEUED):
        assert passwords.check(USERS, basic("alice", str(number))) is not None
    assert passwords.check(USERS, basic("alice", "one more")) is None

    gate.set_result(None)
    worker.shutdown()


def test_an_unknown_user_costs_what_a_known_one_does(passwords: Passwords) -> None:
    users = {"alice": bcrypt.hashpw(b"x", bcrypt.gensalt(9)).decode()}

    def cost(name: str) -> float:
        started = perf_counter()
        found = passwords.check(users, basic(name, "wrong"))
        assert isinstance(found, Future)
        assert found.result(5) is False
        return perf_counter() - started

    known, unknown = cost("alice"), cost("nobody")

    assert 0.2 < unknown / known < 5


def test_a_cancelled_answer_is_not_remembered() -> None:
    worker = ThreadPoolExecutor(1)
    gate: Future[None] = Future()
    worker.submit(gate.result)
    passwords = Passwords(worker)
    found = passwords.check(USERS, basic("alice", "open sesame"))
    assert isinstance(found, Future)
    assert found.cancel()
    gate.set_result(None)

    assert verdict(passwords, basic("alice", "open sesame"))


def test_basic_is_read_with_colons_in_the_password() -> None:
    assert read_basic(basic("a", "b:c")) == ("a", b"b:c")
    assert read_basic(basic("", "")) == ("", b"")


@pytest.mark.parametrize(
    ("authorization", "matches"),
    [
        ("Bearer s3cret-token", True),
        ("bearer  s3cret-token ", True),
        ("Bearer s3cret-tokeN", False),
        ("Bearer s3cret-token-and-more", False),
        ("Bearer ", False),
        ("Bearer \udcff", False),
        ("Basic s3cret-token", False),
        (None, False),
    ],
)
def test_t31_a_token_is_compared_whole(authorization: str | None, *, matches: bool) -> None:
    assert token_matches(authorization, "s3cret-token") is matches


def test_t31_an_empty_token_opens_nothing() -> None:
    assert not token_matches("Bearer ", "")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_again_and_never_over() -> None:
    clock = Clock()
    bucket = Bucket(2.0, 3, clock)

    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now = 2.0
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now = 1000.0
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_p16_wrong_tokens_slow_one_address_down_and_no_other() -> None:
    clock = Clock()
    failures = Failures(clock)
    for _ in range(auth.TOKEN_FAILURES):
        assert not failures.too_many("a")
        failures.add("a")

    assert failures.too_many("a")
    assert not failures.too_many("b")
    clock.now = auth.TOKEN_FAILURES_EVERY_S
    assert not failures.too_many("a")


def test_addresses_are_forgotten_when_there_are_too_many() -> None:
    failures = Failures()
    for number in range(auth.MAX_REMEMBERED_ADDRESSES + 10):
        failures.add(str(number))

    assert len(failures._buckets) == auth.MAX_REMEMBERED_ADDRESSES
