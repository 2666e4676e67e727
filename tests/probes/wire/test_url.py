"""Hosts and URLs: one parser, one verdict for every spelling (T19, T23)."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.wire.url import (
    Url,
    canonical_host,
    literal_host,
    parse_port,
    parse_url,
    split_host_port,
    tls_name,
)

HOSTS = [
    pytest.param("Example.ORG", "example.org", id="upper case"),
    pytest.param("example.org.", "example.org.", id="trailing dot keeps search domains out"),
    pytest.param("münchen.de", "xn--mnchen-3ya.de", id="IDNA"),
    pytest.param("xn--mnchen-3ya.de", "xn--mnchen-3ya.de", id="A-label"),
    pytest.param("my_service", "my_service", id="underscore of a container network"),
    pytest.param("127.0.0.1", "127.0.0.1", id="IPv4"),
    pytest.param("①②⑦.⓪.⓪.①", "127.0.0.1", id="circled digits"),
    pytest.param("127。0。0。1", "127.0.0.1", id="ideographic dots"),
    pytest.param("𝟏𝟐𝟕.𝟎.𝟎.𝟏", "127.0.0.1", id="mathematical digits"),  # noqa: RUF001
    pytest.param("١٢٧.example", "xn--9hbcp.example", id="digits of another script"),
    pytest.param("faß.de", "xn--fa-hia.de", id="a name of its own since IDNA 2008"),
    pytest.param("１２７.0.0.1", "127.0.0.1", id="full-width digits"),  # noqa: RUF001
    pytest.param("::1", "::1", id="IPv6"),
    pytest.param("2001:DB8:0:0::1", "2001:db8::1", id="IPv6 in full"),
    pytest.param("fe80::1%eth0", "fe80::1%eth0", id="zone"),
    pytest.param("localhost.", "localhost.", id="localhost with a dot"),
]

NO_HOSTS = [
    pytest.param("", id="empty"),
    pytest.param("127.1", id="short form"),
    pytest.param("2130706433", id="decimal"),
    pytest.param("0x7f000001", id="hex"),
    pytest.param("0x7f.1", id="hex in parts"),
    pytest.param("0177.0.0.1", id="octal"),
    pytest.param("127.0.0.1.", id="address with a dot"),
    pytest.param("0", id="zero"),
    pytest.param("%31%32%37.0.0.1", id="percent"),
    pytest.param("127.0.0.1%eth0", id="zone of IPv4"),
    pytest.param("fe80::1%", id="empty zone"),
    pytest.param("fe80::1%../../x", id="odd zone"),
    pytest.param("a..b", id="empty label"),
    pytest.param(".a", id="leading dot"),
    pytest.param("a" * 64, id="long label"),
    pytest.param(".".join(["a" * 60] * 5), id="long name"),
    pytest.param("a b", id="space"),
    pytest.param("a/b", id="slash"),
    pytest.param("a\0b", id="NUL"),
    pytest.param("[::1]", id="brackets"),
    pytest.param("ex*mple.org", id="glob"),
    pytest.param("١٢٧.0.0.1", id="one number of another script"),
    pytest.param("a\uff20evil.test", id="another @"),
    pytest.param("evil.test\uff0fa", id="another slash"),
    pytest.param("evil.test\uff1a80", id="another colon"),
    pytest.param("evil\uff052etest", id="another percent"),
    pytest.param("\u2100.test", id="one sign that is a slash between two"),
    pytest.param("\uff11\uff12\uff17\uff0e\uff11", id="short form, full width"),
]


@pytest.mark.parametrize(("text", "host"), HOSTS)
def test_a_host_is_told_in_its_canonical_form(text: str, host: str) -> None:
    assert canonical_host(text) == host


@pytest.mark.parametrize("text", NO_HOSTS)
def test_what_is_no_plain_host_is_refused(text: str) -> None:
    """T19: a spelling that only an old resolver would read as an address is no host at all."""
    with pytest.raises(ValueError, match="want "):
        canonical_host(text)


def test_the_message_about_an_odd_address_names_the_plain_form() -> None:
    with pytest.raises(ValueError, match=r"want an address in its plain form such as 127\.0\.0\.1"):
        canonical_host("127.1")


@given(st.text(max_size=40))
def test_any_text_is_a_host_or_a_value_error(text: str) -> None:
    try:
        host = canonical_host(text)
    except ValueError:
        return
    assert host.isascii()
    assert canonical_host(host) == host


@pytest.mark.parametrize(
    ("host", "name"),
    [
        pytest.param("example.org.", "example.org", id="dot"),
        pytest.param("fe80::1%eth0", "fe80::1", id="zone"),
        pytest.param("10.0.0.1", "10.0.0.1", id="address"),
    ],
)
def test_tls_asks_for_a_name_that_a_certificate_can_have(host: str, name: str) -> None:
    assert tls_name(host) == name


def test_only_an_ipv6_address_needs_brackets() -> None:
    assert (literal_host("::1"), literal_host("127.0.0.1")) == ("[::1]", "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "default", "parts"),
    [
        pytest.param("example.org:25", None, ("example.org", 25), id="host and port"),
        pytest.param("[::1]:80", None, ("::1", 80), id="IPv6"),
        pytest.param("[::1]", 443, ("::1", 443), id="IPv6 with default"),
        pytest.param("::1", 443, ("::1", 443), id="bare IPv6 with default"),
        pytest.param("example.org", 5432, ("example.org", 5432), id="default"),
        pytest.param("example.org:1", 5432, ("example.org", 1), id="port wins over default"),
        pytest.param("[fe80::1%eth0]:80", None, ("fe80::1%eth0", 80), id="zone"),
    ],
)
def test_host_and_port_are_split(text: str, default: int | None, parts: tuple[str, int]) -> None:
    assert split_host_port(text, default) == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("example.org", "want host:port, got 'example.org' without a port", id="port"),
        pytest.param(":80", "want host:port, got ':80'", id="host"),
        pytest.param("a:0", "want a port from 1 to 65535, got '0'", id="port 0"),
        pytest.param("a:65536", "want a port from 1 to 65535, got '65536'", id="port high"),
        pytest.param("a:٣", "want a port from 1 to 65535, got '٣'", id="foreign digits"),
        pytest.param("a:+80", "want a port from 1 to 65535, got '+80'", id="sign"),
        pytest.param("a:", "want a port from 1 to 65535, got ''", id="no port"),
        pytest.param(
            "::1", "want an IPv6 address in brackets as in [::1]:80, got '::1'", id="no brackets"
        ),
        pytest.param("[::1", "want host:port or [v6]:port, got '[::1'", id="open bracket"),
        pytest.param("[::1]80", "want host:port or [v6]:port, got '[::1]80'", id="no colon"),
        pytest.param("[a]:80", "want host:port or [v6]:port, got '[a]:80'", id="name in brackets"),
        pytest.param("", "want host:port, got ''", id="empty"),
        pytest.param("https://a", "want host:port without a scheme, got 'https://a'", id="URL"),
        pytest.param("tcp://a:1", "want host:port without a scheme, got 'tcp://a:1'", id="scheme"),
    ],
)
def test_a_wrong_host_and_port_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="want") as caught:
        split_host_port(text)

    assert str(caught.value).startswith(message)


@given(st.text(max_size=40), st.one_of(st.none(), st.integers(1, 65535)))
def test_any_text_splits_or_is_a_value_error(text: str, default: int | None) -> None:
    try:
        host, port = split_host_port(text, default)
    except ValueError:
        return
    assert 1 <= port <= 65535
    assert split_host_port(f"{literal_host(host)}:{port}") == (host, port)


@given(st.text(max_size=8))
def test_any_text_is_a_port_or_a_value_error(text: str) -> None:
    try:
        port = parse_port(text)
    except ValueError:
        return
    assert 1 <= port <= 65535


@pytest.mark.parametrize(
    ("text", "url"),
    [
        pytest.param("http://h", Url("http", "h", 80, "/"), id="shortest"),
        pytest.param("HTTPS://H/", Url("https", "h", 443, "/"), id="upper case"),
        pytest.param("http://h:8080/a?b=c#d", Url("http", "h", 8080, "/a?b=c"), id="all parts"),
        pytest.param("http://h?x=1", Url("http", "h", 80, "/?x=1"), id="query alone"),
        pytest.param("http://h:/", Url("http", "h", 80, "/"), id="empty port"),
        pytest.param("http://[::1]:81/", Url("http", "::1", 81, "/"), id="IPv6"),
        pytest.param("http://[fe80::1%25eth0]/", Url("http", "fe80::1%eth0", 80, "/"), id="zone"),
        pytest.param("http://①②⑦.⓪.⓪.①/", Url("http", "127.0.0.1", 80, "/"), id="circled"),
        pytest.param("http://h/a%2fb?c=d+e%20", Url("http", "h", 80, "/a%2fb?c=d+e%20"), id="raw"),
        pytest.param("http://h/a/../b", Url("http", "h", 80, "/a/../b"), id="dots stay"),
        pytest.param("http://h/ä?q=ö", Url("http", "h", 80, "/%C3%A4?q=%C3%B6"), id="UTF-8"),
        pytest.param("http://h/a b", Url("http", "h", 80, "/a%20b"), id="space in the path"),
        pytest.param("http://h/?a b+c", Url("http", "h", 80, "/?a%20b+c"), id="space in the query"),
        pytest.param("http://h/100%", Url("http", "h", 80, "/100%25"), id="stray percent"),
        pytest.param(
            "http://h/a/../ü", Url("http", "h", 80, "/a/../%C3%BC"), id="dots stay beside UTF-8"
        ),
        pytest.param("http://u:p%40@h/", Url("http", "h", 80, "/", "u", "p@"), id="credentials"),
        pytest.param("http://u@h/", Url("http", "h", 80, "/", "u", ""), id="user alone"),
    ],
)
def test_a_url_is_read_into_what_is_dialled(text: str, url: Url) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("127.0.0.1", "want an http:// or https:// URL, got '127.0.0.1'", id="scheme"),
        pytest.param("ftp://h/", "want an http:// or https:// URL, got 'ftp://h/'", id="ftp"),
        pytest.param("file:///etc/passwd", "want an http:// or https:// URL, got", id="file"),
        pytest.param("http:///x", "want a host in the URL, got 'http:///x'", id="no host"),
        pytest.param(
            "http://u:p@/x", "want a host in the URL, got 'http://***@/x'", id="no host 2"
        ),
        pytest.param(
            "http://u:p@ok@evil/", "want one user, one host and no backslash,", id="two @"
        ),
        pytest.param("http://ok\\@evil/", "want one user, one host and no backslash,", id="bslash"),
        pytest.param(
            "http://ok\\evil/", "want one user, one host and no backslash,", id="bslash 2"
        ),
        pytest.param("http://h\t/", "want a URL without control characters, got", id="tab"),
        pytest.param("http://h/\r\nX: y", "want a URL without control characters, got", id="CRLF"),
        pytest.param("http://h/\0", "want a URL without control characters, got", id="NUL"),
        pytest.param("http://h/\ud800", "want a URL without control characters,", id="surrogate"),
        pytest.param("http://h/" + "a" * 9000, "want a URL of at most 8192 characters", id="long"),
        pytest.param("http://127.1/", "want an address in its plain form such as", id="short IP"),
        pytest.param("http://h:99999/", "want a port from 1 to 65535, got '99999'", id="port"),
        pytest.param("http://a b/", "want a host name or an address, got 'a b'", id="space"),
        pytest.param(
            "http://2001:db8::1:80/", "want an IPv6 address in brackets as in", id="bare IPv6"
        ),
        pytest.param("http://[::1]evil.test/", "want host:port or [v6]:port", id="v6 and a name"),
        pytest.param("http://h\xad/", "want a host name or an address", id="soft hyphen"),
        pytest.param("http://h\u200b/", "want a host name or an address", id="no width"),
        pytest.param("http://[u@h/", "want user:password in front of the host, got", id="user"),
        pytest.param(" http://h/", "want an http:// or https:// URL, got ' http://h/'", id="blank"),
    ],
)
def test_a_wrong_url_is_told(text: str, message: str) -> None:
    """T23"""
    with pytest.raises(ValueError, match="want") as caught:
        parse_url(text)

    assert str(caught.value).startswith(message)


def test_a_message_about_a_url_shows_no_password() -> None:
    with pytest.raises(ValueError, match="want") as caught:
        parse_url("gopher://user:hunter2@host/")

    assert "hunter2" not in str(caught.value)


@given(st.one_of(st.text(max_size=60), st.text(max_size=60).map(lambda t: f"http://{t}")))
def test_any_text_is_a_url_or_a_value_error(text: str) -> None:
    try:
        url = parse_url(text)
    except ValueError:
        return
    assert (url.host, url.port) == split_host_port(f"{literal_host(url.host)}:{url.port}")
    assert url.path_query.startswith("/")
    assert url.path_query.isascii()
    assert not set(url.path_query) & set(" \r\n\t\0")


def test_origin_and_authority_name_the_port_only_where_it_is_not_the_default() -> None:
    default, other = parse_url("https://h:443/a"), parse_url("https://u:p@[::1]:444/a?b")

    assert (default.origin, default.authority, default.is_tls) == ("https://h", "h", True)
    assert (other.origin, other.authority) == ("https://[::1]:444", "[::1]:444")
    assert str(other) == "https://[::1]:444/a?b"


def test_a_url_shows_neither_user_nor_password() -> None:
    url = parse_url("http://user:hunter2@h/")

    assert "hunter2" not in f"{url} {url!r}"


@pytest.mark.parametrize(
    ("location", "text"),
    [
        pytest.param("/x?y", "http://h:81/x?y", id="path"),
        pytest.param("x", "http://h:81/a/x", id="relative"),
        pytest.param("../x", "http://h:81/x", id="up"),
        pytest.param("?q=1", "http://h:81/a/b?q=1", id="query"),
        pytest.param("", "http://h:81/a/b?c", id="nothing"),
        pytest.param("#f", "http://h:81/a/b?c", id="fragment"),
        pytest.param("//other/x", "http://other/x", id="other host"),
        pytest.param("https://other:1/x", "https://other:1/x", id="absolute"),
        pytest.param("/ä", "http://h:81/%C3%A4", id="UTF-8"),
        pytest.param("?", "http://h:81/a/b?", id="empty query"),
        pytest.param("w/http://x//y", "http://h:81/a/w/http://x//y", id="empty segments"),
        pytest.param("/w/../http://x", "http://h:81/http://x", id="URL in a path"),
        pytest.param("/.//evil/", "http://h:81//evil/", id="two slashes are no authority"),
        pytest.param("/./\\evil/", "http://h:81/%5Cevil/", id="backslash in a path"),
        pytest.param("%2f%2fevil/", "http://h:81/a/%2f%2fevil/", id="encoded slashes"),
        pytest.param("?//evil/", "http://h:81/a/b?//evil/", id="slashes in a query"),
        pytest.param("//h:81@evil/", "http://evil/", id="host as user"),
        pytest.param("//evil@h:81/", "http://h:81/", id="user as host"),
        pytest.param("http://h:81#@evil/", "http://h:81/", id="host in a fragment"),
        pytest.param("http://h:81?@evil/", "http://h:81/?@evil/", id="host in a query"),
        pytest.param("//ⓔⓥⓘⓛ。test/", "http://evil.test/", id="another alphabet"),
    ],
)
def test_a_location_is_joined_to_its_url(location: str, text: str) -> None:
    assert str(parse_url("http://h:81/a/b?c").join(location)) == text


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"), ("#s", "/b/c/d;p?q"), ("g#s", "/b/c/g"), (";x", "/b/c/;x"),
        ("g;x?y#s", "/b/c/g;x?y"), ("", "/b/c/d;p?q"), (".", "/b/c/"), ("./", "/b/c/"),
        ("..", "/b/"), ("../", "/b/"), ("../g", "/b/g"), ("../..", "/"), ("../../", "/"),
        ("../../g", "/g"), ("../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"), ("g.", "/b/c/g."),
        ("..g", "/b/c/..g"), ("./../g", "/b/g"), ("./g/.", "/b/c/g/"), ("g/./h", "/b/c/g/h"),
        ("g/../h", "/b/c/h"), ("g;x=1/../y", "/b/c/y"), ("g?y/../x", "/b/c/g?y/../x"),
    ],
)  # fmt: skip
def test_references_are_resolved_as_the_rfc_does(reference: str, path: str) -> None:
    """RFC 3986, 5.4"""
    assert parse_url("http://a/b/c/d;p?q").join(reference).path_query == path


def test_credentials_stay_with_their_own_host() -> None:
    url = parse_url("http://u:p@h/")

    assert (url.join("/x").user, url.join("/x").password) == ("u", "p")
    assert (url.join("//other/").user, url.join("http://h/").password) == ("", "")


def test_a_relative_location_keeps_dot_and_zone_of_the_host() -> None:
    assert parse_url("http://h.:1/").join("/x").host == "h."
    assert parse_url("http://[fe80::1%25lo]/").join("/x").host == "fe80::1%lo"


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("gopher://h/", id="gopher"),
        pytest.param("unix:/run/x.sock", id="unix"),
        pytest.param("javascript:alert(1)", id="javascript"),
        pytest.param("\\\\evil/x", id="backslashes"),
        pytest.param("/\\evil/x", id="slash and backslash"),
        pytest.param("/x\r\nSet-Cookie: y", id="CRLF"),
        pytest.param("http://127.1/", id="short address"),
    ],
)
def test_a_location_that_leads_elsewhere_is_refused(location: str) -> None:
    """T20"""
    with pytest.raises(ValueError, match="want "):
        parse_url("http://h/").join(location)


@given(st.text(max_size=40))
def test_any_location_joins_or_is_a_value_error(location: str) -> None:
    try:
        url = parse_url("https://h/a?b").join(location)
    except ValueError:
        return
    assert url.scheme in {"http", "https"}


def test_another_path_stays_at_the_origin() -> None:
    base = parse_url("https://user:word@host:8443/a?b=c")
    for text in ("//evil.example/", "@evil.example/", "https://evil.example", "?q=1#top", ""):
        there = base.at(text)
        assert there.origin == base.origin
        assert (there.user, there.password) == ("user", "word")
    assert base.at("?q=a b#top").path_query == "/?q=a%20b"


@pytest.mark.parametrize("text", ["/a\r\nHost: b", "/\x00", "/\ud800", "/" * 9000])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="want a URL"):
        parse_url("http://host/").at(text)


def test_long_urls_of_others_are_not_kept() -> None:
    tracemalloc.start()
    for number in range(100):
        assert parse_url(f"http://host/{number}{'x' * 8000}").path_query.endswith("x")
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert held < 200_000
    assert parse_url("http://host/a") is parse_url("http://host/a")
