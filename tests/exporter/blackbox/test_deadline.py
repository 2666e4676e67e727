"""Every prober against servers that keep it waiting: one second, and not much more (8.5).

Pings are lost on the loopback, behind which nobody has an address of RFC 5737: nothing leaves this
machine, and no router is asked to be silent.
"""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import pytest

from tests.exporter.blackbox.stage import Answer, Stage, asked, path_of

pytestmark = [pytest.mark.service, pytest.mark.slow]
TIMEOUT_S = 1.0
# blackbox.md 8.5: what an answer may take beyond its timeout.
BEYOND_S = 0.1
LATE, CUT = "timeout", "closed"
# module and target -> reason and phase
CASES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("slow_http", "http://{mute}/"): (LATE, "processing"),
    ("slow_http", "http://{webdrip}/"): (LATE, "transfer"),
    ("slow_http", "http://{half}/"): (CUT, "processing"),
    ("slow_http", "http://{webhalf}/"): (CUT, "transfer"),
    ("slow_http", "{http}/hangbody"): (LATE, "transfer"),
    ("slow_http", "{http}/dripbody"): (LATE, "transfer"),
    ("slow_http", "{http}/1xx"): ("protocol", "processing"),
    ("slow_http", "https://{mute}/"): (LATE, "tls"),
    ("slow_http", "https://{tlsdrip}/"): (LATE, "tls"),
    ("slow_http", "https://{half}/"): (CUT, "tls"),
    ("slow_tcp", "{mute}"): (LATE, "dialog"),
    ("slow_tcp", "{drip}"): (LATE, "dialog"),
    ("slow_tcp", "{half}"): (CUT, "dialog"),
    ("slow_bytes", "{mute}"): (LATE, "dialog"),
    ("slow_bytes", "{half}"): (CUT, "dialog"),
    ("slow_tls", "{mute}"): (LATE, "tls"),
    ("slow_tls", "{tlsdrip}"): (LATE, "tls"),
    ("slow_tls", "{half}"): (CUT, "tls"),
    ("slow_unix", "{here}/mute.sock"): (LATE, "dialog"),
    ("slow_unix", "{here}/drip.sock"): (LATE, "dialog"),
    ("slow_unix", "{here}/half.sock"): (CUT, "dialog"),
    ("slow_udp", "{dns}"): (LATE, "request"),
    ("slow_dns", "{mute}"): (LATE, "request"),
    ("slow_dns", "{drip}"): (LATE, "request"),
    ("slow_dns", "{half}"): (CUT, "request"),
    ("slow_dot", "{mute}"): (LATE, "tls"),
    ("slow_dot", "{half}"): (CUT, "tls"),
    ("slow_grpc", "{mute}"): (LATE, "call"),
    ("slow_grpc", "{drip}"): (LATE, "call"),
    ("slow_grpc", "{half}"): (CUT, "call"),
    ("slow_grpcs", "{tlsdrip}"): (LATE, "tls"),
    ("slow_icmp", "198.51.100.1"): (LATE, "rtt"),
    ("slow_websocket", "ws://{mute}/"): (LATE, "upgrade"),
    ("slow_websocket", "ws://{webdrip}/"): (LATE, "upgrade"),
    ("slow_websocket", "ws://{half}/"): (CUT, "upgrade"),
    ("slow_websocket", "wss://{tlsdrip}/"): (LATE, "tls"),
}
GROUPS = (
    ("http", "websocket"),
    ("tcp", "bytes", "tls", "unix"),
    ("udp", "dns", "dot", "grpc", "grpcs", "icmp"),
)
Told = Mapping[tuple[str, str], tuple[Answer, float]]


@pytest.fixture(scope="module")
def told(stage: Stage) -> Told:
    """What is answered to all cases, asked at once, and after how many seconds each."""

    def ask(case: tuple[str, str]) -> tuple[Answer, float]:
        module, target = case
        began = perf_counter()
        answer = asked(stage.fixed, path_of(module, stage.place(target)))
        return answer, perf_counter() - began

    # the code and the plan of each are there once it has been asked for
    with ThreadPoolExecutor(len(CASES)) as pool:
        list(pool.map(ask, CASES))
        return dict(zip(CASES, pool.map(ask, CASES), strict=True))


@pytest.mark.parametrize("case", [pytest.param(it, id=" ".join(it)) for it in CASES])
def test_the_phase_that_waited_is_named(told: Told, case: tuple[str, str]) -> None:
    answer, _ = told[case]

    found = re.findall(r'sonde_probe_failure_info\{phase="(\w+)",reason="(\w+)"\} 1', answer.body)
    assert found == [CASES[case][::-1]]
    assert "\nprobe_success 0\n" in answer.body


@pytest.mark.parametrize("group", GROUPS)
def test_no_answer_is_later_than_its_timeout(
    stage: Stage, group: tuple[str, ...], lost_s: Callable[[], float]
) -> None:
    cases = [(it, stage.place(target)) for it, target in CASES if it.removeprefix("slow_") in group]

    def ask(case: tuple[str, str]) -> float:
        began = perf_counter()
        assert asked(stage.fixed, path_of(*case)).status == 200
        return perf_counter() - began

    with ThreadPoolExecutor(len(cases)) as pool:
        slowest = max(pool.map(ask, cases))

    assert slowest < TIMEOUT_S + BEYOND_S + lost_s()
