"""Who may ask, by the web config file."""

import base64
from pathlib import Path

import pytest

from exporter.web.server import WebServer
from probes.errors import ConfigError
from tests.exporter.web.conftest import Connect, Serve
from tests.exporter.web.support import FakeBackend

# "open sesame", cost 4
HASH = "$2b$04$UA0W8mz5.jXLjPWhG7BiYuLImoyZ6ETCsJdfMhsqvg7yfJBPawKOq"


def write(directory: Path, text: str) -> Path:
    file = directory / "web.yml"
    file.write_text(text)
    return file


async def test_basic_auth_guards_every_endpoint(
    serve: Serve, connect: Connect, backend: FakeBackend, tmp_path: Path
) -> None:
    backend.admin_token = "correct-horse"
    server = await serve(write(tmp_path, f"basic_auth_users: {{alice: {HASH}}}"))
    right = {"authorization": "Basic " + base64.b64encode(b"alice:open sesame").decode()}
    client = await connect(server)

    for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/health", "/nowhere"):
        stranger = await client.ask("GET", path)
        assert (stranger.status, stranger.headers["www-authenticate"]) == (401, "Basic")
        assert (await client.ask("GET", path, **right)).status in {200, 404}

    backend.open_health = True
    assert (await client.ask("GET", "/-/healthy")).status == 200
    assert (await client.ask("GET", "/metrics")).status == 401
    token = await client.ask("POST", "/-/reload", authorization="Bearer correct-horse")
    assert token.status == 200
    assert (await client.ask("POST", "/-/reload", authorization="Bearer x")).status == 401


async def test_the_web_config_is_read_again_for_every_connection(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    file = write(tmp_path, "http_server_config: {headers: {X-Frame-Options: sameorigin}}")
    server = await serve(file)
    first = await (await connect(server)).ask("GET", "/")
    file.write_text("nonsense: 1")
    broken = await (await connect(server)).ask("GET", "/metrics")
    file.write_text("")
    mended = await (await connect(server)).ask("GET", "/metrics")

    assert first.headers["x-frame-options"] == "sameorigin"
    assert (broken.status, mended.status) == (500, 200)
    assert "nonsense" not in broken.text


async def test_an_empty_bucket_is_429_before_the_password_is_judged(
    serve: Serve, connect: Connect, backend: FakeBackend, tmp_path: Path
) -> None:
    text = f"rate_limit: {{interval: 1h, burst: 2}}\nbasic_auth_users: {{alice: {HASH}}}"
    server = await serve(write(tmp_path, text))
    client = await connect(server)

    replies = [await client.ask("GET", "/metrics") for _ in range(3)]

    assert [reply.status for reply in replies] == [401, 401, 429]
    assert backend.rejected == {"auth": 2, "rate": 1}


async def test_a_bad_web_config_stops_the_start(backend: FakeBackend, tmp_path: Path) -> None:
    server = WebServer(backend, ["127.0.0.1:0"], write(tmp_path, "nonsense: 1"))

    with pytest.raises(ConfigError, match="nonsense: want one of"):
        await server.start()
    await server.stop()
