"""Pages that fight back: a report always comes in time, and the next run finds a browser."""

import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp import web

from probes.browser.plan import Action, Locator, Step
from probes.browser.protocol import Quit
from probes.wire.policy import Policy, Rule
from tests.probes.browser.child.rig import Child, Handler, child, site, started

pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(60)]


def scripted(text: str) -> str:
    return f"<html><title>t</title><body><h1>x</h1><button>Go</button><script>{text}</script>"


METADATA = "169.254.169.254"
PAGES = {
    "alert": "while (true) alert('x')",
    "spin": "while (true);",
    "console": "for (let i = 0; i < 10000; i++) console.error('err ' + i)",
    "popups": "document.onclick = () => { for (let i = 0; i < 9; i++) window.open('/ok') }",
    "navigation": "setInterval(() => { location.href = '/navigation?' + Math.random() }, 0)",
    "dom": "document.body.innerHTML = '<p>x</p>'.repeat(5e6)",
    "file": "location = 'file:///etc/passwd'",
    "print": "window.print()",
    "leave": "onbeforeunload = (e) => { e.preventDefault(); return 'x' }",
    "worker": "navigator.serviceWorker.register('/sw.js').catch(() => {})",
    "fetch": f"fetch('http://{METADATA}/').catch(() => {{ document.title = 'blocked' }})",
    "socket": f"new WebSocket('ws://{METADATA}/').onerror = () => {{ document.title = 'blocked' }}",
    "rtc": (
        "const p = new RTCPeerConnection({iceServers: [{urls: 'stun:127.0.0.1:3478'}]}); let n = 0;"
        "p.createDataChannel('x'); p.onicecandidate = (e) => { if (e.candidate) n++;"
        " else document.title = 'candidates ' + n }; p.createOffer().then((o) =>"
        " p.setLocalDescription(o)); setTimeout(() => { document.title = 'candidates ' + n }, 900)"
    ),
    "memory": "const a = []; setInterval(() => { for (;;) a.push(new Array(1e6).fill(1)) }, 1)",
}  # fmt: skip


async def _file(_: web.Request) -> web.Response:
    return web.Response(body=b"x", headers={"Content-Disposition": "attachment; filename=a.bin"})


async def _elsewhere(_: web.Request) -> web.Response:
    raise web.HTTPFound(f"http://{METADATA}/latest/meta-data")


@pytest.fixture(scope="module")
def trap() -> Iterator[str]:
    pages = {f"/{name}": scripted(text) for name, text in PAGES.items()}
    with site({**pages, "/ok": "<p>ok", "/file.bin": _file, "/elsewhere": _elsewhere}) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Child]:
    with child() as it:
        yield started(it)


def go(name: str, timeout_s: float = 10.0) -> Step:
    return Step("go", Action.GOTO, text=f"/{name}", timeout_s=timeout_s)


def works(browser: Child, trap: str) -> bool:
    return browser.play(trap, Step("ok", Action.GOTO, text="/ok", timeout_s=10)).done.fault is None


@pytest.mark.parametrize("name", ["alert", "spin", "navigation", "dom"])
def test_a_page_that_hangs_is_cut_off_in_time(browser: Child, trap: str, name: str) -> None:
    began = time.monotonic()

    # far behind the end of the step: a browser that was starved is late for both
    played = browser.play(trap, go(name, 0.7), deadline_s=2.5)

    assert played.said[0] == "timeout"
    assert played.said[1].startswith(f"want the page '{trap}/{name}' within 0.7 s (load), got ")
    # picture, trace and context have their limits behind the deadline
    assert time.monotonic() - began < 2.5 + 3.5
    assert works(browser, trap)


def test_the_deadline_cuts_a_page_that_hangs_with_the_name_of_the_step(
    browser: Child, trap: str
) -> None:
    began = time.monotonic()

    played = browser.play(trap, Step("spin", Action.GOTO, text="/spin", timeout_s=30), deadline_s=1)

    assert played.said == (
        "timeout",
        "want the journey to end within 1 s, got step 'spin' under way",
    )
    assert time.monotonic() - began < 1 + 3.5


