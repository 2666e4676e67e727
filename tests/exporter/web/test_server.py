"""The web server as its clients see it."""

from exporter.web.server import WebServer
from tests.exporter.web.conftest import Ask, Connect


async def test_the_landing_page_has_links_and_no_script(ask: Ask) -> None:
    reply = await ask("GET", "/")

    assert reply.status == 200
    assert "#e6522c" in reply.text
    assert 'href="/metrics"' in reply.text
    assert "<script" not in reply.text


async def test_metrics_are_streamed(ask: Ask) -> None:
    reply = await ask("GET", "/metrics")
    assert (reply.status, reply.body) == (200, b"up 1\ndown 0\n")


async def test_keep_alive(server: WebServer, connect: Connect) -> None:
    client = await connect(server)
    for _ in range(3):
        assert (await client.ask("GET", "/-/healthy")).body == b"Healthy"
        assert (await client.ask("HEAD", "/metrics")).status == 200
