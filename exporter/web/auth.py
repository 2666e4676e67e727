"""Who may ask: passwords of the web config file, the admin token, and how often anybody may ask.

bcrypt runs in one thread of its own, one at a time, and what it said is remembered. Every
comparison takes the same time whether the name, the length or the last byte is wrong. Knows no
route and no socket.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

import bcrypt

# blackbox.md 5.5: at most 100 remembered; half for right ones, so that guesses cannot push them
# out.
MAX_REMEMBERED = 50
# bcrypt reads no more (Go's library cuts in silence, Python's raises).
MAX_PASSWORD_BYTES = 72
# At 75 ms each the last in the queue waits 1.2 s, well within a scrape timeout.
MAX_QUEUED = 16
# Wrong tokens from one address: a burst for a person who mistypes, then five a second.
TOKEN_FAILURES = 10
TOKEN_FAILURES_EVERY_S = 0.2
MAX_REMEMBERED_ADDRESSES = 1024

Key = tuple[str, str, bytes]


class Passwords:
    """Judges names and passwords against bcrypt hashes.

    Args:
        worker: the one thread that computes.
    """

    def __init__(self, worker: ThreadPoolExecutor) -> None:
        self._worker = worker
        self._right: dict[Key, bool] = {}
        self._wrong: dict[Key, bool] = {}
        self._running: dict[Key, Future[bool]] = {}
        self.computed = 0

    def check(
        self, users: Mapping[str, str], authorization: str | None
    ) -> bool | Future[bool] | None:
        """Return whether an ``Authorization: Basic`` header names one of *users*.

        Returns:
            The verdict where it is known, a future of it, or None when too many wait already.
        """
        given = read_basic(authorization)
        if given is None:
            return False
        user, password = given
        stored = users.get(user)
        key = (user, stored or "", hashlib.sha256(password).digest())
        for known in (self._right, self._wrong):
            verdict = known.pop(key, None)
            if verdict is not None:
                known[key] = verdict
                return verdict
        running = self._running.get(key)
        if running is not None:
            return running
        if len(self._running) >= MAX_QUEUED:
            return None
        future = self._worker.submit(
            self._compute, password, stored or _nobody(users), exists=stored is not None
        )
        self._running[key] = future
        future.add_done_callback(lambda done: self._remember(key, done))
        return future

    def _compute(self, password: bytes, stored: str, *, exists: bool) -> bool:
        self.computed += 1
        same = bcrypt.checkpw(password[:MAX_PASSWORD_BYTES], stored.encode())
        return same and exists

    def _remember(self, key: Key, done: Future[bool]) -> None:
        self._running.pop(key, None)
        if done.cancelled() or done.exception() is not None:
            return
        known = self._right if done.result() else self._wrong
        known[key] = done.result()
        while len(known) > MAX_REMEMBERED:
            known.pop(next(iter(known)), None)


def _nobody(users: Mapping[str, str]) -> str:
    """Return a hash that costs what the users' own cost, for names that do not exist."""
    cost = max((stored[4:6] for stored in users.values()), default="10")
    return f"$2b${cost}$" + "." * 53


def read_basic(authorization: str | None) -> tuple[str, bytes] | None:
    """Return name and password of a Basic header; None when it is not one."""
    scheme, _, rest = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(rest.strip(), validate=True)
    except binascii.Error:
        return None
    user, colon, password = text.partition(b":")
    return (user.decode("utf-8", "replace"), password) if colon else None


def is_bearer(authorization: str | None) -> bool:
    """Return whether the header carries a token."""
    return (authorization or "").partition(" ")[0].lower() == "bearer"


def token_matches(authorization: str | None, token: str) -> bool:
    """Compare a bearer token in constant time; the lengths are hidden by hashing both."""
    given = (authorization or "").partition(" ")[2].strip() if is_bearer(authorization) else ""
    same = hmac.compare_digest(_digest(given), _digest(token))
    return same and bool(token)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


class Bucket:
    """A token bucket: *burst* at once, then one every *interval_s*."""

    def __init__(
        self, interval_s: float, burst: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._interval_s = interval_s
        self._burst = float(burst)
        self._clock = clock
        self._level = float(burst)
        self._at = clock()

    def is_empty(self) -> bool:
        """Return whether nothing is left now."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._at) / self._interval_s)
        self._at = now
        return self._level < 1

    def take(self) -> bool:
        """Take one; False when there is none."""
        if self.is_empty():
            return False
        self._level -= 1
        return True


class Failures:
    """Counts wrong tokens per address, so that guessing is slow and a typing error is not."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def too_many(self, address: str) -> bool:
        """Return whether *address* has to wait before its next try is even compared."""
        bucket = self._buckets.get(address)
        return bucket is not None and bucket.is_empty()

    def add(self, address: str) -> None:
        """Note a wrong token from *address*."""
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = Bucket(TOKEN_FAILURES_EVERY_S, TOKEN_FAILURES, self._clock)
        self._buckets[address] = bucket
        bucket.take()
        while len(self._buckets) > MAX_REMEMBERED_ADDRESSES:
            self._buckets.pop(next(iter(self._buckets)))
