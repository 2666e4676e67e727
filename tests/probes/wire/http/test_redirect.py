"""Where a redirect leads, and what may go there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.http.http1 import is_bodiless
from probes.wire.http.message import Request, Response
from probes.wire.http.redirect import (
    MAX_COOKIES,
    MAX_COOKIES_OF_ALL,
    Cookies,
    Trail,
    http_date,
    location_of,
)
from probes.wire.url import parse_url

HOME = parse_url("https://home.example/a/b?token=1")
SECRETS = (
    ("X-Api-Key", "canary"), ("Authorization", "Bearer canary"), ("Cookie", "canary=1"),
    ("Accept", "text/html"), ("User-Agent", "sonde"), ("Content-Type", "text/plain"),
)  # fmt: skip


def answer(request: Request, status: int = 302, *cookies: str) -> Response:
    response = Response(request.url)
    response.headers = [(b"set-cookie", cookie.encode()) for cookie in cookies]
    response.take_head(status, "1.1")
    return response


def follow(request: Request, location: str, status: int = 302) -> Request:
    return Trail(request).next(answer(request, status), location)


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("https://other.example/", id="host"),
        pytest.param("http://home.example/", id="scheme"),
        pytest.param("https://home.example:444/", id="port"),
        pytest.param("//other.example/", id="no-scheme"),
        pytest.param("https://sub.home.example/", id="subdomain"),
    ],
)
def test_another_origin_gets_harmless_headers_alone(location: str) -> None:
    request = follow(Request(HOME, headers=SECRETS), location)
    assert [name for name, _ in request.headers] == ["Accept", "User-Agent"]


def test_the_own_origin_gets_all_headers_and_a_referer() -> None:
    request = follow(Request(HOME, headers=SECRETS, host="virtual"), "../c")
    headers = dict(request.headers)
    assert headers["X-Api-Key"] == "canary"
    assert headers["Cookie"] == "canary=1"
    assert headers["Referer"] == "https://home.example/a/b?token=1"
    assert (str(request.url), request.host) == ("https://home.example/c", "virtual")


def test_nothing_comes_back_with_the_way_home() -> None:
    request = Request(HOME, headers=SECRETS)
    trail = Trail(request)
    away = trail.next(answer(request), "https://other.example/")
    back = trail.next(answer(away), "https://home.example/")
    assert trail.has_left
    assert [name for name, _ in back.headers] == ["Accept", "User-Agent"]


@pytest.mark.parametrize(
    ("method", "status", "wanted", "keeps_body"),
    [
        ("POST", 301, "GET", False),
        ("POST", 302, "GET", False),
        ("PUT", 303, "GET", False),
        ("HEAD", 303, "HEAD", False),
        ("POST", 307, "POST", True),
        ("PUT", 308, "PUT", True),
    ],
)
def test_the_status_says_what_becomes_of_method_and_body(
    method: str, status: int, wanted: str, keeps_body: bool
) -> None:
    request = follow(Request(HOME, method, SECRETS, b"body"), "/c", status)
    assert (request.method, bool(request.body)) == (wanted, keeps_body)
    assert ("Content-Type" in dict(request.headers)) is keeps_body


def test_a_secret_body_stays_at_its_origin() -> None:
    request = Request(HOME, "POST", body=b"password=canary", body_is_secret=True)
    assert follow(request, "/c", 307).body
    with pytest.raises(CheckFailed, match="want a secret body to stay at its origin, got a 307"):
        follow(request, "https://other.example/", 307)


@pytest.mark.parametrize(
    ("location", "reason", "message"),
    [
        (
            "file:///etc/passwd",
            Reason.BLOCKED,
            "want a redirect to http:// or https://, got 'file:'",
        ),
        ("javascript:alert(1)", Reason.BLOCKED, "want a redirect to http:// or https://"),
        ("http://[::", Reason.REDIRECT, "want a usable Location, got 'http://[::'"),
        ("http://a@b@c/", Reason.REDIRECT, "want a usable Location"),
        ("/x\r\nX-Injected: 1", Reason.REDIRECT, "want a usable Location"),
        ("/" + "x" * 9000, Reason.REDIRECT, "want a Location of at most 8190 bytes, got 9001"),
    ],
)
def test_an_unusable_location_is_told(location: str, reason: Reason, message: str) -> None:
    """T43: no Location, a long one, another scheme."""
    with pytest.raises(CheckFailed) as caught:
        follow(Request(HOME), location)
    assert caught.value.reason is reason
    assert caught.value.message.startswith(message)
    assert caught.value.phase == "processing"


@pytest.mark.parametrize("value", [None, b""], ids=["none", "empty"])
def test_a_redirect_that_says_nothing_is_the_answer(value: bytes | None) -> None:
    """As with Go, and so with blackbox_exporter."""
    response = answer(Request(HOME))
    response.headers = [] if value is None else [(b"location", value)]
    response.take_head(302, "1.1")

    assert location_of(response) is None
    assert not is_bodiless(response)


def test_one_redirect_too_many_is_refused_and_counted() -> None:
    """T43: ten hops."""
    request = Request(HOME)
    trail, response = Trail(request, 2), answer(request)
    trail.next(response, "/1")
    trail.next(response, "/2")
    with pytest.raises(CheckFailed, match="want at most 2 redirects, got 3, a loop"):
        trail.next(response, "/1")
    assert response.redirects == 3


@given(st.text(max_size=200))
def test_any_location_is_a_request_or_a_failure(location: str) -> None:
    verdict: object
    try:
        verdict = follow(Request(HOME), location).url.scheme
    except CheckFailed as failure:
        verdict = failure.reason
    assert verdict in ("http", "https", Reason.REDIRECT, Reason.BLOCKED)


class TestCookies:
    """The jar of one run."""

    @pytest.mark.parametrize(
        ("line", "url", "sent"),
        [
            ("a=1", "https://home.example/a/x", "a=1"),
            ("a=1", "https://home.example/b", ""),
            ("a=1; Path=/", "https://home.example/b", "a=1"),
            ("a=1; Path=/", "https://home.example:8443/b", "a=1"),
            ("a=1; Path=/; Domain=example", "https://other.example/", ""),
            ("a=1; Path=/; Secure", "http://home.example/", ""),
            ("a=1; Path=/; Secure; HttpOnly", "https://home.example/", "a=1"),
            ("a=b=c; Path=/x", "https://home.example/x", "a=b=c"),
            ("a=1; Path=/x", "https://home.example/xy", ""),
            ("no cookie", "https://home.example/a/", ""),
            ("=1", "https://home.example/a/", ""),
            ("a=" + "x" * 5000, "https://home.example/a/", ""),
        ],
    )
    def test_go_where_they_belong(self, line: str, url: str, sent: str) -> None:
        cookies = Cookies()
        cookies.store(HOME, [line])
        assert cookies.line(parse_url(url)) == sent

    @pytest.mark.parametrize(
        "line",
        ["a=; Max-Age=0", "a=; Max-Age=-1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
    )
    def test_are_taken_back(self, line: str) -> None:
        cookies = Cookies()
        cookies.store(HOME, ["a=1", line])
        assert cookies.line(HOME) == ""

    def test_are_replaced_and_not_doubled(self) -> None:
        cookies = Cookies()
        cookies.store(HOME, ["a=1", "a=2; Max-Age=60", "b=3; Expires=nonsense"])
        assert cookies.line(HOME) == "a=2; b=3"

    def test_are_few(self) -> None:
        cookies = Cookies()
        cookies.store(HOME, [f"c{number}=1" for number in range(500)])
        assert cookies.line(HOME).count("=") == 50

    @given(st.lists(st.text(max_size=60), max_size=5))
    def test_any_line_is_taken_or_left(self, lines: list[str]) -> None:
        cookies = Cookies()
        cookies.store(HOME, lines)
        assert isinstance(cookies.line(HOME), str)

    def test_join_a_configured_cookie_header(self) -> None:
        request = Request(HOME, headers=(("cookie", "own=1"),))
        trail = Trail(request)
        first = trail.next(answer(request, 302, "a=1; Path=/"), "/x")
        second = trail.next(answer(first, 302, "b=2; Path=/"), "/y")
        assert dict(second.headers)["Cookie"] == "own=1; a=1; b=2"


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 784111777),
        ("soon", None),
        ("", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_dates_are_read_as_http_writes_them(text: str, timestamp: int | None) -> None:
    found = http_date(text)
    assert (found and found.timestamp()) == timestamp


def test_a_jar_that_was_given_outlives_the_way() -> None:
    jar = Cookies()
    jar.store(HOME, ["old=1; Path=/"])
    request = Request(HOME, headers=(("Cookie", "own=0"),))
    there = Trail(request, cookies=jar).next(answer(request, 302, "new=2; Path=/"), "/c")
    assert dict(there.headers)["Cookie"] == "own=0; old=1; new=2"
    assert {cookie.name: cookie.value for cookie in jar.sent_to(HOME)} == {"old": "1", "new": "2"}
    assert jar
    assert not Cookies()


def test_hops_are_counted_without_an_answer_at_hand() -> None:
    trail = Trail(Request(HOME), 1)
    assert trail.follow(303, "/c").url.path_query == "/c"
    with pytest.raises(CheckFailed, match="want at most 1 redirects, got 2, a loop") as caught:
        trail.follow(303, "/c")
    assert caught.value.reason is Reason.REDIRECT


def test_no_host_takes_the_room_for_cookies_of_another() -> None:
    jar = Cookies()
    for number in range(20):
        many = [f"c{count}=1; Path=/" for count in range(MAX_COOKIES + 5)]
        jar.store(parse_url(f"http://host{number}.example/"), many)

    sizes = [len(jar.sent_to(parse_url(f"http://host{number}.example/"))) for number in range(20)]
    assert sizes[0] == sizes[1] == MAX_COOKIES
    assert sum(sizes) == len(list(jar)) == MAX_COOKIES_OF_ALL
