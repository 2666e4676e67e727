"""Which requests go through which proxy: the keys, the environment, and Go's rules of no_proxy."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from probes.redact import STARS
from probes.wire.address import Address
from probes.wire.http.proxies.settings import Proxy, ProxyOptions, parse_bypass, parse_proxy
from probes.wire.url import parse_url


def options(environ: Mapping[str, str] | None = None, **keys: Any) -> ProxyOptions:
    return ProxyOptions.model_validate(keys, context={"environ": environ or {}})


def proxy_of(how: ProxyOptions, url: str) -> str | None:
    found = None if how.proxies is None else how.proxies.for_url(parse_url(url))
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy", Proxy("http", "proxy", 80)),
        ("https://proxy", Proxy("https", "proxy", 443)),
        ("https://proxy:80", Proxy("https", "proxy", 80)),
        ("SOCKS5://Proxy", Proxy("socks5", "proxy", 1080)),
        ("socks5h://[::1]", Proxy("socks5h", "::1", 1080)),
        ("socks5h://[::1]:9/", Proxy("socks5h", "::1", 9)),
        ("proxy:3128", Proxy("http", "proxy", 3128)),
        ("http://a%40b:p%3Aw@proxy:1", Proxy("http", "proxy", 1, "a@b", "p:w")),
        ("socks5://a:b@proxy:80", Proxy("socks5", "proxy", 80, "a", "b")),
    ],
)
def test_the_url_of_a_proxy_is_read(text: str, proxy: Proxy) -> None:
    assert parse_proxy(text) == proxy


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param(
            {"url": "ftp://proxy"},
            "want a proxy by http://, https://, socks5:// or socks5h://, got 'ftp://'",
            id="another scheme",
        ),
        pytest.param(
            {"url": "http://proxy/path"},
            "want the URL of a proxy without a path, got one with a path", id="a path",
        ),
        pytest.param(
            {"url": "http://u:secret@"},
            "want the URL of a proxy: want a host in the URL, got 'http://***@'", id="no host",
        ),
        pytest.param(
            {"url": "http://p", "from_env": True}, "want url with no_proxy, or from_env, got both",
            id="two sources",
        ),
        pytest.param({"no_proxy": "a"}, "want url beside no_proxy, got none", id="no_proxy alone"),
        pytest.param(
            {"connect_headers": {"A": "b"}},
            "want url or from_env beside connect_headers, got none of them", id="headers alone",
        ),
        pytest.param(
            {"url": "http://p", "connect_headers": {"A": "b\nc: d"}},
            "want a text of one line, got line breaks or NUL", id="a header of two lines",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_load(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        options(**keys)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_credentials_are_secrets_and_a_harmless_url_is_none() -> None:
    open_one = options(url="http://proxy:3128")
    closed = options(url="http://anna:s3cret@proxy:3128", connect_headers={"X": ["one", "two"]})

    assert open_one.model_dump(mode="json")["url"] == "http://proxy:3128"
    assert closed.model_dump(mode="json")["url"] == STARS
    assert open_one.secrets() == set()
    token = base64.b64encode(b"anna:s3cret").decode()
    assert closed.secrets() == {"s3cret", token, "one", "two"}
    assert closed.proxies is not None
    assert repr(closed.proxies.for_url(parse_url("http://a/"))) == "Proxy(http://proxy:3128)"


ENVIRON = {
    "HTTP_PROXY": "http://upper:1",
    "http_proxy": "http://lower:2",
    "https_proxy": "socks5://lower:3",
    "NO_PROXY": "",
    "no_proxy": "example.org",
}


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        pytest.param(ENVIRON, "http://a.test/", "http://upper:1", id="upper case comes first"),
        pytest.param(ENVIRON, "https://a.test/", "socks5://lower:3", id="lower case counts"),
        pytest.param(ENVIRON, "https://b.example.org/", None, id="an empty one is none"),
        pytest.param(ENVIRON, "http://localhost/", None, id="localhost never"),
        pytest.param(ENVIRON, "http://127.8.0.1/", None, id="loopback never"),
        pytest.param(ENVIRON, "http://[::1]/", None, id="loopback of IPv6 never"),
        pytest.param({}, "http://a.test/", None, id="no environment"),
        pytest.param({"HTTP_PROXY": "p:1"}, "http://a.test/", "http://p:1", id="without a scheme"),
        pytest.param({"HTTP_PROXY": "p:1"}, "https://a.test/", None, id="not for https"),
        pytest.param(
            {"HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"}, "http://a.test/", None, id="under CGI"
        ),
        pytest.param({"ALL_PROXY": "p:1"}, "http://a.test/", None, id="Go knows no ALL_PROXY"),
    ],
)
def test_the_environment_is_read_as_go_does(
    environ: Mapping[str, str], url: str, proxy: str | None
) -> None:
    assert proxy_of(options(environ, from_env=True), url) == proxy


def test_a_broken_proxy_of_the_environment_is_told_at_load() -> None:
    with pytest.raises(ValidationError, match="want a proxy by http://"):
        options({"HTTPS_PROXY": "ftp://p"}, from_env=True)


def test_what_is_written_is_asked_even_for_this_host() -> None:
    assert proxy_of(options(url="http://p:1"), "http://127.0.0.1/") == "http://p:1"
    assert proxy_of(options(url="http://p:1", no_proxy="x"), "http://127.0.0.1/") is None


# host:port, the address it stands for, and whether each goes straight on
RULES: list[tuple[str, list[tuple[str, bool]]]] = [
    ("example.org", [("example.org", True), ("a.example.org", True), ("anexample.org", False)]),
    (".example.org", [("example.org", False), ("a.example.org", True)]),
    ("*.example.org", [("example.org", False), ("a.b.example.org", True)]),
    ("EXAMPLE.org", [("example.org", True), ("example.org.", True)]),
    ("example.org:8080", [("example.org:8080", True), ("example.org", False)]),
    ("10.0.0.0/8", [("10.1.2.3", True), ("11.1.2.3", False), ("10.test", False)]),
    ("10.1.2.3/8", [("10.9.9.9", True)]),
    ("2001:db8::/32", [("[2001:db8::1]", True), ("[2001:db9::1]", False)]),
    ("192.0.2.1", [("192.0.2.1", True), ("192.0.2.1:81", True), ("192.0.2.2", False)]),
    ("192.0.2.1:81", [("192.0.2.1:81", True), ("192.0.2.1:80", False)]),
    ("[2001:db8::1]:81", [("[2001:db8::1]:81", True), ("[2001:db8::1]:80", False)]),
    ("2001:db8::1", [("[2001:db8::1]:81", True)]),
    ("::ffff:192.0.2.1", [("192.0.2.1", True)]),
    (" a.test , b.test ", [("a.test", True), ("b.test", True), ("c.test", False)]),
    ("a.test,*", [("c.test", True)]),
    ("*x", [("ax", False)]),
    (",:80,/,.", [("a.test", False)]),
    ("bücher.test", [("xn--bcher-kva.test", True)]),
]


@pytest.mark.parametrize(
    ("rules", "host", "straight"), [(rule, *row) for rule, rows in RULES for row in rows]
)
def test_no_proxy_follows_the_rules_of_go(rules: str, host: str, straight: bool) -> None:
    url = parse_url(f"http://{host}/")
    assert parse_bypass(rules).covers(url.host, url.port) is straight


def test_a_network_also_covers_a_name_that_was_resolved_into_it() -> None:
    """blackbox_exporter asks its proxy rules about the address, for it has replaced the name."""
    how = options(url="http://p", no_proxy="10.0.0.0/8").proxies
    assert how is not None
    url = parse_url("http://a.test/")
    assert how.for_url(url, Address("a.test", 80, "10.0.0.1", 4)) is None
    assert how.for_url(url, Address("a.test", 80, "11.0.0.1", 4)) is not None


@pytest.mark.parametrize(
    ("keys", "resolves"),
    [
        ({"url": "http://p"}, True),
        ({"url": "http://p", "resolve": False}, False),
        ({"url": "socks5://p"}, True),
        ({"url": "socks5h://p"}, False),
        ({"url": "socks5h://p", "resolve": True}, True),
        ({"url": "http://p", "resolve": False, "no_proxy": "a.test"}, True),
    ],
)
def test_who_resolves_follows_from_the_proxy_unless_it_is_said(
    keys: dict[str, Any], resolves: bool
) -> None:
    proxies = options(**keys).proxies
    assert proxies is not None
    assert proxies.resolves(parse_url("http://a.test/")) is resolves


@given(st.text(max_size=60))
def test_any_text_is_a_no_proxy(text: str) -> None:
    parse_bypass(text).covers("a.test", 80, "192.0.2.1")


@given(st.text(max_size=60))
def test_any_text_is_a_proxy_or_a_mistake(text: str) -> None:
    try:
        found = parse_proxy(text)
    except ValueError:
        return
    assert 0 < found.port < 65536
