"""A running web server on a free port, and connections to it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from exporter.web.server import WebServer
from tests.exporter.web.support import Client, FakeBackend, Reply

Connect = Callable[..., Awaitable[Client]]
Ask = Callable[..., Awaitable[Reply]]
Serve = Callable[..., Awaitable[WebServer]]


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
async def serve(backend: FakeBackend) -> AsyncIterator[Serve]:
    """Start a server for ``backend``."""
    servers: list[WebServer] = []

    async def serve(web_config: Path | None = None, listen: str = "127.0.0.1:0") -> WebServer:
        server = WebServer(backend, [listen], web_config)
        await server.start()
        servers.append(server)
        return server

    yield serve
    for server in servers:
        await server.stop(0.2)


@pytest.fixture
async def server(serve: Serve) -> WebServer:
    return await serve()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open a connection to a server."""
    clients: list[Client] = []

    async def connect(server: WebServer, context: ssl.SSLContext | None = None) -> Client:
        host, port = server.addresses[0]
        name = "localhost" if context is not None else None
        client = Client(
            *await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
        )
        clients.append(client)
        return client

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
async def ask(server: WebServer, connect: Connect) -> Ask:
    """Ask the server once, over a connection of its own."""

    async def ask(method: str, path: str, **headers: str) -> Reply:
        client = await connect(server)
        return await client.ask(method, path, **headers)

    return ask
