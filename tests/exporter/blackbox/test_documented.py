"""Every difference that docs/blackbox.md names is shown by a test, and every one shown is named."""

import re
from pathlib import Path

import pytest

from probes.config.load import load_blackbox
from tests.exporter.blackbox.conftest import ROWS
from tests.exporter.blackbox.test_api import REQUESTS

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "blackbox.md"
# What no page of /probe can show beside 0.23: the test that does.
ELSEWHERE = {
    "D2": ("tests/exporter/blackbox/rows_net.py", "fail_if_all_match_regexp"),
    "D5": ("tests/exporter/blackbox/test_deadline.py", "slow_websocket"),
    "D7": ("tests/exporter/blackbox/rows_net.py", "labels of two steps"),
    "D8": ("tests/exporter/blackbox/rows_net.py", "bytes behind a line"),
    "D11": ("tests/exporter/blackbox/test_api.py", "D11: a secret that stands"),
    "D12": ("tests/exporter/blackbox/rows_http.py", "three hops"),
    "K1": ("tests/exporter/commands/test_running.py", "test_a_bad_blackbox_file_ends_with_2"),
    "K7": ("tests/exporter/web/test_listen.py", "127.0.0.1:9115"),
    "K8": ("tests/probes/config/blackbox/test_reading.py", "test_binary_is_the_only_tag"),
    "K9": ("tests/probes/kinds/test_http_expect.py", "MAX_JUDGED_BYTES + 1"),
    "K10": ("tests/exporter/blackbox/test_api.py", "ODD_TIMEOUTS"),
    "K11": ("tests/exporter/on_demand/test_asked.py", "test_runs_wait_for_a_slot_and_not_for_ever"),
    "K12": ("tests/exporter/blackbox/test_api.py", "K12: and every family"),
    "K13": ("tests/probes/wire/tls/test_settings.py", "hostname_checks_common_name"),
    "K17": ("tests/exporter/blackbox/test_api.py", "ODD_TIMEOUTS"),
    "K18": (
        "tests/probes/kinds/test_http_blackbox.py",
        "test_deflate_with_its_wrapper_is_decoded_where_upstream_fails",
    ),
}


def documented() -> dict[str, str]:
    rows = re.findall(r"^\| ([DK]\d+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert len(dict(rows)) == len(rows), "an entry is told twice"
    return dict(rows)


def shown() -> set[str]:
    words = " ".join(f"{row.differs} {row.quirk} {row.since}" for row in ROWS).split()
    words += [request.differs for request in REQUESTS.values()]
    return {word for word in words if re.fullmatch(r"[DK]\d+", word)}


def test_every_difference_is_documented_and_shown() -> None:
    assert shown() | ELSEWHERE.keys() == documented().keys()


@pytest.mark.parametrize("entry", ELSEWHERE)
def test_the_test_elsewhere_is_there(entry: str) -> None:
    path, words = ELSEWHERE[entry]

    assert words in (ROOT / path).read_text()


def test_the_three_quirks_of_strict_are_named_on_the_page() -> None:
    strict = {name for name, text in documented().items() if "`strict` keeps" in text}

    assert strict == {row.quirk for row in ROWS} - {""}


def test_the_example_loads_without_a_warning_but_of_its_place() -> None:
    config = load_blackbox(ROOT / "examples" / "blackbox.yml")

    assert len(config.modules) >= 10
    assert config.faults == ()
