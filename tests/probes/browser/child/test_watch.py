"""What happens beside the steps is counted, however much of it there is."""

from types import SimpleNamespace
from typing import Any

import pytest

from probes.browser.child.watch import MAX_LINES, Watch, bytes_by_party, cut, party


def request(url: str = "https://shop.example/a?token=x", **how: Any) -> Any:
    return SimpleNamespace(
        **{"url": url, "resource_type": "script", "method": "GET", "failure": None, **how}
    )


def response(status: int, asked: Any) -> Any:
    return SimpleNamespace(status=status, request=asked)


@pytest.mark.parametrize(
    ("host", "own", "wanted"),
    [
        ("shop.example", "shop.example", "first"),
        ("cdn.shop.example", "shop.example", "first"),
        ("shop.example", "www.shop.example", "first"),
        ("cdn.shop.example", "www.shop.example", "first"),
        ("evilshop.example", "shop.example", "third"),
        ("example", "shop.example", "third"),
        ("", "shop.example", "third"),
    ],
)
def test_the_first_party_is_the_host_and_what_lies_below_it(
    host: str, own: str, wanted: str
) -> None:
    assert party(host, own) == wanted


def test_requests_are_counted_by_type_party_and_ending() -> None:
    watch = Watch("shop.example")
    watch.on_response(response(200, request()))
    watch.on_response(response(404, request("https://cdn.else.example/b")))
    watch.on_request_failed(request("http://[broken", failure="net::ERR_CONNECTION_REFUSED"))

    assert watch.counted() == (
        ("script", "first", "good", 1),
        ("script", "third", "bad", 1),
        ("script", "third", "failed", 1),
    )
    assert watch.failed_requests == 2
    assert watch.facts() == {"failed request": "https://cdn.else.example/b: status 404"}
    assert watch.lines == [
        "GET https://shop.example/a 200",
        "GET https://cdn.else.example/b 404",
        "GET http://[broken ERR_CONNECTION_REFUSED",
    ]


@pytest.mark.parametrize("text", ["net::ERR_ABORTED", "net::ERR_BLOCKED_BY_CLIENT", "inspector"])
def test_what_the_page_or_the_journey_gave_up_did_not_fail(text: str) -> None:
    watch = Watch("shop.example")
    watch.on_request_failed(request(failure=text))

    assert (watch.failed_requests, watch.counted()) == (0, (("script", "first", "failed", 1),))


def test_an_answer_that_broke_off_is_one_request() -> None:
    watch, asked = Watch("shop.example"), request(failure="net::ERR_CONTENT_LENGTH_MISMATCH")
    watch.on_response(response(200, asked))
    watch.on_request_failed(asked)

    assert watch.counted() == (("script", "first", "good", 1),)
    assert watch.lines[-1] == "GET https://shop.example/a ERR_CONTENT_LENGTH_MISMATCH"


def test_a_finished_request_is_forgotten() -> None:
    watch, asked = Watch("shop.example"), request(failure="net::ERR_FAILED")
    watch.on_response(response(200, asked))
    watch.on_request_finished(asked)
    watch.on_request_failed(asked)

    assert watch.failed_requests == 1


def test_a_flood_is_counted_but_not_kept() -> None:
    watch = Watch("shop.example")
    for number in range(10_000):
        watch.on_console(SimpleNamespace(type="log", text="x" * 10_000))
        watch.on_page_error(f"error {number}")
    watch.on_console(SimpleNamespace(type="error", text="late"))

    assert (watch.page_errors, watch.console_errors, len(watch.console)) == (10_000, 1, MAX_LINES)
    assert watch.facts() == {"page error": "error 0", "console error": "late"}


@pytest.mark.parametrize(
    ("text", "url", "errors"),
    [
        ("Failed to load resource: 404", "https://shop.example/favicon.ico", 0),
        ("Failed to load resource: 404", "https://shop.example/favicon.ico/a.png", 1),
        ("Failed to load resource: 404", "http://[broken", 1),
        ("Failed to parse", "https://shop.example/favicon.ico", 1),
    ],
)
def test_an_icon_that_no_page_asked_for_is_no_error(text: str, url: str, errors: int) -> None:
    watch = Watch("shop.example")

    watch.on_console(SimpleNamespace(type="error", text=text, location={"url": url}))

    assert (watch.console_errors, watch.console) == (errors, [f"error: {text}"])


def test_what_was_refused_is_told() -> None:
    watch = Watch("shop.example")
    watch.on_dialog(SimpleNamespace(type="alert", message="Hello\n\x1b[2Jyou"))
    watch.on_popup(SimpleNamespace(url="https://ads.example/?id=secret"))
    watch.on_popup(SimpleNamespace(url="about:blank"))
    watch.on_download(SimpleNamespace(suggested_filename="a\ud800.bin"))
    watch.on_crash()

    assert watch.is_crashed
    assert watch.facts() == {
        "dialog": "alert: Hello  [2Jyou",
        "popup": "https://ads.example/",
        "download": "a?.bin",
        "dialogs": "1",
        "popups": "2",
        "downloads": "1",
    }


def test_a_long_line_is_cut() -> None:
    assert cut("x" * 600) == "x" * 500 + "…"


def test_bytes_are_told_by_party() -> None:
    assert bytes_by_party({"shop.example": 5, "a.shop.example": 2, "x": 1}, "shop.example") == (
        ("first", 7),
        ("third", 1),
    )
