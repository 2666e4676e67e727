"""A recorded session becomes a journey that lints clean and really plays."""

import copy
import json
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.importing.foreign import ForeignError
from exporter.importing.har import read_har
from exporter.importing.journey import journey_text
from probes.config.load import load
from probes.result import Outcome
from probes.run import run_once
from tests.exporter.importing.shop import PASSWORD, Shop, recorded, served


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def url(shop: Shop) -> AsyncIterator[str]:
    async with served(shop) as url:
        yield url


def text_of(har: Any, name: str = "shop") -> str:
    return journey_text(read_har(Path("shop.har"), json.dumps(har)), name)


@pytest.mark.slow
async def test_a_recorded_session_is_played_again(tmp_path: Path, shop: Shop, url: str) -> None:
    text = text_of(await recorded(url))
    path = tmp_path / "shop.yaml"
    path.write_text(text)
    with ThreadPoolExecutor(1) as pool:
        environ = {**os.environ, "SHOP_PASSWORD": PASSWORD}
        config = pool.submit(load, path, environ=environ).result()

    result = await run_once(config.probes[0])

    assert config.warnings == ()
    assert result.outcome is Outcome.UP, result.failure
    assert [step.probe for step in result.steps] == [
        "home", "post-signup", "login", "items", "item", "post-cart", "post-cart-pay",
    ]  # fmt: skip
    # once as it was recorded, once as it was played, with a cart of its own
    assert len(set(shop.paid)) == 2


async def test_secrets_are_lifted_and_values_chained(url: str) -> None:
    har = await recorded(url)
    tokens = [
        header["value"].removeprefix("Bearer ")
        for entry in har["log"]["entries"]
        for header in entry["request"]["headers"]
        if header["name"] == "Authorization"
    ]

    text = text_of(har)

    assert PASSWORD not in text
    assert not any(token in text for token in tokens)
    for line in (
        "      password: {env: SHOP_PASSWORD}",
        "        extract: {token: $.token}",
        "        headers: {Authorization: 'Bearer ${token}'}",
        "        post: /api/cart/${cart_id}/pay",
        "        json: {item: '${item_id}', qty: 1}",
        "    vars: {email: ada@example.org}",
        "# Left out: static files: 1",
        "# Left out: trackers: 1",
        "# Left out: CORS preflights: 1",
        "# Left out: redirects, which a journey follows by itself: 1",
    ):
        assert line in text.split("\n")


def entry(url: str, method: str = "GET", status: int = 200, **more: Any) -> dict[str, Any]:
    request = {"method": method, "url": url, "headers": more.get("headers", [])}
    if "body" in more:
        request["postData"] = {"mimeType": "application/json", "text": more["body"]}
    content = {"mimeType": more.get("type", "application/json"), "text": more.get("text", "{}")}
    headers = [{"name": n, "value": v} for n, v in more.get("answer", {}).items()]
    return {
        "request": request,
        "response": {"status": status, "headers": headers, "content": content},
    }


def har(*entries: Any) -> dict[str, Any]:
    return {"log": {"version": "1.2", "entries": list(entries)}}


def header(name: str, value: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value}]


CANARY = "canary-8d7f6a5b4c"


@pytest.mark.parametrize(
    "it",
    [
        pytest.param(
            entry("http://a.test/x", headers=header("Authorization", f"Bearer {CANARY}")),
            id="bearer",
        ),
        pytest.param(
            entry("http://a.test/x", headers=header("X-Api-Key", CANARY)), id="key in a header"
        ),
        pytest.param(
            entry("http://a.test/x", headers=header("Cookie", f"sid={CANARY}; theme=dark")),
            id="cookie",
        ),
        pytest.param(entry(f"http://a.test/x?access_token={CANARY}"), id="query"),
        pytest.param(entry(f"http://user:{CANARY}@a.test/x"), id="user information"),
        pytest.param(
            entry("http://a.test/x", "POST", body=json.dumps({"a": [{"newPassword": CANARY}]})),
            id="deep in JSON",
        ),
        pytest.param(
            entry(
                f"http://a.test/again/{CANARY}", "POST", body=json.dumps({"password": CANARY})
            ),
            id="again in a path",
        ),
    ],
)  # fmt: skip
def test_a_secret_stands_nowhere_in_what_is_written(it: dict[str, Any]) -> None:
    text = text_of(har(it))

    assert CANARY not in text
    assert "${secrets." in text
    assert "{env: SHOP_" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "x.har:1: want JSON, got Expecting value", id="empty"),
        pytest.param("{\n'a'", "x.har:2: want JSON, got Expecting property name enclosed in "
                     "double quotes", id="no JSON"),
        pytest.param("[" * 100_000, "x.har: want at most 100 levels, got more", id="deep"),
        pytest.param('{"log": {}}', "x.har: want a HAR with log.entries, got something else",
                     id="no entries"),
        pytest.param('{"log": {"version": "9.9", "entries": []}}',
                     "x.har: log.version: want 1.1 or 1.2, got '9.9'", id="version"),
        pytest.param('{"log": {"entries": [1, {}]}}',
                     "x.har: want requests of a user, got URLs that are not http or https: 1, "
                     "entries that are none: 1", id="nothing of use"),
        pytest.param('{"log": NaN}', "x.har: want JSON, got 'NaN, which JSON has not'", id="NaN"),
    ],
)  # fmt: skip
def test_what_is_no_har_is_told(content: str, message: str) -> None:
    with pytest.raises(ForeignError) as told:
        read_har(Path("x.har"), content)

    assert str(told.value) == message


