"""Numbers out of answers on the pages of a real ``sonde run``, and what promtool says of them."""

import json
import signal
from collections.abc import Iterator

import pytest

from tests.servers.process import wait_until
from tests.servers.prometheus import promtool
from tests.servers.sonde import Sonde, start_sonde

# it asks itself: the list of its probes has numbers, texts and several nodes
PROBES = """\
version: 1
probe_policy: {allow: [{cidr: 127.0.0.0/8}]}
modules:
  api:
    kind: http
    measure:
      - {name: shop_interval_seconds, regex: '"every": "([0-9]+)s"', help: Time between two runs}
      - {name: shop_attempts, help: Attempts, each: "$.probes[*]", json: $.result.attempts,
         labels: {member: $.name}, optional: true}
probes:
  - {name: self, module: api, target: "http://127.0.0.1:${SONDE_PORT}/api/v1/probes", every: 1s}
  - {name: machine, kind: host, target: local, every: 60s}
"""


@pytest.fixture(scope="module")
def sonde(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sonde]:
    server = start_sonde(tmp_path_factory.mktemp("measured"), PROBES)
    yield server
    server.stop()


def lines(page: str) -> list[str]:
    return [line for line in page.splitlines() if "shop_" in line]


def judged_by_promtool(page: str) -> list[str]:
    complaints = promtool("check", "metrics", page=page.encode()).stderr.decode()
    return lines(complaints) + [line for line in complaints.splitlines() if "error" in line]


@pytest.mark.slow
@pytest.mark.service
def test_both_pages_have_what_an_answer_says_also_after_a_reload(sonde: Sonde) -> None:
    url = f"http://127.0.0.1:{sonde.port}/api/v1/probes"
    labels = f'kind="http",probe="self",target="{url}"'
    attempts = f'shop_attempts{{{labels},member="machine"}} 1'
    assert wait_until(lambda: attempts in sonde.get("/metrics"), sonde.process) is None

    page = sonde.get("/metrics")
    asked = sonde.get(f"/probe?module=api&target={url}")

    assert f"shop_interval_seconds{{{labels}}} 1" in page
    assert "# TYPE shop_attempts gauge" in page
    assert judged_by_promtool(page) == []
    assert 'shop_attempts{member="machine"} 1' in lines(asked)
    assert "shop_interval_seconds 1" in lines(asked)
    assert judged_by_promtool(asked) == []

    file = sonde.directory / "probes.yaml"
    text = PROBES.replace("shop_attempts,", "shop_attempts_total, type: counter,")
    file.write_text(text.replace("Time between two runs", "From one run to the next"))
    sonde.process.send_signal(signal.SIGHUP)
    total = attempts.replace("shop_attempts", "shop_attempts_total")
    assert wait_until(lambda: total in sonde.get("/metrics"), sonde.process) is None

    page = sonde.get("/metrics")
    assert "# TYPE shop_attempts_total counter" in page
    assert "# HELP shop_interval_seconds From one run to the next\n" in page
    assert "shop_attempts{" not in page
    assert "# TYPE shop_attempts " not in page
    assert judged_by_promtool(page) == []
    assert 'shop_attempts_total{member="machine"} 1' in sonde.get(f"/probe?module=api&target={url}")
    assert json.loads(sonde.get("/api/v1/probes"))["probes"]
