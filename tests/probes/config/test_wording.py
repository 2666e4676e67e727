"""What pydantic finds, in our words."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError
from pydantic_core._pydantic_core import list_all_errors

from probes.config.wording import WANTS, findings, got, known_keys
from probes.settings import Settings


class Inner(Settings):
    """Inside."""

    first: int = 1
    second: list[int] = Field(default_factory=list)


class Outer(Settings):
    """Outside."""

    inner: Inner = Inner()
    either: bool | Inner = False
    many: dict[str, Inner] = Field(default_factory=dict)
    listed: list[Inner] = Field(default_factory=list)
    from_: int = Field(default=0, alias="from")
    word: Literal["one", "two"] = "one"
    number: int | str = 0


def say(data: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return [(found.path, found.message) for found in findings(caught.value, data, Outer)]


KNOWN = "want a known key, got"
ROWS: list[tuple[str, dict[str, Any], dict[tuple[str | int, ...], str]]] = [
    (
        "inside",
        {"inner": {"frst": 1}},
        {("inner", "frst"): f"{KNOWN} 'frst'; did you mean 'first'?"},
    ),
    (
        "in a list",
        {"listed": [{}, {"secon": 1}]},
        {("listed", 1, "secon"): f"{KNOWN} 'secon'; did you mean 'second'?"},
    ),
    (
        "in a mapping of mappings",
        {"many": {"x": {"firs": 1}}},
        {("many", "x", "firs"): f"{KNOWN} 'firs'; did you mean 'first'?"},
    ),
    ("alias", {"frm": 1}, {("frm",): f"{KNOWN} 'frm'; did you mean 'from'?"}),
    (
        "the form that says more",
        {"either": {"frst": 1}},
        {("either", "frst"): f"{KNOWN} 'frst'; did you mean 'first'?"},
    ),
    ("neither form", {"either": 7}, {("either",): "want true or false or a mapping, got 7"}),
    (
        "neither scalar",
        {"number": None},
        {("number",): "want a whole number or a text, got nothing"},
    ),
    (
        "items",
        {"inner": {"second": ["x", 1.5]}},
        {
            ("inner", "second", 0): "want a whole number, got 'x'",
            ("inner", "second", 1): "want a whole number, got 1.5",
        },
    ),
    ("truth", {"inner": True}, {("inner",): "want a mapping, got true"}),
    (
        "choice",
        {"word": "tow"},
        {("word",): "want 'one' or 'two', got 'tow'; did you mean 'two'?"},
    ),
]


@pytest.mark.parametrize(("name", "data", "wanted"), ROWS, ids=[row[0] for row in ROWS])
def test_findings_stand_where_the_data_is(
    name: str, data: dict[str, Any], wanted: dict[tuple[str | int, ...], str]
) -> None:
    assert dict(say(data)) == wanted


class Anything(BaseModel):
    """Takes whatever error it is told to raise."""

    value: Any


@pytest.mark.parametrize("error", list_all_errors(), ids=lambda error: error["type"])
def test_no_error_speaks_like_pydantic(error: Any) -> None:
    """Every type of error that the installed pydantic knows."""
    is_own = error["type"] in ("value_error", "assertion_error")
    context = {"error": "want x, got y"} if is_own else error.get("example_context") or {}
    details = {"type": error["type"], "loc": ("value",), "input": "x", "ctx": context}
    raised = ValidationError.from_exception_data("x", [details])  # type: ignore[list-item]

    found = findings(raised, {"value": "x"}, Anything)

    assert found
    assert all(finding.message.startswith("want ") for finding in found)
    assert not any("Input should" in finding.message for finding in found)


def test_every_phrase_belongs_to_an_error_of_pydantic() -> None:
    assert WANTS.keys() <= {error["type"] for error in list_all_errors()}


@pytest.mark.parametrize(
    ("value", "path", "shown"),
    [
        pytest.param("x", ("a",), "'x'", id="text"),
        pytest.param("x", ("headers", "Authorization"), "a hidden value", id="secret key"),
        pytest.param({"a": "secret"}, (), "a mapping", id="mapping"),
        pytest.param(["secret"], (), "a list", id="list"),
        pytest.param(None, (), "nothing", id="null"),
        pytest.param(False, (), "false", id="false"),
        pytest.param("x" * 100, (), "'" + "x" * 78 + "…", id="cut"),
    ],
)
def test_values_are_shown_short_and_without_secrets(
    value: object, path: tuple[str, ...], shown: str
) -> None:
    assert got(value, path) == shown


def test_known_keys_are_those_beside_the_last_step() -> None:
    assert known_keys(Outer, ("inner", "x")) == ["first", "second"]
    assert known_keys(Outer, ("many", "any", "x")) == ["first", "second"]
    assert "from" in known_keys(Outer, ("x",))
