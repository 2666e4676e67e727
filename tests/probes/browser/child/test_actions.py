"""Every action on a real page in a real Chromium, and what is said when it cannot be done."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from probes.browser.plan import Action, Locator, Step, Take
from probes.browser.protocol import Values
from tests.probes.browser.child.rig import Child, child, site, started, studio

pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(60)]

HOME = """<html><head><title>Shop</title></head><body><h1>Welcome</h1>
<label>Mail <input id="mail" placeholder="you@example.org"></label>
<label>Size <select><option value="s">Small</option><option value="l">Large</option></select>
</label>
<label><input type="checkbox" data-testid="terms"> Terms</label>
<label>Photo <input type="file"></label>
<button onclick="document.querySelector('h1').textContent = 'Paid by '
  + document.querySelector('#mail').value + ' ' + document.querySelector('select').value
  + document.querySelector('[type=checkbox]').checked
  + document.querySelector('[type=file]').files[0].name">Pay</button>
<button id="gone" style="display: none">Gone</button><button disabled>Off</button>
<button>Twin</button><button>Twin</button>
<div style="position: relative"><button id="under">Under</button>
<div id="veil" style="position: absolute; inset: 0"></div></div>
<a href="/second">Next</a>
<script>console.error('oops'); setTimeout(() => { throw new Error('boom') });
// from here, as the console tells of a lost image too: which of the two is first is no race
document.body.append(Object.assign(new Image(), { src: '/missing.png' }));</script>
</body></html>"""
LOUD = """<html><script>performance.getEntriesByType = () => []; JSON.stringify = () => 'evil';
window.PerformanceObserver = null; window.sondeVitals = 1;</script><body><h1>Loud</h1>
<button onclick="const end = performance.now() + 120; while (performance.now() < end);
document.body.append('clicked')">Go</button></body></html>"""
GO = Step("home", Action.GOTO, text="/")


async def _cookie(_: web.Request) -> web.Response:
    answer = web.Response(text="<p>Second page</p>", content_type="text/html")
    answer.set_cookie("sid", "canary-cookie")
    return answer


async def _broken(_: web.Request) -> web.Response:
    return web.Response(status=503, text="<p>no</p>", content_type="text/html")


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with site({"/": HOME, "/second": _cookie, "/broken": _broken, "/loud": LOUD}) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Child]:
    with child() as it:
        yield started(it)


