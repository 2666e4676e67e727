"""Expressions as closures over a scope."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from probes.journey.language.closures import Scope, Unset, closure, reads_of
from probes.journey.language.functions import MAX_RESULT_CHARACTERS, chance
from probes.journey.language.grammar import parse

AT = datetime(2026, 11, 21, 18, 0, 42, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "token": "abc",
    "n": 5,
    "cart": {"id": 7, "items": [{"sku": "a"}, {"sku": "b"}]},
    "none": None,
}


def scope(**changes: Any) -> Scope:
    made = {
        "values": dict(VALUES),
        "row": {"user": "bob"},
        "vars": {"currency": "EUR", "shop": {"city": "Ulm"}},
        "secrets": {"password": "hunter22", "pin": "123"},
        "environ": {"HOME": "/root"},
    }
    return Scope(run_id="r-1", iteration=3, random=chance(1, 3), now=lambda: AT, **(made | changes))


def value(source: str, within: Scope | None = None) -> Any:
    return closure(parse(source))(within or scope())


@pytest.mark.parametrize(
    ("source", "result"),
    [
        pytest.param("${token}", "abc", id="variable"),
        pytest.param("${n}", 5, id="a number stays one"),
        pytest.param("${none}", None, id="null is a value"),
        pytest.param("${cart.id}", 7, id="member"),
        pytest.param("${cart.items[-1].sku}", "b", id="index from the end"),
        pytest.param("${row.user}", "bob", id="row"),
        pytest.param("${vars.currency}", "EUR", id="vars"),
        pytest.param("${vars.shop.city}", "Ulm", id="member of vars"),
        pytest.param("${secrets.pin}", "123", id="secret"),
        pytest.param("${run_id}-${seq()}", "r-1-3", id="run"),
        pytest.param("${[n, [token], 1]}", [5, ["abc"], 1], id="list"),
        pytest.param("${upper('${token}-${n}')}", "ABC-5", id="text inside a call"),
        pytest.param("${length(cart.items)}", 2, id="call on a member"),
        pytest.param("${random([token])}", "abc", id="one of variables"),
        pytest.param("${env('HOME')}", "/root", id="environment"),
        pytest.param("cart ${cart} ${none}", 'cart {"id":7,"items":[{"sku":"a"},{"sku":"b"}]} null',
                     id="joined as JSON"),
    ],
)  # fmt: skip
def test_an_expression_gives(source: str, result: Any) -> None:
    assert value(source) == result


@pytest.mark.parametrize(
    ("source", "name"),
    [
        pytest.param("${zz}", "zz", id="variable"),
        pytest.param("x${zz}", "zz", id="in a text"),
        pytest.param("${upper(zz)}", "zz", id="in a call"),
        pytest.param("${row.zz}", "row.zz", id="column"),
        pytest.param("${vars.zz}", "vars.zz", id="vars"),
        pytest.param("${secrets.zz}", "secrets.zz", id="secret"),
    ],
)
def test_a_variable_without_a_value_is_told_by_name(source: str, name: str) -> None:
    with pytest.raises(Unset) as caught:
        value(source)

    assert caught.value.name == name


def test_without_data_no_column_has_a_value() -> None:
    with pytest.raises(Unset):
        value("${row.user}", scope(row=None))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("${cart.price}", "want 'price' in ${cart}, got a mapping with ['id', 'items']",
                     id="no such member"),
        pytest.param("${cart.items[2].sku}", "want 2 in ${cart}, got a list of 2", id="too far"),
        pytest.param("${token.x}", "want 'x' in ${token}, got a single value", id="no mapping"),
        pytest.param("${cart[0]}", "want 0 in ${cart}, got a mapping with ['id', 'items']",
                     id="no list"),
        pytest.param("${secrets.password.x}", "want 'x' in ${secrets.password}, got a single value",
                     id="a secret is not shown"),
        pytest.param("${int(token)}", "int(): want a whole number, got 'abc'", id="by a function"),
        pytest.param("${lower(int(token))}", "int(): want a whole number, got 'abc'",
                     id="by an inner function"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_without_its_value(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        value(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("${randint(5, 1)}", "randint(): want randint(low, high), got 5 above 1 at"
                     " column 3 of '${r'", id="numbers"),
        pytest.param("${now('%Q')}", "now(): want a format such as %Y-%m-%d, got '%Q' at column 3"
                     " of '${n'", id="format"),
        pytest.param("${random([])}", "random(): want a list that is not empty, got [] at column 3"
                     " of '${r'", id="list"),
        pytest.param("${upper(int('x'))}", "int(): want a whole number, got 'x' at column 9 of"
                     " '${upper(i'", id="inner call"),
    ],
)  # fmt: skip
def test_what_can_never_be_right_is_told_at_load(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        closure(parse(source))


def test_the_environment_is_not_asked_at_load() -> None:
    asks = closure(parse("${env('SET_LATER')}"))

    assert asks(scope(environ={"SET_LATER": "now"})) == "now"


def test_a_pure_call_of_fixed_values_is_made_once() -> None:
    get = closure(parse("${[1, 2]}"))

    assert get(scope()) is get(scope())
    assert value("${sha256('abc')}")[:8] == "ba7816bf"


def test_chance_differs_between_calls() -> None:
    within = scope()

    assert len({value("${uuid()}", within) for _ in range(5)}) == 5


def test_what_is_made_of_a_secret_is_hidden_too() -> None:
    within = scope()
    made = [
        value(source, within)
        for source in (
            "${base64('bob:${secrets.password}')}",
            "${upper(lower(secrets.password))}",
            "${hmac(secrets.password, token)}",
            "${base64(token)}",
            "${length(secrets.password)}",
            "${lower(secrets.pin)}",
        )
    ]

    assert within.hidden == {*made[:3], "hunter22"}


def test_a_text_grows_to_a_bound_only() -> None:
    within = scope(values={"big": "x" * (MAX_RESULT_CHARACTERS // 2)})

    assert len(value("${big}${big}", within)) == MAX_RESULT_CHARACTERS
    with pytest.raises(ValueError, match="want a text of at most 1048576 characters, got 1048577"):
        value("${big}${big}.", within)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("${a} ${row.b} ${vars.c.d} ${secrets.e}", {"a", "row.b", "vars.c", "secrets.e"}),
        ("${hmac(a, '${b}', 'sha1')} ${[c, [d]]} ${e[0].f}", {"a", "b", "c", "d", "e"}),
        ("${run_id} ${uuid()} ${'x'}", set()),
    ],
)
def test_what_an_expression_reads_is_known(source: str, names: set[str]) -> None:
    assert set(reads_of(parse(source))) == names
