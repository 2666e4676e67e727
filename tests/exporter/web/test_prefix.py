"""Where paths begin, and what becomes of those that begin elsewhere."""

import pytest

from exporter.web.prefix import OUTSIDE, TOP, Prefix, prefix_of
from exporter.web.server import WebServer
from tests.exporter.web.conftest import Connect
from tests.exporter.web.support import FakeBackend


@pytest.mark.parametrize(
    ("external_url", "route_prefix", "wanted"),
    [
        pytest.param("", None, Prefix(), id="neither"),
        pytest.param("https://x.example/a/", None, Prefix("/a", "https://x.example/a/"), id="url"),
        pytest.param("https://x.example/a", "/", Prefix("", "https://x.example/a"), id="both"),
        pytest.param("", "b/", Prefix("/b"), id="a prefix without its slash"),
    ],
)
def test_the_two_flags_are_read_as_prometheus_does(
    external_url: str, route_prefix: str | None, wanted: Prefix
) -> None:
    assert prefix_of(external_url, route_prefix) == wanted


@pytest.mark.parametrize(
    ("external_url", "route_prefix", "text"),
    [
        pytest.param("x.example", None, "--web.external-url: want an http:// or", id="no URL"),
        pytest.param("", "/a b", "--web.route-prefix: want a path such as /sonde", id="a blank"),
    ],
)
def test_what_is_no_prefix_is_told(external_url: str, route_prefix: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        prefix_of(external_url, route_prefix)


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        ("/a/metrics", "/metrics"),
        ("/a/", "/"),
        ("/a", "/"),
        ("/", TOP),
        ("/metrics", OUTSIDE),
        ("/ab/metrics", OUTSIDE),
    ],
)
def test_paths_are_taken_below_the_prefix(path: str, inner: str) -> None:
    assert Prefix("/a").inner(path) == inner
    assert Prefix().inner(path) == path


async def test_a_server_answers_below_its_prefix(backend: FakeBackend, connect: Connect) -> None:
    server = WebServer(backend, ["127.0.0.1:0"], prefix=Prefix("/a", "https://x.example/a/"))
    await server.start()
    client = await connect(server)

    replies = {
        path: await client.ask("GET", path)
        for path in ("/", "/a/-/healthy", "/a/probe?target=h:1", "/-/healthy", "/probe?target=h:1")
    }
    page = (await client.ask("GET", "/a/")).text
    await client.close()
    await server.stop(0.2)

    assert {path: reply.status for path, reply in replies.items()} == {
        "/": 302, "/a/-/healthy": 200, "/a/probe?target=h:1": 200, "/-/healthy": 404,
        "/probe?target=h:1": 404,
    }  # fmt: skip
    assert replies["/"].headers["location"] == "https://x.example/a/"
    assert 'href="/a/metrics"' in page
    assert 'action="/a/probe"' in page