def test_a_run_that_is_stopped_ends_within_two_seconds(browser: Child, trap: str) -> None:
    nap = Step("nap", Action.WAIT, seconds=30)
    began = time.monotonic()

    played = browser.play(trap, go("ok"), nap, deadline_s=40, stop_in="nap")

    assert played.said[0] == "timeout"
    assert "stopped with step 'nap' under way" in played.said[1]
    assert time.monotonic() - began < 6


def test_a_flood_of_the_console_is_counted(browser: Child, trap: str) -> None:
    played = browser.play(trap, Step("go", Action.GOTO, text="/console", timeout_s=15))

    assert (played.done.fault, played.done.console_errors) == (None, 10_000)
    assert played.done.facts["console error"] == "err 0"


def test_popups_are_closed_and_counted(browser: Child, trap: str) -> None:
    click = Step("click", Action.CLICK, Locator("role", "button", "Go"))

    played = browser.play(trap, go("popups"), click, Step("nap", Action.WAIT, seconds=0.5))

    # the browser's own brake lets one window through for each click
    assert played.done.facts["popups"] == "1"


def test_a_page_that_does_not_want_to_be_left_is_left(browser: Child, trap: str) -> None:
    click = Step("click", Action.CLICK, Locator("role", "button", "Go"))

    played = browser.play(trap, go("leave"), click, Step("ok", Action.GOTO, text="/ok"))

    assert played.done.fault is None
    assert played.done.facts["dialog"] == "beforeunload: "


def test_a_download_is_refused(browser: Child, trap: str) -> None:
    played = browser.play(trap, go("file.bin"))

    assert played.said == ("body", f"want the page '{trap}/file.bin', got a download")
    assert played.done.facts["download"] == "a.bin"


def test_what_is_refused_does_not_hurt_the_page(browser: Child, trap: str) -> None:
    steps = [
        step
        for name in ("file", "print", "worker")
        for step in (
            Step(name, Action.GOTO, text=f"/{name}"),
            Step(f"{name} nap", Action.WAIT, seconds=0.3),
            Step(f"{name} see", Action.SEE, Locator("text", "x", exact=True)),
        )
    ]

    assert browser.play(trap, *steps).done.fault is None


def test_a_page_cannot_reach_the_metadata(browser: Child, trap: str) -> None:
    steps = [
        step
        for name in ("fetch", "socket")
        for step in (
            Step(name, Action.GOTO, text=f"/{name}"),
            Step(f"{name} blocked", Action.EXPECT, expect={"title": "blocked"}),
        )
    ]

    played = browser.play(trap, *steps)

    assert played.done.fault is None
    assert played.done.facts["unreached"] == f"{METADATA}:80 (blocked)"


# Every way out of a page that needs no click: who is forbidden is called "elsewhere" here.
WAYS = """<title>t</title><link rel=icon href=//elsewhere/><link rel=prefetch href=//elsewhere/>
<link rel=preconnect href=//elsewhere/><link rel=dns-prefetch href=//elsewhere/>
<link rel=stylesheet href=//elsewhere/><link rel=manifest href=//elsewhere/>
<script type=speculationrules>{"prefetch": [{"source": "list", "urls": ["http://elsewhere/"]}],
 "prerender": [{"source": "list", "urls": ["http://elsewhere/p"]}]}</script>
<style>@import url(//elsewhere/); @font-face {font-family: z; src: url(//elsewhere/f)}
h1 {font-family: z; background: url(//elsewhere/)}</style><h1>x</h1><button>Go</button>
<img src=//elsewhere/><video src=//elsewhere/ autoplay></video><object data=//elsewhere/></object>
<iframe src=//elsewhere/></iframe><iframe srcdoc="<img src=http://elsewhere/>"></iframe>
<iframe src="/hop"></iframe><iframe name=f></iframe>
<form id=f target=f method=post action=//elsewhere/></form><a id=a target=_blank
 download href=//elsewhere/>a</a>
<a id=p ping=//elsewhere/ href=#>p</a>
<script>
const quietly = (it) => { try { const found = it(); found?.catch?.(() => 0) } catch {} };
const there = 'http://elsewhere/', mode = 'no-cors';
const worker = (code) => new Worker(URL.createObjectURL(new Blob([code])));
for (const way of [
  () => fetch(there, {mode}), () => fetch('/hop', {mode}),
  () => fetch(there, {mode, keepalive: true}), () => navigator.sendBeacon(there),
  () => new EventSource(there), () => new WebSocket('ws://elsewhere'),
  () => worker(`fetch('${there}', {mode: 'no-cors'})`), () => worker(`importScripts('${there}')`),
  () => new WebTransport('https://elsewhere').ready, () => document.querySelector('#f').submit(),
  () => document.querySelector('#a').click(), () => document.querySelector('#p').click(),
  () => navigator.serviceWorker.register('/sw.js'), () => open(there),
]) quietly(way);
for (const urls of ['stun:elsewhere', 'turn:elsewhere?transport=tcp', 'turn:elsewhere'])
  quietly(() => {
    const it = new RTCPeerConnection({iceServers: [{urls, username: 'a', credential: 'b'}]});
    it.createDataChannel('x');
    return it.createOffer().then((offer) => it.setLocalDescription(offer));
  });
addEventListener('pagehide', () => navigator.sendBeacon(there));
document.onclick = () => open(there);
</script>"""


