"""``${VAR}`` in values."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.config.variables import Variables

ENVIRON = {
    "A": "x",
    "B": "${A}",
    "EMPTY": "",
    "BAD": "\udcff",
    "API_TOKEN": "hunter22",
    "TOKEN": "0",
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param("${A}", "x", id="alone"),
        pytest.param("http://${A}:${A}/", "http://x:x/", id="inside"),
        pytest.param("${B}", "${A}", id="T11 a value is not expanded again"),
        pytest.param("${NOPE:-d}", "d", id="default"),
        pytest.param("${NOPE:-}", "", id="empty default"),
        pytest.param("${EMPTY:-d}", "d", id="default of an empty one"),
        pytest.param("${A:-d}", "x", id="default is not needed"),
        pytest.param("${NOPE:-a:-b}", "a:-b", id="default with the separator"),
        pytest.param("${EMPTY}", "", id="empty"),
        pytest.param("$${A}", "${A}", id="escape"),
        pytest.param("$$${A}", "$${A}", id="escape behind a dollar"),
        pytest.param("pa$$word$1 $.a $", "pa$$word$1 $.a $", id="T11 lone dollars stay"),
    ],
)
def test_references_are_replaced(text: str, wanted: str) -> None:
    assert Variables(ENVIRON).expand(text) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "${NOPE}", "want the environment variable NOPE to be set, got none", id="T11 unset"
        ),
        pytest.param(
            "${BAD}", "want UTF-8 in the environment variable BAD, got other bytes", id="not UTF-8"
        ),
        *(
            pytest.param(
                text,
                f"want ${{NAME}} or ${{NAME:-default}}, got {shown!r}"
                "; a literal '${' is written '$${'",
                id=text,
            )
            for text, shown in [
                ("${}", "${}"),
                ("${1}", "${1}"),
                ("${A", "${A"),
                ("${a b}", "${a b}"),
                ("${A:-${B}}", "${A:-${B}"),
                ("${A-b}", "${A-b}"),
            ]
        ),
    ],
)
def test_what_is_no_reference_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="want") as caught:
        Variables(ENVIRON).expand(text)

    assert str(caught.value) == message


def test_values_of_telling_names_are_secrets() -> None:
    variables = Variables(ENVIRON)

    variables.expand("${A} ${API_TOKEN} ${TOKEN}")

    assert variables.secrets == {"hunter22"}


@given(st.text(alphabet="$\\{}AB:-x", max_size=20))
def test_any_text_expands_or_is_told(text: str) -> None:
    variables = Variables(ENVIRON)
    try:
        expanded = variables.expand(text)
    except ValueError as error:
        message = str(error)
        expanded = ""
    else:
        message = "want "

    assert message.startswith("want ")
    if "${" not in text:
        assert expanded == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("${A}-${b}-$${C}-$${d}", "1-${b}-$${C}-$${d}", id="upper case alone"),
        pytest.param("${A:-x}${NONE:-x}", "1x", id="defaults"),
        pytest.param("${Ab}${A b}${row.A}", "${Ab}${A b}${row.A}", id="what the journey judges"),
        pytest.param("${A", "${A", id="without an end"),
        pytest.param("${EVIL}", "$${b}", id="an opening in a value"),
        pytest.param("${HALF}{b}", "$${b}", id="half an opening in a value"),
    ],
)
def test_in_a_journey_the_rest_is_left_to_it(text: str, left: str) -> None:
    variables = Variables({"A": "1", "EVIL": "${b}", "HALF": "$"})

    assert variables.expand_in_journey(text) == left


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("${NONE}", "want the environment variable NONE to be set", id="unset"),
        pytest.param("${A:-${b}}", "want ${NAME} or ${NAME:-default}", id="nested"),
    ],
)
def test_in_a_journey_the_same_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Variables({"A": "1"}).expand_in_journey(text)


def test_in_a_journey_a_secret_of_the_environment_is_remembered() -> None:
    variables = Variables({"API_TOKEN": "abc${x}def"})

    variables.expand_in_journey("${API_TOKEN}")

    assert variables.secrets == {"abc${x}def"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("${base64('${A}:x')}", id="in a quoted text"),
        pytest.param("${sha256(${A})}", id="bare"),
        pytest.param('${hmac("}", "${A}")}', id="behind a quoted brace"),
        pytest.param("${row.x} ${upper('${A:-d}')}", id="in the second expression"),
        pytest.param("${ base64('${A}')}", id="behind a blank"),
        pytest.param("${'${A}'}", id="in an expression that begins with a quote"),
        pytest.param(r"${base64('a\'${A}')}", id="behind an escaped quote"),
        pytest.param("${base64('${A}", id="in one without an end"),
    ],
)
def test_a_value_of_the_environment_becomes_no_part_of_an_expression(text: str) -> None:
    with pytest.raises(ValueError, match=r"want env\('A'\) inside an expression, got "):
        Variables({"A": "' + evil"}).expand_in_journey(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("${row.x}${A}", "${row.x}1", id="behind one that has ended"),
        pytest.param("$${x ${A}", "$${x 1", id="behind a literal opening"),
        pytest.param("${upper('}')} ${A}", "${upper('}')} 1", id="behind a quoted brace"),
    ],
)
def test_beside_an_expression_it_is_replaced(text: str, left: str) -> None:
    assert Variables({"A": "1"}).expand_in_journey(text) == left


def test_a_text_is_walked_once_however_many_references_it_has() -> None:
    text = "${a}${A}" * 50_000

    began = time.perf_counter()
    left = Variables({"A": "1"}).expand_in_journey(text)

    # 0.2 s; from the start again for each of them it took minutes
    assert time.perf_counter() - began < 5
    assert left == "${a}1" * 50_000
