"""Where an answer sends us next, and what may go there: pure rules over `Request` and `Response`.

Across origins only `HARMLESS` headers go out: no configured header, cookie or credential
(reliability.md E14; aiohttp forwards ``X-Api-Key``). Once a hop has left the origin nothing comes
back. Knows no socket and no policy on addresses.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.address import literal_address
from probes.wire.http.message import MAX_REDIRECTS, Request, Response, text
from probes.wire.url import Url

HARMLESS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
# RFC 9110, 15.4: a request that loses its body loses what describes it.
ABOUT_BODY = frozenset({"content-encoding", "content-language", "content-location", "content-type"})
KEEPS_METHOD = frozenset({307, 308})
# Who may see what only the first host was meant to see.
Nearness = Literal["origin", "host"]
# blackbox.md D11: names of headers that hold secrets.
_SECRET_NAME = re.compile("auth|cookie|token|secret|password|key|credential|signature")
# RFC 6265, 6.1 asks for at least these for each host; a journey visits few.
MAX_COOKIES = 50
MAX_COOKIES_OF_ALL = 300
MAX_COOKIE_BYTES = 4096
# RFC 8288 knows no limit; servers refuse longer request lines.
MAX_LOCATION_BYTES = 8190

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,30}):")


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie, for its host alone: nobody can trust Domain without a list of suffixes."""

    name: str
    value: str
    host: str
    path: str
    secure: bool

    def goes_to(self, url: Url) -> bool:
        """Tell whether *url* gets it (RFC 6265, 5.4)."""
        if self.host != url.host or (self.secure and url.scheme != "https"):
            return False
        path = url.path_query.partition("?")[0]
        return path == self.path or path.startswith(self.path.rstrip("/") + "/")