def test_no_way_out_of_a_page_reaches_who_is_forbidden(browser: Child) -> None:
    """Counted at the forbidden listener, of TCP and UDP: not one connection, not one packet."""
    asked = threading.Event()
    with (
        socket.create_server(("127.0.0.2", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        there = f"127.0.0.2:{tcp.getsockname()[1]}"
        udp.bind(("127.0.0.2", tcp.getsockname()[1]))

        async def hop(_: web.Request) -> web.Response:
            asked.set()
            raise web.HTTPFound(f"http://{there}/")

        pages: dict[str, str | Handler] = {
            "/": WAYS.replace("elsewhere", there),
            "/hop": hop,
            "/ok": "<p>ok",
        }
        policy = Policy(deny=(Rule(cidr=ip_network("127.0.0.2/32")),))
        click = Step("click", Action.CLICK, Locator("role", "button", "Go"))
        nap = Step("nap", Action.WAIT, seconds=1)
        with site(pages) as url:
            played = browser.play(url, go(""), nap, click, go("ok"), policy=policy)

        assert played.done.fault is None
        assert asked.is_set()
        assert played.done.facts["unreached"].startswith(f"{there} (blocked)")
        # of them, those that are requests to Chromium
        assert played.done.failed_requests > 10
        assert not select.select([tcp, udp], [], [], 0)[0]


def test_a_redirect_to_the_metadata_is_blocked(browser: Child, trap: str) -> None:
    played = browser.play(trap, go("elsewhere"))

    want = f"want a request within the target policy, got one to {METADATA}:80"
    assert played.said == ("blocked", want)


def test_webrtc_finds_no_way_around_the_proxy(browser: Child, trap: str) -> None:
    none = Step("none", Action.EXPECT, expect={"title": "candidates 0"})

    assert browser.play(trap, go("rtc"), none).done.fault is None


def test_a_page_that_eats_memory_ends_with_a_report(trap: str) -> None:
    """In a child of its own: the browser must not be used again, and a nap does not look at it."""
    with child(heap=64 * 2**20) as it:
        browser = started(it)
        nap = Step("nap", Action.WAIT, seconds=5)
        played = browser.play(trap, go("memory"), nap, Step("never", Action.WAIT), deadline_s=20)

        assert played.said == ("resource", "want a page that lives, got a crash of its process")
        assert played.last.step in ("go", "nap")
        # told behind the run
        browser.say(Quit())
        assert browser.hear().message == "want a browser whose pages live, got a crash of one"


def test_when_the_supervisor_is_gone_nothing_is_left() -> None:
    with child() as it:
        browser = started(it)
        began = time.monotonic()
        assert browser.process.stdin is not None
        browser.process.stdin.close()

        browser.process.wait(5)

    assert time.monotonic() - began < 3
    assert browser.process.returncode == 0
    assert not browser.work.exists()
    assert not _left(str(browser.work))


def _left(work: str) -> list[str]:
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        # most of them are gone or not ours
        with suppress(OSError):
            if f"TMPDIR={work}".encode() in environ.read_bytes():
                found.append(environ.parent.name)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has no sandbox")
def test_a_sandbox_that_is_denied_tells_the_remedy() -> None:
    with child(sandbox=True) as (_, first):
        assert first.reason.value == "permission"
        assert first.message == (
            "want a sandbox, got Chromium as root, which has none: run the prober as another user,"
            " or write browser.sandbox: false"
        )
