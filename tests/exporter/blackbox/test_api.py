"""The HTTP interface beside blackbox_exporter's: statuses, texts, timeouts, debug pages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.exporter.blackbox.stage import Answer, Stage, asked, path_of
from tests.servers.process import Server

pytestmark = pytest.mark.service
TIMEOUT = "X-Prometheus-Scrape-Timeout-Seconds"
_OK = path_of("m0", "{http}/ok")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and what is answered; ``differs`` names the entry of docs/blackbox.md."""

    path: str
    status: int
    ours: int = 0
    differs: str = ""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str | None = None
    same_text: bool = False


REQUESTS = {
    "a run": Request(_OK, 200),
    "HEAD": Request(_OK, 200, method="HEAD"),
    "POST with a query": Request(_OK, 200, method="POST"),
    "POST with a form": Request(
        "/probe", 400, method="POST", body="module=m0&target=x",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    ),
    "an unknown module": Request(path_of("nope", "x"), 400),
    "an empty module is http_2xx": Request("/probe?module=&target=x", 400),
    "no target": Request("/probe?module=m0", 400, same_text=True),
    "an empty target": Request("/probe?module=m0&target=", 400, same_text=True),
    "an unknown module comes before no target": Request("/probe?module=nope", 400),
    "the first target counts": Request(f"{_OK}&target=nowhere.invalid", 200),
    "further parameters": Request(f"{_OK}&other=1&debug=yes", 200),
    "a timeout that is no number": Request(_OK, 500, headers={TIMEOUT: "soon"}),
    "an empty timeout": Request(_OK, 200, headers={TIMEOUT: ""}),
    "a timeout of words is judged before the target": Request(
        "/probe?module=m0", 500, headers={TIMEOUT: "1s"}
    ),
    "a target that is none": Request(path_of("m0", "http://a b/"), 200),
    "health": Request("/-/healthy", 200, same_text=True),
    "config": Request("/config", 200),
    "reload by GET": Request("/-/reload", 405, same_text=True),
    "reload by a stranger": Request("/-/reload", 200, ours=403, differs="K2", method="POST"),
    "logs of nothing": Request("/logs", 500, ours=400, differs="0.24"),
    "logs of an id that is none": Request("/logs?id=999999", 404),
    "logs of both": Request("/logs?id=1&target=x", 200, ours=400, differs="0.24"),
    "the page of people": Request("/", 200),
    "an unknown path": Request("/no/such/path", 200, ours=404, differs="K3"),
    "pprof": Request("/debug/pprof/cmdline", 200, ours=404, differs="K4"),
    "metrics": Request("/metrics", 200),
    "metadata": Request(
        path_of("m0", "http://169.254.169.254/latest"), 200, ours=403, differs="K5",
        headers={TIMEOUT: "0.6"},
    ),
}  # fmt: skip

# K10 and K17: what upstream takes for a time, and for which modules that shows.
ODD_TIMEOUTS = {"NaN": ("m0", "without"), "Inf": ("without",), "-5": ("without",),
                "601": ("without",)}  # fmt: skip


@pytest.mark.parametrize("request_", [pytest.param(it, id=name) for name, it in REQUESTS.items()])
def test_a_request_is_answered_alike(stage: Stage, request_: Request) -> None:
    theirs, ours = both(stage, request_)

    assert theirs.status == request_.status
    assert ours.status == (request_.ours or request_.status)
    if request_.same_text:
        assert ours.body.strip() == theirs.body.strip()
    if request_.status == 200 and request_.path == _OK:
        assert ours.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert theirs.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("module", ["m0", "without"])
@pytest.mark.parametrize(
    "timeout", ["", "30", "7", "0", "5.5", "1e1", "3.25", "0.3", *ODD_TIMEOUTS]
)
def test_a_run_takes_as_long_as_upstream_lets_it(stage: Stage, timeout: str, module: str) -> None:
    path = path_of(module, "127.0.0.1", debug="true")
    request = Request(path, 200, headers={TIMEOUT: timeout} if timeout else {})

    theirs, ours = map(told_timeout, both(stage, request))

    assert (ours == theirs) is (module not in ODD_TIMEOUTS.get(timeout, ()))


@pytest.mark.parametrize("asks", ["gzip", "identity", ""])
def test_a_page_is_packed_for_whom_asks(stage: Stage, asks: str) -> None:
    path = _OK.replace("%7Bhttp%7D", "127.0.0.1%3A1")

    answers = [asked(it, path, headers={"Accept-Encoding": asks}) for it in servers(stage)]

    assert [it.headers.get("content-encoding") == "gzip" for it in answers] == [asks == "gzip"] * 2


def test_the_debug_page_has_the_parts_of_upstream(stage: Stage) -> None:
    request = Request(f"{_OK}&debug=true", 200)
    heads = [
        "Logs for the probe:",
        "Metrics that would have been returned:",
        "Module configuration:",
    ]

    for answer in both(stage, request):
        found = [line for line in answer.body.splitlines() if line in heads]
        assert found == heads
        assert "\n\n\n\nMetrics that" in answer.body
        assert answer.headers["content-type"].startswith("text/plain")
        assert "prober: http" in answer.body.split(heads[2])[1]
        assert "\nprobe_success 1\n" in answer.body.split(heads[1])[1]


def test_help_texts_are_our_own_words(stage: Stage) -> None:
    """K12: and every family has one."""
    theirs, ours = both(stage, Request(_OK, 200))

    assert ours.body.count("# HELP probe_") == ours.body.count("# TYPE probe_")
    line = re.compile("^# HELP probe_success .*$", re.MULTILINE)
    assert line.findall(theirs.body) != line.findall(ours.body)


def test_config_hides_what_upstream_hides_and_headers_too(stage: Stage) -> None:
    """D11: a secret that stands in ``headers:``."""
    theirs, ours = both(stage, Request("/config", 200))

    assert "canary-of-header" in theirs.body
    for text in ("canary-of-header", "canary-of-basic"):
        assert text not in ours.body
    assert "canary-of-basic" not in theirs.body
    assert "<secret>" in ours.body


def test_the_reload_families_keep_their_names(stage: Stage) -> None:
    wanted = "blackbox_exporter_config_last_reload_success"

    pages = [asked(server, "/metrics").body for server in servers(stage)]

    for page in pages:
        assert re.search(f"^{wanted}ful 1(\\.0)?$", page, re.MULTILINE)
        assert f"\n{wanted}_timestamp_seconds " in page
        assert "\nblackbox_exporter_build_info{" in page
        assert "\nblackbox_module_unknown_total " in page
    assert [f"\n{name}" in pages[1] for name in ("go_", "net_conntrack", "promhttp_")] == [
        False
    ] * 3


def servers(stage: Stage) -> tuple[Server, Server]:
    return stage.theirs, stage.fixed


def both(stage: Stage, request: Request) -> tuple[Answer, Answer]:
    path = request.path
    for word, value in stage.places.items():
        path = path.replace("%7B" + word + "%7D", value.replace(":", "%3A").replace("/", "%2F"))
    theirs, ours = (
        asked(it, path, method=request.method, headers=request.headers, body=request.body)
        for it in servers(stage)
    )
    return theirs, ours


def told_timeout(answer: Answer) -> float:
    found = re.search(r"timeout_seconds=([-+.\w]+)", answer.body)
    assert found is not None, answer.body
    return float(found[1])
