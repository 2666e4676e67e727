"""What a run sends, measures and leaves behind: headers, certificates, files without secrets."""

import hashlib
import io
import json
import ssl
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from probes.browser.plan import Action, Locator, Step
from probes.browser.protocol import Values
from tests.probes.browser.child.rig import Child, child, site, started

pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(60)]

SECRET = "canary-4711-secret"
ASKED: list[tuple[str, str, str]] = []


async def _page(request: web.Request) -> web.Response:
    host = (request.host or "").partition(":")[0]
    ASKED.append((host, request.path, request.headers.get("X-Token", "")))
    answer = web.Response(
        text=f"<input aria-label=Mail><script src=/ads.js></script><p>{SECRET}</p>",
        content_type="text/html",
    )
    answer.set_cookie("sid", "canary-cookie-0815")
    return answer


async def _away(request: web.Request) -> web.Response:
    raise web.HTTPFound(f"http://localhost:{request.url.port}/there")


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with site({"/away": _away, "/{path:.*}": _page}) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Child]:
    with child() as it:
        yield started(it)


GO = Step("home", Action.GOTO, text=f"/?token={SECRET}")
FILL = Step("fill", Action.FILL, Locator("label", "Mail"), text="${secrets.pw}")
MISSING = Step("missing", Action.SEE, Locator("text", "nothing"), timeout_s=0.3)
VALUES = Values(secrets={"pw": SECRET})


def test_the_files_of_a_failure_hold_no_secret_and_open(browser: Child, shop: str) -> None:
    played = browser.play(shop, GO, FILL, MISSING, record="full", values=VALUES)

    files = {it.kind: played.files / it.name for it in played.done.artefacts}
    assert files.keys() >= {"screenshot", "requests", "har", "trace"}
    assert {path.name for path in played.files.iterdir()} == {it.name for it in files.values()}
    for path in files.values():
        assert path.stat().st_mode & 0o777 == 0o600
        data = path.read_bytes()
        assert SECRET.encode() not in data
        assert b"canary-cookie" not in data
    assert json.loads(files["har"].read_bytes())["log"]["entries"]
    with zipfile.ZipFile(io.BytesIO(files["trace"].read_bytes())) as trace:
        assert "trace.network" in trace.namelist()
        for name in trace.namelist():
            member = trace.read(name)
            assert SECRET.encode() not in member
            assert b"canary-cookie" not in member
            if name.endswith((".trace", ".network")):
                assert all(json.loads(line) for line in member.splitlines())


def test_what_was_made_of_a_secret_is_in_no_file(browser: Child, shop: str) -> None:
    values = Values(secrets={"pw": SECRET}, hidden=("canary-column",))
    code, digest = "${base64(secrets.pw)}", hashlib.sha256(SECRET.encode()).hexdigest()
    said = f"console.log('{digest} canary-column ' + document.cookie)"

    played = browser.play(
        shop,
        Step("home", Action.GOTO, text="/"),
        Step("fill", Action.FILL, Locator("label", "Mail"), text=code + " ${sha256(secrets.pw)}"),
        Step("say", Action.EVALUATE, text=said),
        MISSING,
        values=values,
        may_evaluate=True,
    )

    (console,) = [it.name for it in played.done.artefacts if it.kind == "console"]
    # an exception of the page's own script stands before it
    assert (played.files / console).read_text().endswith("log: *** *** sid=***\n")
    assert {"canary-cookie-0815", digest} < set(played.done.hidden)


def test_files_that_cannot_be_kept_cost_no_verdict(browser: Child, shop: str) -> None:
    """load.md 14: a full disk must not make an outage look like trouble of the prober."""
    nowhere = browser.work / "nowhere"
    shot = Step("shot", Action.SCREENSHOT)

    failed = browser.play(shop, GO, MISSING, files=nowhere)
    asked = browser.play(shop, GO, shot, files=nowhere)

    assert failed.said[0] == "body"
    assert failed.done.facts["artefacts"] == "not kept: No such file or directory"
    assert asked.said == (
        "resource", "want a place for a screenshot, got No such file or directory",
    )  # fmt: skip


def test_headers_go_to_the_origin_of_the_journey_alone(browser: Child, shop: str) -> None:
    ASKED.clear()

    browser.play(
        shop,
        Step("home", Action.GOTO, text="/home"),
        Step("away", Action.GOTO, text="/away"),
        headers=(("X-Token", "${secrets.pw}"),),
        values=VALUES,
    )

    assert ("127.0.0.1", "/home", SECRET) in ASKED
    assert ("localhost", "/there", "") in ASKED
    assert not [it for it in ASKED if it[0] == "localhost" and it[2]]


def test_what_is_blocked_is_not_asked_for_and_did_not_fail(browser: Child, shop: str) -> None:
    ASKED.clear()

    played = browser.play(shop, Step("home", Action.GOTO, text="/"), block=("127.0.0.1/ads.js",))

    assert "/ads.js" not in {path for _, path, _ in ASKED}
    assert (played.done.fault, played.done.failed_requests) == (None, 0)
    assert ("script", "first", "failed", 1) in played.done.requests


@pytest.mark.parametrize(("verifies", "said"), [(True, "certificate_untrusted"), (False, None)])
def test_a_certificate_is_judged_by_the_browser(
    browser: Child, certificates: Path, verifies: bool, said: str | None
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with site({"/{path:.*}": _page}, context) as url:
        played = browser.play(url, Step("home", Action.GOTO, text="/"), verifies=verifies)

    fault = played.done.fault
    assert (fault.reason.value if fault else None) == said
    if fault is None:
        assert "tls" in dict(played.ended[0].phases)
    else:
        assert fault.message.endswith("an untrusted certificate (ERR_CERT_AUTHORITY_INVALID)")


def test_a_closed_port_and_an_unknown_name_are_told_as_the_dial_tells_them(
    browser: Child, shop: str
) -> None:
    refused = browser.play("http://127.0.0.1:9999", Step("home", Action.GOTO, text="/"))
    invalid = browser.play(shop, Step("home", Action.GOTO, text="http://nothing.invalid/"))

    assert refused.said == ("refused", "want a connection to 127.0.0.1:9999, got a refusal")
    assert invalid.said[0].startswith("dns_")
    assert "about:blank" in invalid.ended[0].facts["url"]
    # a page that never came has no picture
    assert "screenshot" not in {it.kind for it in refused.done.artefacts}