class Cookies:
    """The cookies of one run, or of a user's whole journey."""

    __slots__ = ("_cookies",)

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str, str], Cookie] = {}

    def store(self, url: Url, lines: list[str]) -> None:
        """Keep what ``Set-Cookie`` *lines* of an answer from *url* say."""
        for line in lines:
            pair, *attributes = (part.strip() for part in line.split(";"))
            name, equals, value = pair.partition("=")
            if not equals or not name.strip() or len(pair) > MAX_COOKIE_BYTES:
                continue
            said = {
                key.strip().lower(): word.strip()
                for key, _, word in (a.partition("=") for a in attributes)
            }
            path = said.get("path", "")
            if not path.startswith("/"):
                path = url.path_query.partition("?")[0].rpartition("/")[0] or "/"
            cookie = Cookie(name.strip(), value.strip(), url.host, path, secure="secure" in said)
            key = (cookie.host, cookie.path, cookie.name)
            if _is_over(said):
                self._cookies.pop(key, None)
            elif key in self._cookies or self._has_room(url.host):
                self._cookies[key] = cookie

    def _has_room(self, host: str) -> bool:
        """Tell whether *host* may have one more: no host takes the room of another."""
        if len(self._cookies) < MAX_COOKIES:
            return True
        mine = sum(cookie.host == host for cookie in self._cookies.values())
        return mine < MAX_COOKIES and len(self._cookies) < MAX_COOKIES_OF_ALL

    def __bool__(self) -> bool:
        return bool(self._cookies)

    def __iter__(self) -> Iterator[Cookie]:
        return iter(self._cookies.values())

    def sent_to(self, url: Url) -> list[Cookie]:
        """Return what goes to *url*, the longest path first (RFC 6265, 5.4)."""
        sent = [cookie for cookie in self._cookies.values() if cookie.goes_to(url)]
        sent.sort(key=lambda cookie: -len(cookie.path))
        return sent

    def line(self, url: Url) -> str:
        """Return the value of ``Cookie`` for *url*; empty when none goes there."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.sent_to(url))


def _is_over(said: dict[str, str]) -> bool:
    """Tell whether a cookie is told to go: Max-Age wins over Expires (RFC 6265, 4.1.2.2)."""
    if "max-age" in said:
        return said["max-age"].startswith(("0", "-"))
    expires = http_date(said.get("expires", ""))
    return expires is not None and expires <= datetime.now(UTC)


def http_date(value: str) -> datetime | None:
    """Return a point in time as HTTP writes it (RFC 9110, 5.6.7); None when it is none."""
    try:
        found = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def location_of(response: Response) -> str | None:
    """Return where a redirect points to; None when the answer is no redirect or does not say."""
    value = response.location
    return None if value is None else text(value)


class Trail:
    """The way of one run over its redirects.

    Args:
        request: the first request.
        max_redirects: hops at most.
        cookies: those of a user whose way began before; what comes on this way is kept there.
        nearness: where credentials may go: to the first ``origin`` alone; or, as
            blackbox_exporter does, to the first ``host`` on any port and to its subdomains, but not
            from https to http. Beyond that, headers without a telling name go on there, and here
            none of the user's do.
    """

    __slots__ = (
        "_cookies", "_home", "_hops", "_max", "_nearness", "_request", "_seen", "has_left",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        max_redirects: int = MAX_REDIRECTS,
        cookies: Cookies | None = None,
        *,
        nearness: Nearness = "origin",
    ) -> None:
        self._nearness = nearness
        self._request = request
        self._home = request
        self._max = max_redirects
        self._hops = 0
        self._cookies = Cookies() if cookies is None else cookies
        self._seen = {_without_user(request.url)}
        self.has_left = False
        """Whether a hop has left the first origin; from then on no credential goes out."""

    def next(self, response: Response, location: str) -> Request:
        """Return the request that *response* asks for.

        Raises:
            CheckFailed: ``redirect`` (limit, bad Location), ``blocked`` (a scheme that is not
                HTTP).
        """
        response.redirects += 1
        self._cookies.store(self._request.url, response.values("set-cookie"))
        return self.follow(response.status, location)

    def follow(self, status: int, location: str) -> Request:
        """Return the request that an answer with *status* asks for; its cookies are kept already.

        Raises:
            CheckFailed: as `next`.
        """
        before = self._request
        self._hops += 1
        url = _target(before.url, location)
        if self._hops > self._max:
            loop = ", a loop" if _without_user(url) in self._seen else ""
            raise _refused(f"want at most {self._max} redirects, got {self._hops}{loop}")
        self._seen.add(_without_user(url))
        if self._leaves(before.url, url):
            self.has_left = True
        request = self._method(before, status)
        if request.body and self.has_left and request.body_is_secret:
            raise _refused(f"want a secret body to stay at its origin, got a {status} away from it")
        request = replace(
            request,
            url=url,
            host=request.host if _is_relative(location) and not self.has_left else "",
            headers=self._headers(request, before.url, url),
        )
        self._request = request
        return request

    def _method(self, request: Request, status: int) -> Request:
        if status in KEEPS_METHOD:
            return request
        kept = tuple((n, v) for n, v in request.headers if n.lower() not in ABOUT_BODY)
        method = request.method if request.method == "HEAD" else "GET"
        return replace(request, method=method, body=b"", headers=kept)

    def _leaves(self, before: Url, url: Url) -> bool:
        if self._nearness == "origin":
            return url.origin != before.origin
        home, host = self._home.url.host, url.host
        is_near = host == home or (host.endswith(f".{home}") and literal_address(home, 0) is None)
        return not is_near or (before.is_tls and not url.is_tls)

    def _headers(self, request: Request, before: Url, url: Url) -> tuple[tuple[str, str], ...]:
        if self.has_left and self._nearness == "host":
            headers = [(n, v) for n, v in request.headers if not self._is_private(n)]
            if url.is_tls or not before.is_tls:
                headers += [("Referer", _without_user(before))]
        elif self.has_left:
            allowed = HARMLESS | ABOUT_BODY if request.body else HARMLESS
            headers = [(n, v) for n, v in request.headers if n.lower() in allowed]
        else:
            configured = [v for n, v in self._home.headers if n.lower() == "cookie"]
            headers = [(n, v) for n, v in request.headers if n.lower() not in ("cookie", "referer")]
            headers += [("Referer", _without_user(before))]
            headers += [("Cookie", value) for value in configured]
        if line := self._cookies.line(url):
            headers = with_cookies(headers, line)
        return tuple(headers)

    def _is_private(self, name: str) -> bool:
        lower = name.lower()
        named = lower == "referer" or lower in self._home.private
        return named or _SECRET_NAME.search(lower) is not None


def with_cookies(headers: list[tuple[str, str]], line: str) -> list[tuple[str, str]]:
    """Return *headers* with a *line* of cookies.

    A configured ``Cookie`` joins the jar's: servers expect one line.
    """
    configured = [value for name, value in headers if name == "Cookie"]
    others = [(name, value) for name, value in headers if name != "Cookie"]
    return [*others, ("Cookie", "; ".join([*configured, line]))]


def _without_user(url: Url) -> str:
    return f"{url.origin}{url.path_query}"


def _is_relative(location: str) -> bool:
    return not _SCHEME.match(location) and not location.startswith("//")


def _target(base: Url, location: str) -> Url:
    if len(location) > MAX_LOCATION_BYTES:
        raise _refused(
            f"want a Location of at most {MAX_LOCATION_BYTES} bytes, got {len(location)}"
        )
    scheme = _SCHEME.match(location)
    if scheme and scheme[1].lower() not in ("http", "https"):
        raise CheckFailed(
            Reason.BLOCKED,
            f"want a redirect to http:// or https://, got {short(scheme[1] + ':')}",
            phase="processing",
        )
    try:
        return base.join(location)
    except ValueError as error:
        raise _refused(f"want a usable Location, got {short(location)}") from error


def _refused(message: str) -> CheckFailed:
    return CheckFailed(Reason.REDIRECT, message, phase="processing")