def test_a_whole_journey_goes_well_and_leaves_no_file(
    browser: Child, shop: str, tmp_path: Path
) -> None:
    file = tmp_path / "me.txt"
    file.write_text("me")
    label, css = partial(Locator, "label"), partial(Locator, "css")
    paid = "Paid by a@b.c ltrueme.txt"
    steps = (
        GO,
        Step("mail", Action.FILL, Locator("placeholder", "you@"), text="${vars.mail}"),
        Step("size", Action.SELECT, label("Size"), text="Large"),
        Step("terms", Action.CHECK, Locator("test_id", "terms")),
        Step("photo", Action.UPLOAD, label("Photo"), text=str(file)),
        Step("pay", Action.CLICK, Locator("role", "button", "Pay")),
        Step("paid", Action.SEE, Locator("text", paid)),
        Step("no welcome", Action.NOT_SEE, Locator("text", "Welcome")),
        Step(
            "page",
            Action.EXPECT,
            expect={
                "title": "Shop",
                "url": {"contains": "127.0.0.1"},
                "text": {"contains": "${vars.mail}"},
                "page_errors": 1,
                "failed_requests": 1,
            },
        ),
        Step(
            "take",
            Action.EXTRACT,
            extract=(
                Take("who", "text", css("h1"), pattern="by (\\S+)", group=1),
                Take("mail", "value", css("#mail")),
                Take("kind", "attribute", css("input[type=file]"), attribute="type"),
                Take("buttons", "count", css("button")),
                Take("where", "url"),
                Take("title", "title"),
                Take("none", "text", css("#none"), is_optional=True),
                Take("some", "text", css("#none"), has_default=True, default="D"),
            ),
        ),
        Step("use", Action.FILL, label("Mail"), text="${who} ${buttons} ${title} ${some}"),
        Step("key", Action.PRESS, label("Mail"), text="End"),
        Step("key", Action.PRESS, text="!"),
        Step(
            "script",
            Action.EVALUATE,
            text="() => document.querySelector('#mail').value",
            expect={"result": "a@b.c 6 Shop D!"},
        ),
        Step("never", Action.WAIT, seconds=60, condition="${none}"),
        Step("moment", Action.WAIT, seconds=0.01),
        Step("shot", Action.SCREENSHOT),
        Step("next", Action.CLICK, Locator("text", "Next")),
        Step("on it", Action.EXPECT, expect={"url": {"contains": "/second"}}),
        Step("cookie", Action.EXTRACT, extract=(Take("sid", "cookie", attribute="sid"),)),
        Step("second", Action.GOTO, text="/second"),
    )

    played = browser.play(
        shop, *steps, values=Values(vars={"mail": "a@b.c"}), may_evaluate=True, record="full"
    )

    assert played.done.fault is None
    assert [it.state for it in played.ended if it.step != "never"] == ["ok"] * 20
    assert next(it.state for it in played.ended if it.step == "never") == "skipped"
    # but what a step took
    (shot,) = played.done.artefacts
    assert [path.name for path in played.files.iterdir()] == [shot.name]
    assert played.done.hidden == ("canary-cookie",)
    first = played.ended[0]
    assert (first.status, first.facts) == (200, {"url": f"{shop}/"})
    assert {"resolve", "connect", "processing", "transfer", "render"} == dict(first.phases).keys()
    assert [page.page for page in played.done.pages] == ["home", "second"]
    home = played.done.pages[0]
    assert {"ttfb", "fcp", "lcp", "cls", "tbt", "inp"} == home.vitals.keys()
    assert 0 < home.vitals["ttfb"] < home.vitals["fcp"] < 15
    assert {"dom_content_loaded", "load", "dns", "connect"} < home.timing.keys()
    assert ("image", "first", "bad", 1) in played.done.requests
    assert (played.done.page_errors, played.done.failed_requests) == (1, 1)
    assert played.done.facts["console error"] == "oops"
    assert dict(played.done.bytes)["first"] > len(HOME)


def test_vitals_survive_a_page_that_overwrites_its_world(browser: Child, shop: str) -> None:
    played = browser.play(
        shop,
        Step("loud", Action.GOTO, text="/loud"),
        Step("go", Action.CLICK, Locator("role", "button", "Go")),
        Step("done", Action.SEE, Locator("text", "clicked")),
        vitals={"inp": {"lt": "50ms"}, "cls": {"lt": 0.1}},
    )

    (page,) = played.done.pages
    assert page.vitals["inp"] >= 0.1
    assert page.vitals["tbt"] > 0.05
    reason, message = played.said
    assert reason == "latency"
    assert message.startswith("inp of page loud: want duration < 50ms, got 1")


