"""The whole service against real servers: probes run, Prometheus scrapes, PromQL answers."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.tcp import closed_port
from tests.servers.nginx import Nginx
from tests.servers.postgres import Postgres
from tests.servers.process import converse, find_program, free_port, start, wait_until
from tests.servers.prometheus import Prometheus, promtool
from tests.servers.redis import Redis
from tests.servers.sonde import Sonde, start_sonde

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(120)]

PASSWORD = "pw-scram"
PROBES = """
version: 1
defaults: {{every: 1s, timeout: 1s, labels: {{env: test}}}}
probes:
  - {{name: web, kind: http, target: "http://127.0.0.1:{web}/health",
     expect: {{json: {{$.status: healthy}}}}, labels: {{service: shop}}}}
  - {{name: secure, kind: http, target: "https://127.0.0.1:{tls}/hello.txt",
     tls: {{ca_file: "{ca}"}}}}
  - {{name: port, kind: tcp, target: "127.0.0.1:{web}"}}
  - {{name: gone, kind: tcp, target: "127.0.0.1:{gone}", incident: {{open_after: 1}}}}
  - {{name: orders, kind: postgres, stats: true, password: {{env: ORDERS_PASSWORD}},
     query: "SELECT count(*) FROM orders", expect: {{value: 250}},
     target: "postgresql://scram@127.0.0.1:{postgres}/postgres"}}
  - {{name: cache, kind: redis, target: "redis://127.0.0.1:{redis}/0"}}
  - {{name: machine, kind: host, target: local}}
"""
SCRAPE = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: sonde
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture(scope="module")
def sonde(
    nginx: Nginx,
    postgres_server: Postgres,
    redis_server: Redis,
    certificates: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Sonde]:
    probes = PROBES.format(
        web=nginx.port, tls=nginx.tls_port, ca=certificates / "ca.pem", gone=closed_port(),
        postgres=postgres_server.port, redis=redis_server.port,
    )  # fmt: skip
    server = start_sonde(
        tmp_path_factory.mktemp("sonde"), probes, ORDERS_PASSWORD=PASSWORD, SONDE_LOOP="uvloop"
    )
    yield server
    server.stop()


def ask(prometheus: Prometheus, promql: str) -> dict[str, float]:
    """Return the value of each probe."""
    return {r["metric"]["probe"]: float(r["value"][1]) for r in prometheus.query(promql)}


def test_prometheus_knows_which_probes_succeed(
    sonde: Sonde, prometheus: Callable[[str], Prometheus]
) -> None:
    """metrics.md 18, 7: scraped ``up`` by a real Prometheus, every kind answers PromQL."""
    server = prometheus(SCRAPE.format(port=sonde.port))
    wanted = {
        "web": 1, "secure": 1, "port": 1, "gone": 0, "orders": 1, "cache": 1, "machine": 1,
    }  # fmt: skip

    error = wait_until(lambda: ask(server, "probe_success") == wanted)

    assert error is None, (ask(server, "probe_success"), server.targets(), sonde.log()[-2000:])
    assert [r["value"][1] for r in server.query('up{job="sonde"}')] == ["1"]
    assert ask(server, "sonde_db_connections_max") == {"orders": 40}
    assert set(ask(server, "sonde_redis_memory_used_bytes")) == {"cache"}
    assert set(ask(server, "sonde_host_memory_usage_ratio")) == {"machine"}
    assert ask(server, "probe_http_status_code") == {"web": 200, "secure": 200}
    assert set(ask(server, "probe_ssl_earliest_cert_expiry")) == {"secure"}
    (refused,) = server.query('sonde_probe_failure_info{reason="refused"}')
    assert refused["metric"]["probe"] == "gone"
    assert refused["metric"]["phase"] == "connect"
    (web,) = server.query('probe_success{service="shop", env="test"}')
    assert web["metric"]["probe"] == "web"


def test_a_failure_is_visible_in_the_counters_prometheus_reads(
    sonde: Sonde, prometheus: Callable[[str], Prometheus]
) -> None:
    """metrics.md 18, 4."""
    server = prometheus(SCRAPE.format(port=sonde.port))

    error = wait_until(
        lambda: ask(server, "increase(sonde_probe_failures_total[1m]) > 0").keys() == {"gone"}
    )

    assert error is None, ask(server, "sonde_probe_failures_total")


def test_the_page_is_clean_by_promtool(sonde: Sonde, promtool_path: str) -> None:
    done = promtool("check", "metrics", page=sonde.get("/metrics").encode())

    complaints = [
        line
        for line in done.stderr.decode().splitlines()
        # names of blackbox_exporter, which its dashboards need as they are
        if line and not line.startswith("probe_")
    ]
    assert not complaints


def test_the_health_page_tells_of_every_probe(sonde: Sonde) -> None:
    assert wait_until(lambda: "gone" in sonde.log()) is None

    status = json.loads(sonde.get("/api/v1/probes"))

    assert {"web", "gone", "orders", "cache", "machine"} <= set(json.dumps(status).split('"'))


def test_no_page_and_no_log_line_shows_the_password(sonde: Sonde) -> None:
    """P15."""
    pages = [sonde.get(path) for path in ("/metrics", "/", "/api/v1/probes")]

    assert not [page for page in pages if PASSWORD in page]
    assert PASSWORD not in sonde.log()


def test_a_target_that_dies_and_returns_is_seen(tmp_path: Path) -> None:
    """P5, on a small scale: down within a few intervals of its death, up again on its return."""
    port = free_port()
    directory = tmp_path / "target"
    directory.mkdir()
    command = [find_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
    file = f"""
version: 1
probes:
  - {{name: cache, kind: redis, target: "redis://127.0.0.1:{port}", every: 200ms, timeout: 200ms}}
"""
    sonde = start_sonde(tmp_path, file)

    def success() -> str:
        lines = sonde.get("/metrics").splitlines()
        return next((line[-1] for line in lines if line.startswith("probe_success{")), "")

    try:
        assert wait_until(lambda: success() == "0") is None
        target = start(
            [*command, "--save", ""], port, directory,
            ready=lambda: converse(port, b"PING\r\n", b"+PONG"),
        )  # fmt: skip
        assert wait_until(lambda: success() == "1") is None
        target.stop()
        assert wait_until(lambda: success() == "0") is None
    finally:
        sonde.stop()


def test_sigterm_ends_the_service_with_0(tmp_path: Path) -> None:
    """P26."""
    server = start_sonde(
        tmp_path, "version: 1\nprobes: [{name: machine, kind: host, target: local}]\n"
    )

    server.process.send_signal(signal.SIGTERM)

    assert server.process.wait(10) == 0
