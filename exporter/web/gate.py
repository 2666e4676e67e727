"""What stands before every route: usable web config, rate limit, the name asked for, password.

The same gate serves the event loop and the door's thread. Knows no route but the ones that have
rules of their own.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from exporter.web.answers import Answer
from exporter.web.auth import Bucket, Passwords, is_bearer
from exporter.web.backend import Backend
from exporter.web.watched import WatchedConfig
from probes.units import short

HEALTHY, READY, RELOAD = "/-/healthy", "/-/ready", "/-/reload"
CHAINS = "/healthz/chain"
# With `web.open_health` these need no password.
OPEN_PATHS = frozenset({HEALTHY, READY})
# These have a token of their own in the same header: a bearer token is judged there, in place of
# the password.
TOKEN_PATHS = frozenset({RELOAD})

# Scrapers call this server by one name or two.
CACHED_NAMES = 256

_UNAUTHORIZED = Answer.text(401, "Unauthorized\n", ("WWW-Authenticate", "Basic"))
_TOO_MANY = Answer.text(
    429, "want fewer requests, got more than rate_limit allows\n", ("Retry-After", "1")
)
_QUEUE_FULL = Answer.text(
    503, "want fewer wrong passwords at a time, got a full queue\n", ("Retry-After", "1")
)


@dataclass(frozen=True, slots=True)
class Caller:
    """What the gate wants to know of a request."""

    path: str
    host: str | None
    authorization: str | None
    on_loopback: bool


class Gate:
    """Decides who comes in.

    Args:
        backend: hosts, ``open_health`` and the counter of refusals.
        watched: the web config file.
        passwords: judges them.
    """

    def __init__(self, backend: Backend, watched: WatchedConfig, passwords: Passwords) -> None:
        self._backend = backend
        self._watched = watched
        self._passwords = passwords
        rate = watched.state.config.rate
        self._bucket = None if rate is None else Bucket(rate.interval_s, rate.burst)

    @property
    def extra_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of the web config file."""
        return self._watched.state.config.headers

    def judge(self, caller: Caller) -> Answer | Future[bool] | None:
        """Return why *caller* stays outside, None to let it in, or a future for `settle`."""
        state = self._watched.state
        if state.problem:
            return Answer.text(500, "want a usable web config file, got mistakes: see the log\n")
        if self._bucket is not None and not self._bucket.take():
            return self._reject("rate", _TOO_MANY)
        if caller.on_loopback and not self._is_our_name(caller.host):
            want = "want a loopback name or one of web.hosts in the Host header"
            return self._reject("host", Answer.text(421, f"{want}, got {short(caller.host)}\n"))
        if not state.config.users or self._needs_no_password(caller):
            return None
        return self._password(state.config.users, caller)

    def settle(self, *, right: bool) -> Answer | None:
        """Return the answer for the verdict of a future that `judge` returned."""
        return None if right else self._reject("auth", _UNAUTHORIZED)

    def _password(self, users: Mapping[str, str], caller: Caller) -> Answer | Future[bool] | None:
        verdict = self._passwords.check(users, caller.authorization)
        if verdict is None:
            return self._reject("auth", _QUEUE_FULL)
        return verdict if isinstance(verdict, Future) else self.settle(right=verdict)

    def _needs_no_password(self, caller: Caller) -> bool:
        if caller.path in OPEN_PATHS and self._backend.open_health:
            return True
        return caller.path in TOKEN_PATHS and is_bearer(caller.authorization)

    def _is_our_name(self, host: str | None) -> bool:
        # HTTP/1.0 without Host: no browser sends it, so no name can have been rebound
        return host is None or is_loopback_name(host) or _name_of(host) in self._hosts()

    def _hosts(self) -> frozenset[str]:
        return frozenset(_name_of(host) for host in self._backend.hosts)

    def _reject(self, reason: str, answer: Answer) -> Answer:
        self._backend.count_rejected(reason)
        return answer


def is_health_check(path: str) -> bool:
    """Return whether *path* is answered also while the event loop hangs, by the door's thread.

    What is known of an endpoint stays true for a while; to say nothing takes it out of service.
    """
    return path == HEALTHY or path.startswith(f"{CHAINS}/")


@lru_cache(CACHED_NAMES)
def is_loopback_name(host: str) -> bool:
    """Return whether a Host header names this machine's loopback."""
    name = _name_of(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _name_of(host: str) -> str:
    """Return the name in a Host header, without port, brackets and final dot, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    name, _, port = host.rpartition(":")
    found = name if name and (port.isdigit() or not port) and ":" not in name else host
    return found.lower().rstrip(".")
