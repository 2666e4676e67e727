"""The shop itself: `make demo` as a newcomer types it, the gate over it, and what it answers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from xml.etree import ElementTree

import pytest

from tests.servers.process import Server, free_port, start, wait_until
from tests.servers.prometheus import get
from tests.shop.faults import Fault, read_fault

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

ROOT = Path(__file__).resolve().parents[2]
SONDE = Path(sys.executable).parent / "sonde"


def switch(port: int, body: str) -> str:
    request = Request(f"http://127.0.0.1:{port}/_fault", data=body.encode())
    with urlopen(request, timeout=5) as answer:
        told: str = answer.read().decode()
        return told


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    command = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.shop", "--port", str(port))
    server = start(
        command, port, tmp_path_factory.mktemp("shop"), ready=lambda: get(port, "/health")
    )
    yield server
    server.stop()


@pytest.fixture
def working(shop: Server) -> Server:
    switch(shop.port, "none")
    return shop


def gate(shop: Server, directory: Path, *flags: str) -> tuple[int, str, ElementTree.Element]:
    """Run `sonde smoke` over the shipped example; return code, stdout and the JUnit report."""
    junit = directory / "out.xml"
    done = subprocess.run(
        [SONDE, "smoke", "--config", "examples/shop.yaml", "--junit", junit, *flags],
        cwd=ROOT, env={**os.environ, "SHOP_URL": f"http://{shop.address}"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, ElementTree.parse(junit).getroot()


def cases(report: ElementTree.Element) -> dict[str, str]:
    """Return the cases of the journey and how each ended."""
    found = report.findall(".//testcase[@classname='journey.checkout']")
    return {case.attrib["name"]: "".join(child.tag for child in case) or "passed" for case in found}


def test_the_gate_is_green_over_a_shop_that_works(working: Server, tmp_path: Path) -> None:
    code, told, report = gate(working, tmp_path)

    assert code == 0, told
    assert told.endswith("PASSED: 2 probes passed\n")
    assert len(cases(report)) == 15
    assert set(cases(report).values()) == {"passed"}


def test_the_gate_is_red_and_the_report_names_the_step(working: Server, tmp_path: Path) -> None:
    switch(working.port, "pay_declined")
    code, told, report = gate(working, tmp_path)

    assert code == 1
    assert "step pay: want status 200, got 402" in told
    found = cases(report)
    assert found["price"] == "passed"
    assert found["pay"] == "failure"
    assert {found[name] for name in ("order", "feed", "paid")} == {"skipped"}
    assert found["drop-cart"] == "passed"
    (failure,) = report.findall(".//failure")
    assert failure.attrib["type"] == "status"
    assert "card declined" in (failure.text or "")
    assert "4242424242424242" not in ElementTree.tostring(report, "unicode")


def test_a_slow_shop_passes_unless_slow_is_not_good_enough(working: Server, tmp_path: Path) -> None:
    switch(working.port, "slow")

    assert gate(working, tmp_path)[0] == 0
    assert gate(working, tmp_path, "--fail-on", "degraded")[0] == 1


@pytest.mark.parametrize(
    "body", ["mode=slow", "slow", '{"mode": "slow"}'], ids=["form", "word", "json"]
)
def test_a_fault_is_switched_on_in_any_form(working: Server, body: str) -> None:
    assert switch(working.port, body) == "slow: the search takes 0.4 s\n"
    assert "* slow " in get(working.port, "/_fault").decode()


def test_a_fault_that_is_none_is_refused(working: Server) -> None:
    with pytest.raises(HTTPError) as caught:
        switch(working.port, "pay_declned")

    with caught.value as answer:
        assert answer.code == 422
        assert "did you mean 'pay_declined'?" in answer.read().decode()


def test_every_fault_says_what_a_customer_sees() -> None:
    assert all(fault.told for fault in Fault)
    assert [read_fault(fault.value) for fault in Fault] == list(Fault)


def test_what_a_customer_types_is_escaped(working: Server) -> None:
    page = get(working.port, "/search?q=%3Cscript%3Ealert(1)%3C/script%3E").decode()

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Café au lait &lt;set&gt;" in get(working.port, "/items/8").decode()


def test_the_demo_tells_what_to_type_and_what_happens(tmp_path: Path) -> None:
    shop, listen = free_port(), free_port()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.shop.demo", "--port", str(shop),
             "--listen", f"127.0.0.1:{listen}"],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        assert wait_until(lambda: "up        all 15 steps" in log.read_text(), process) is None
        assert f"curl -d pay_declined http://127.0.0.1:{shop}/_fault" in log.read_text()
        switch(shop, "pay_declined")
        told = "down      step pay: want status 200, got 402  (status)"
        assert wait_until(lambda: told in log.read_text(), process) is None, log.read_text()
        page = get(listen, "/metrics").decode()
        assert "journey_failed_step_info{" in page
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(20)
    assert (code, "Traceback" in log.read_text()) == (0, False), log.read_text()


def test_a_port_that_is_taken_is_said(working: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.shop.demo", "--port", str(working.port)],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert f"want a free port {working.port} for the shop" in done.stdout