WITHOUT_OPTION = (
    "want label \"Size\" to have the option 'Huge' within 0.3 s, got it without that option"
)
UNSAFE_PORT = (
    "want the page 'http://127.0.0.1:6000/', got a port that Chromium never speaks to"
    " (ERR_UNSAFE_PORT)"
)
FAILING = [
    pytest.param(
        Step("s", Action.CLICK, Locator("css", "#gone"), timeout_s=0.4),
        ("body", 'want css "#gone" to be clickable within 0.4 s, got it hidden'),
        id="hidden",
    ),
    pytest.param(
        Step("s", Action.CLICK, Locator("role", "button", "Off"), timeout_s=0.4),
        ("body", 'want button "Off" to be clickable within 0.4 s, got it disabled'),
        id="disabled",
    ),
    pytest.param(
        Step("s", Action.CLICK, Locator("css", "#under"), timeout_s=0.4),
        ("body", 'want css "#under" to be clickable within 0.4 s, got it covered by <div#veil>'),
        id="covered",
    ),
    pytest.param(
        Step("s", Action.CLICK, Locator("role", "button", "Twin"), timeout_s=0.4),
        ("body", 'want one element for button "Twin" to be clickable, got 2'),
        id="two of them",
    ),
    pytest.param(
        Step("s", Action.SEE, Locator("text", "Good bye"), timeout_s=0.3),
        ("body", 'want text "Good bye" to be visible within 0.3 s, got none'),
        id="not there",
    ),
    pytest.param(
        Step("s", Action.NOT_SEE, Locator("role", "button", "Twin"), timeout_s=0.3),
        ("body", 'want button "Twin" to be hidden within 0.3 s, got it visible'),
        id="still there",
    ),
    pytest.param(
        Step("s", Action.SELECT, Locator("label", "Size"), text="Huge", timeout_s=0.3),
        (
            "body",
            WITHOUT_OPTION,
        ),
        id="no such option",
    ),
    pytest.param(
        Step("s", Action.FILL, Locator("css", "h1"), text="x", timeout_s=0.3),
        ("body", 'want css "h1" to be writable, got an element that takes no text'),
        id="a heading",
    ),
    pytest.param(
        Step("s", Action.CHECK, Locator("css", "h1"), timeout_s=0.3),
        ("body", 'want css "h1" to be checkable, got an element that cannot be checked'),
        id="no checkbox",
    ),
    pytest.param(
        Step("s", Action.PRESS, text="Foo"),
        ("config", "want a key, got 'Foo': 'Unknown key: \"Foo\"'"),
        id="no key",
    ),
    pytest.param(
        Step("s", Action.EXPECT, expect={"title": "Store"}, timeout_s=0.2),
        ("body", "title: want 'Store', got 'Shop'"),
        id="title",
    ),
    pytest.param(
        Step("s", Action.EXPECT, expect={"console_errors": 0}, timeout_s=0.2),
        ("value", "console errors: want 0, got 2"),
        id="console",
    ),
    pytest.param(
        Step("s", Action.EXTRACT, extract=(Take("id", "text", Locator("css", "h1"), "", "\\d"),)),
        ("extract", "want id in the page, got nothing"),
        id="pattern",
    ),
    pytest.param(
        Step(
            "s", Action.EXTRACT, timeout_s=0.2,
            extract=(Take("id", "text", Locator("css", "#no")),),
        ),
        ("extract", 'want css "#no" for id within 0.2 s, got none'),
        id="nothing to take",
    ),
    pytest.param(
        Step("s", Action.EVALUATE, text="1"),
        ("config", "want browser.evaluate: true for evaluate, got false"),
        id="no scripts",
    ),
    pytest.param(
        Step("s", Action.CLICK, Locator("text", "${nope}")),
        ("config", "want a value of nope, got none: its step was skipped"),
        id="no value",
    ),
    pytest.param(
        Step("s", Action.GOTO, text="/broken"),
        ("status", "want a status below 400, got 503"),
        id="status",
    ),
    pytest.param(
        Step("s", Action.GOTO, text="/second", statuses=("404",)),
        ("status", "want status 404, got 200"),
        id="wanted status",
    ),
    pytest.param(
        Step("s", Action.GOTO, text="file:///etc/passwd"),
        ("config", "want an http:// or https:// URL, got 'file:///etc/passwd'"),
        id="file",
    ),
    pytest.param(
        Step("s", Action.GOTO, text="http://169.254.169.254/latest"),
        ("blocked", "want a request within the target policy, got one to 169.254.169.254:80"),
        id="metadata",
    ),
    pytest.param(
        Step("s", Action.GOTO, text="http://127.0.0.1:6000/"),
        (
            "config",
            UNSAFE_PORT,
        ),
        id="unsafe port",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def attempt(shop: str) -> Iterator[Callable[[Step], tuple[str, str] | None]]:
    with studio(shop) as it:
        yield it


@pytest.mark.parametrize(("step", "said"), FAILING)
def test_a_step_that_fails_says_what_was_wanted(
    attempt: Callable[[Step], tuple[str, str] | None], step: Step, said: tuple[str, str]
) -> None:
    assert attempt(step) == said


def test_the_run_of_a_step_that_fails_ends_with_it(browser: Child, shop: str) -> None:
    step = Step("s", Action.UPLOAD, Locator("label", "Photo"), text="/nowhere/me.txt")

    played = browser.play(shop, GO, step, Step("late", Action.WAIT), record="never")

    assert played.said == ("config", "want the file 'me.txt' to upload, got none")
    assert played.last.fault == played.done.fault
    assert (played.last.step, played.last.state) == ("s", "failed")
    assert list(played.files.iterdir()) == []
