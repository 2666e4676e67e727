"""Pages for people: what is here, the last runs, and the account of one of them."""

from urllib.parse import quote

import pytest

from exporter.web.pages import landing_page
from tests.exporter.pages import down, kept, up
from tests.exporter.web.conftest import Ask
from tests.exporter.web.support import FakeBackend

TARGET = "http://example.org/"
NOT_KEPT = "want a run that is still kept, got another one\n"
WANTED = "want id, or target with or without module, got {}\n"


async def test_the_last_runs_are_on_the_page_newest_first(ask: Ask, backend: FakeBackend) -> None:
    backend.runs = kept(100, up("it"), down("it"))

    page = (await ask("GET", "/")).text

    rows = [line for line in page.splitlines() if "<td>" in line]
    assert ["Failure" in rows[0], "Success" in rows[1]] == [True, True]
    assert '<a href="/logs?id=2">account</a>' in rows[0]
    assert f"<td>m</td><td>{TARGET}</td>" in rows[0]
    assert page.endswith("</html>\n")


async def test_a_long_history_is_written_in_pieces(ask: Ask, backend: FakeBackend) -> None:
    """20,000 rows take 0.1 s: no run may wait for a page of people."""
    backend.runs = kept(500, *[up("it")] * 500)

    reply = await ask("GET", "/")

    assert reply.headers["transfer-encoding"] == "chunked"
    assert reply.text.count("<td>Success</td>") == 500


def test_what_is_shown_of_a_run_is_escaped() -> None:
    run = ("logs?id=1", "<m>", "http://h/?a=1&b=<script>", "Success", "now")

    page = "".join(landing_page("1.0", 0, [run], "/below"))

    assert "<script" not in page
    assert "<td>&lt;m&gt;</td><td>http://h/?a=1&amp;b=&lt;script&gt;</td>" in page
    assert '<a href="/below/logs?id=1">' in page
    assert '<form action="/below/probe" method="get">' in page


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        pytest.param("id=2", 200, "account of run 2", id="by number"),
        pytest.param(f"target={quote(TARGET, safe='')}", 200, "account of run 1", id="the oldest"),
        pytest.param(f"target={TARGET}&module=m", 200, "account of run 1", id="of a module"),
        pytest.param(f"target={TARGET}&module=n", 404, NOT_KEPT, id="of another module"),
        pytest.param("id=3", 404, NOT_KEPT, id="not kept"),
        pytest.param("", 400, WANTED.format("neither"), id="neither"),
        pytest.param("module=m", 400, WANTED.format("neither"), id="a module alone"),
        pytest.param("id=x", 400, WANTED.format("neither"), id="no number"),
        pytest.param(f"id=1&target={TARGET}", 400, WANTED.format("both"), id="both"),
    ],
)
async def test_the_account_of_a_run_is_found(
    ask: Ask, backend: FakeBackend, query: str, status: int, text: str
) -> None:
    backend.runs = kept(100, up("it"), up("it"))

    reply = await ask("GET", f"/logs?{query}")

    assert (reply.status, reply.text) == (status, text)
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("probes", "told"),
    [(0, "Version 1.0.</p>"), (1, "Version 1.0, 1 probe.</p>"), (2, "Version 1.0, 2 probes.</p>")],
)
def test_the_landing_page_counts_probes_where_there_are_some(probes: int, told: str) -> None:
    assert told in "".join(landing_page("1.0", probes))
