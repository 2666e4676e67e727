"""Fixtures of the real servers: started on first use, once per session and worker.

A server whose program is absent skips its tests with the reason; under ``REQUIRE_SERVICES=1`` it
fails them. Tests that use one carry the mark ``service``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.caddy import start_caddy
from tests.servers.nginx import Nginx, start_nginx
from tests.servers.postgres import Postgres, start_postgres
from tests.servers.process import Server, find_program
from tests.servers.prometheus import Prometheus, start_blackbox_exporter, start_prometheus
from tests.servers.redis import Redis, start_redis


@pytest.fixture(scope="session")
def postgres_server(certificates: Path) -> Iterator[Postgres]:
    """A real PostgreSQL with TLS; roles as in `tests.servers.postgres`."""
    server = start_postgres(certificates)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A real Redis with TLS and users as in `tests.servers.redis`."""
    server = start_redis(tmp_path_factory.mktemp("redis"), certificates)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nginx(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """A real nginx: clear text, TLS with HTTP/2, client certificates."""
    server = start_nginx(tmp_path_factory.mktemp("nginx"), certificates)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def caddy(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Caddy: HTTP/3, and names as in `tests.servers.caddy`."""
    server = start_caddy(tmp_path_factory.mktemp("caddy"), certificates)
    yield server
    server.stop()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[str], Prometheus]]:
    """Starts a real Prometheus with the configuration text it is called with."""
    running: list[Prometheus] = []

    def start(config: str) -> Prometheus:
        directory = tmp_path / f"prometheus{len(running)}"
        directory.mkdir()
        running.append(start_prometheus(directory, config))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def blackbox_exporter(tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    """Starts a real blackbox_exporter with the blackbox.yml text it is called with."""
    running: list[Server] = []

    def start(config: str) -> Server:
        directory = tmp_path / f"blackbox{len(running)}"
        directory.mkdir()
        running.append(start_blackbox_exporter(directory, config))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def promtool_path() -> str:
    """The path of promtool; `tests.servers.prometheus.promtool` runs it."""
    return find_program("promtool")
