"""Collections become journeys: variables, folders, credentials, the two idioms of scripts."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.importing.foreign import ForeignError
from exporter.importing.journey import journey_text
from exporter.importing.postman import read_postman
from probes.config.load import load

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
URL = "{{baseUrl}}/api"
CANARY = "canary-8d7f6a5b4c"


def collection(*items: Any, **more: Any) -> str:
    info = {"name": "Shop API", "schema": more.pop("schema", SCHEMA)}
    base = [{"key": "baseUrl", "value": "http://127.0.0.1:8080"}]
    variables = [*base, *more.pop("variable", [])]
    return json.dumps({"info": info, "item": items, "variable": variables, **more})


def item(name: str, method: str = "GET", url: Any = URL, **more: Any) -> dict[str, Any]:
    outer: dict[str, Any] = {key: more.pop(key) for key in ("event", "response") if key in more}
    return {"name": name, "request": {"method": method, "url": url, **more}, **outer}


def script(*lines: str) -> list[dict[str, Any]]:
    return [{"listen": "test", "script": {"exec": list(lines)}}]


def text_of(content: str) -> str:
    return journey_text(read_postman(Path("shop.json"), content), "shop")


def linted(tmp_path: Path, text: str, **environ: str) -> str:
    path = tmp_path / "shop.yaml"
    path.write_text(text)
    config = load(path, environ=environ)
    assert len(config.probes) == 1
    return text


def test_a_token_that_a_script_sets_is_extracted_and_sent(tmp_path: Path) -> None:
    auth = {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}"}]}
    login = item(
        "Login",
        "POST",
        body={"mode": "raw", "raw": json.dumps({"user": "ada", "password": CANARY})},
        header=[{"key": "Content-Type", "value": "application/json"}],
        event=script(
            "pm.test('ok', () => pm.response.to.have.status(201));",
            "const data = pm.response.json();",
            "pm.environment.set('token', data.auth['access-token']);",
        ),
    )
    folder = {"name": "Account", "item": [login, item("Me", url=f"{URL}/me")]}
    content = collection(folder, auth=auth, variable=[{"key": "token", "value": ""}])

    text = linted(tmp_path, text_of(content), SHOP_PASSWORD="x-secret-x")

    assert CANARY not in text
    for line in (
        "    base_url: ${SHOP_URL:-http://127.0.0.1:8080}",
        "        expect: {status: 201}",
        "        extract: {token: '$.auth[''access-token'']'}",
        "        json: {user: '${user}', password: '${secrets.password}'}",
        "        headers: {Authorization: 'Bearer ${token}'}",
        "# Left out: lines of scripts, of which variables and status are read: 3",
    ):
        assert line in text.split("\n")
    # the login itself has no token yet
    assert text.count("Authorization") == 1


@pytest.mark.parametrize(
    ("auth", "line"),
    [
        pytest.param(
            {"type": "basic", "basic": {"username": "bob", "password": CANARY}},
            "headers: {Authorization: 'Basic ${base64(''bob:${secrets.password}'')}'}",
            id="basic, as version 2.0 has it",
        ),
        pytest.param(
            {"type": "apikey", "apikey": [{"key": "key", "value": "X-Foo"},
                                          {"key": "value", "value": CANARY}]},
            "headers: {X-Foo: '${secrets.x_foo}'}", id="key in a header",
        ),
        pytest.param(
            {"type": "apikey", "apikey": [{"key": "key", "value": "k"}, {"key": "in",
             "value": "query"}, {"key": "value", "value": CANARY}]},
            "params: {k: '${secrets.k}'}", id="key in the query",
        ),
        pytest.param(
            {"type": "bearer", "bearer": [{"key": "token", "value": CANARY}]},
            "headers: {Authorization: 'Bearer ${secrets.token}'}", id="bearer",
        ),
    ],
)  # fmt: skip
def test_credentials_become_secrets(tmp_path: Path, auth: Any, line: str) -> None:
    recording = read_postman(Path("shop.json"), collection(item("Me", auth=auth)))
    text = journey_text(recording, "shop")
    environ = {f"SHOP_{key.upper()}": "x-secret-x" for key in recording.secrets}

    linted(tmp_path, text, **environ)

    assert CANARY not in text
    assert line in [row.strip() for row in text.split("\n")]


def test_variables_become_variables(tmp_path: Path) -> None:
    content = collection(
        item(
            "Cart", "POST", {"raw": f"{URL}/carts/:cart?x=1&y=2", "variable": [
                {"key": "cart", "value": "{{cartId}}"}
            ]},
            body={"mode": "raw", "raw": '{"n": {{count}}, "id": "{{$guid}}"}', "options": {
                "raw": {"language": "json"}
            }},
        ),
        variable=[{"key": "count", "value": 3}, {"key": "apiSecret", "value": CANARY},
                  {"key": "unused", "value": "x"}],
    )  # fmt: skip

    text = linted(tmp_path, text_of(content))

    assert CANARY not in text
    for line in (
        "vars: {count: 3, cart_id: ''}",
        "post: /api/carts/${cart_id}",
        "params: {x: '1', y: '2'}",
        "json: {n: '${count}', id: '${uuid()}'}",
        "# CHECK: cartId has no value in the collection: vars.cart_id",
    ):
        assert line in [row.strip() for row in text.split("\n")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{}", "x.json: info.schema: want a Postman collection v2.0 or v2.1, got none",
                     id="no collection"),
        pytest.param(
            collection(schema="https://schema.getpostman.com/json/collection/v1.0.0/"),
            "x.json: info.schema: want a Postman collection v2.0 or v2.1, got "
            "'https://schema.getpostman.com/json/collection/v1.0.0/'",
            id="old version",
        ),
        pytest.param(collection(), "x.json: item: want requests, got none that a journey can send",
                     id="empty"),
        pytest.param(
            collection(json.loads('{"item": [' * 60 + "]}" * 60)),
            "x.json: want at most 100 levels, got more", id="deep folders",
        ),
    ],
)  # fmt: skip
def test_what_is_no_collection_is_told(content: str, message: str) -> None:
    with pytest.raises(ForeignError) as told:
        read_postman(Path("x.json"), content)

    assert str(told.value) == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "item", "request", "url", "raw", "method", "header", "key",
                         "value", "auth", "type", "bearer", "body", "mode", "event", "script",
                         "exec", "response", "query", "variable"]), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@pytest.mark.slow
@given(items=st.lists(JSON, max_size=4), auth=JSON)
def test_any_json_is_taken_over_or_told(items: list[Any], auth: Any) -> None:
    try:
        text = text_of(collection(*items, auth=auth))
    except ForeignError as error:
        assert "x.json" in str(error) or "shop.json" in str(error)  # noqa: PT017 - of two ends
    else:
        assert text.startswith("# Taken over")