def test_other_hosts_are_counted_and_taken_in_when_asked() -> None:
    content = json.dumps(har(entry("http://a.test/", type="text/html"), entry("http://b.test/v1")))

    left = read_har(Path("x.har"), content)
    taken = read_har(Path("x.har"), content, ["b.test"])

    assert dict(left.omitted) == {"requests to other hosts (--include-host takes them in)": 1}
    assert [call.path for call in taken.calls] == ["/", "/v1"]
    assert "get: http://b.test/v1" in journey_text(taken, "shop")


def test_text_of_the_recording_is_never_an_expression(tmp_path: Path) -> None:
    body = json.dumps({"a": "${env(HOME)}", "b": "${HOME}", "c": "\ue000secrets.x\ue001"})
    path = tmp_path / "x.yaml"
    path.write_text(text_of(har(entry("http://a.test/${uuid()}", "POST", body=body))))

    config = load(path, environ={})

    text = path.read_text()
    assert "$${env(HOME)}" in text
    assert "$${HOME}" in text
    assert len(config.probes) == 1


def test_a_step_beyond_the_bound_is_counted() -> None:
    recording = read_har(
        Path("x.har"), json.dumps(har(*(entry(f"http://a.test/p{n}") for n in range(203))))
    )

    text = journey_text(recording, "shop")

    assert len(recording.calls) == 200
    assert "# Left out: requests behind the first 200: 3" in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@pytest.mark.slow
@given(sent=JSON, came=JSON, path=st.text(max_size=20), value=st.text(max_size=30))
def test_whatever_was_recorded_lints_clean(
    tmp_path_factory: pytest.TempPathFactory, sent: Any, came: Any, path: str, value: str
) -> None:
    first = entry(
        f"http://a.test/{path}", "POST", body=json.dumps(sent), text=json.dumps(came),
        headers=header("X-Note", value),
    )  # fmt: skip
    recording = read_har(Path("x.har"), json.dumps(har(first, copy.deepcopy(first))))
    text = journey_text(recording, "shop")
    file = tmp_path_factory.mktemp("har") / "x.yaml"
    file.write_text(text)
    environ = {f"SHOP_{key.upper()}": "canary-value" for key in recording.secrets}

    config = load(file, environ=environ)

    assert len(config.probes) == 1


def form(url: str, **fields: str) -> dict[str, Any]:
    made = entry(url, "POST")
    params = [{"name": name, "value": value} for name, value in fields.items()]
    made["request"]["postData"] = {
        "mimeType": "application/x-www-form-urlencoded", "params": params,
    }  # fmt: skip
    return made


def test_the_number_of_a_card_is_a_secret_and_a_number_of_things_is_none() -> None:
    text = text_of(
        har(form("http://a.test/pay", card="4242 4242 4242 4242", order="1234567890123"))
    )

    assert "4242" not in text
    assert "form: {card: '${secrets.card}', order: '1234567890123'}" in text


def test_a_short_value_is_chained_only_where_both_speak_of_the_same_thing() -> None:
    page = '<input type="hidden" name="item" value="1">'
    text = text_of(
        har(
            entry("http://a.test/items/1", type="text/html", text=page),
            form("http://a.test/cart", item="1", quantity="1"),
        )
    )

    assert "form: {item: '${item}', quantity: '1'}" in text


def test_what_a_browser_says_of_itself_is_left_out() -> None:
    said = [
        *header("User-Agent", "Mozilla/5.0"), *header("Accept", "text/html,application/xml;q=0.9"),
        *header("Sec-Fetch-Mode", "navigate"), *header("X-Team", "shop"),
    ]  # fmt: skip

    text = text_of(har(entry("http://a.test/", headers=said)))

    assert "headers: {X-Team: shop}" in text
    assert "Mozilla" not in text
    assert "text/html" not in text
