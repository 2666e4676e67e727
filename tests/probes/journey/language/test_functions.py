"""The functions of ``${...}``."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from random import Random, SystemRandom
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.journey.language.functions import (
    FUNCTIONS,
    MAX_RESULT_CHARACTERS,
    Surroundings,
    chance,
    text_of,
)

AT = datetime(2026, 11, 21, 18, 0, 42, 123456, tzinfo=UTC)


@dataclass
class Around:
    """Surroundings that stand still."""

    iteration: int = 7
    random: Random = field(default_factory=lambda: chance(1, 0))
    at: datetime = AT
    environ: Mapping[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)

    def now(self) -> datetime:
        return self.at


def call(name: str, *arguments: Any, around: Surroundings | None = None) -> Any:
    return FUNCTIONS[name].call(around or Around(), *arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        pytest.param("now", (), "2026-11-21T18:00:42.123Z", id="iso"),
        pytest.param("now", ("unix",), 1795284042, id="unix"),
        pytest.param("now", ("unix_ms",), 1795284042123, id="unix in milliseconds"),
        pytest.param("now", ("%Y-%m-%d",), "2026-11-21", id="by a format"),
        pytest.param("now", ("%H:%M%%",), "18:00%", id="a literal percent sign"),
        pytest.param("now", ("%Y-%m-%d", "1d"), "2026-11-22", id="tomorrow"),
        pytest.param("now", ("%d %H", "+6h"), "22 00", id="with a plus"),
        pytest.param("now", ("%H", "-2h"), "16", id="two hours ago"),
        pytest.param("randint", (3, 3), 3, id="one number"),
        pytest.param("randint", ("3", 3.0), 3, id="numbers out of a csv"),
        pytest.param("random", (["a"],), "a", id="one element"),
        pytest.param("seq", (), 7, id="number of the run"),
        pytest.param("env", ("ABSENT", "x"), "x", id="a default"),
        pytest.param("base64", ("user:pässword",), "dXNlcjpww6Rzc3dvcmQ=", id="base64"),
        pytest.param(
            "sha256",
            ("abc",),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            id="sha-256 of FIPS 180",
        ),
        pytest.param(
            "hmac",
            ("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            id="RFC 4231, test case 2",
        ),
        pytest.param(
            "hmac",
            ("Jefe", "what do ya want for nothing?", "sha1"),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            id="RFC 2202, test case 2",
        ),
        pytest.param(
            "hmac",
            ("Jefe", "what do ya want for nothing?", "sha256", "base64"),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=",
            id="as webhooks sign",
        ),
        pytest.param("lower", ("ÄB",), "äb", id="lower"),
        pytest.param("upper", ("äb",), "ÄB", id="upper"),
        pytest.param("urlencode", ("a b/ü&",), "a%20b%2F%C3%BC%26", id="urlencode"),
        pytest.param("json", ({"a": [1, None]},), '{"a":[1,null]}', id="json of a mapping"),
        pytest.param("json", ('say "hi"',), r'"say \"hi\""', id="json of a text has quotes"),
        pytest.param("length", ("äb",), 2, id="characters"),
        pytest.param("length", ([1, 2, 3],), 3, id="elements"),
        pytest.param("int", ("-042",), -42, id="whole number out of a text"),
        pytest.param("int", (3.0,), 3, id="whole float"),
        pytest.param("text", (True,), "true", id="text"),
    ],
)
def test_a_function_gives(name: str, arguments: tuple[Any, ...], result: Any) -> None:
    assert call(name, *arguments) == result


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        pytest.param(
            "now", ("Y-m-d",),
            "want iso, unix, unix_ms or a format such as %Y-%m-%d, got 'Y-m-d'", id="no directive",
        ),
        pytest.param(
            "now", ("%Q",), "want a format such as %Y-%m-%d, got '%Q'", id="unknown directive"
        ),
        pytest.param(
            "now", ("%Y%",), "want a format such as %Y-%m-%d, got '%'", id="half a directive"
        ),
        pytest.param(
            "now", ("iso", "soon"),
            "want a duration with its unit such as 500ms, 10s or 5m, got 'soon'", id="no duration",
        ),
        pytest.param("now", ("iso", 5), "want a shift such as 1d or -2h, got 5", id="no text"),
        pytest.param("random", ([],), "want a list that is not empty, got []", id="empty list"),
        pytest.param("random", ("ab",), "want a list that is not empty, got 'ab'", id="a text"),
        pytest.param(
            "randint", (5, 1), "want randint(low, high), got 5 above 1", id="wrong way round"
        ),
        pytest.param("randint", ("a", 1), "want a whole number, got 'a'", id="no number"),
        pytest.param("int", (True,), "want a whole number, got true", id="a boolean"),
        pytest.param("int", (1.5,), "want a whole number, got 1.5", id="a broken number"),
        pytest.param("int", ("٣",), "want a whole number, got '٣'", id="foreign digits"),
        pytest.param(
            "env", ("ABSENT",),
            "want the environment variable 'ABSENT' to be set, got none", id="unset variable",
        ),
        pytest.param(
            "hmac", ("k", "x", "md5"),
            "want one of sha256, sha1, sha384, sha512, got 'md5'", id="weak algorithm",
        ),
        pytest.param(
            "hmac", ("k", "x", "sha1", "raw"), "want one of hex, base64, got 'raw'", id="encoding"
        ),
        pytest.param("totp", ("MFRGG", 5), "want 6 to 8 digits, got 5", id="too few digits"),
        pytest.param(
            "totp", ("MFRGG", 6, 0), "want 1 to 600 seconds, got 0", id="no validity at all"
        ),
        pytest.param(
            "length", (5,), "want a text, a list or a mapping, got 5", id="a number has no length"
        ),
        pytest.param(
            "text", (float("inf"),), "want a value of JSON, got inf", id="infinity has no text"
        ),
        pytest.param("text", (b"x",), "want a value of JSON, got b'x'", id="bytes have no text"),
        pytest.param(
            "base64", ("x" * MAX_RESULT_CHARACTERS,),
            "want a text of at most 1048576 characters, got 1398104", id="too long",
        ),
    ],
)  # fmt: skip
def test_a_function_refuses(name: str, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(name, *arguments)


@pytest.mark.parametrize(
    ("unix", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_a_one_time_password_is_that_of_rfc_6238(unix: int, code: str) -> None:
    around = Around(at=datetime.fromtimestamp(unix, UTC))
    secret = base64.b32encode(b"12345678901234567890").decode()

    assert call("totp", secret, 8, around=around) == code
    assert call("totp", secret, around=around) == code[2:]
    assert call("totp", f"{secret[:4].lower()} {secret[4:]}", around=around) == code[2:]


@pytest.mark.parametrize("secret", ["", "not base32 189!", "A"])
def test_a_bad_secret_of_a_one_time_password_is_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="base32") as caught:
        call("totp", secret)

    assert str(caught.value) == "want a secret in base32 (A to Z, 2 to 7), got another text"


def test_the_time_is_told_in_utc_wherever_the_clock_stands() -> None:
    around = Around(at=AT.astimezone(timezone(timedelta(hours=5))))

    assert call("now", "%H:%M", around=around) == "18:00"
    assert call("now", around=around) == "2026-11-21T18:00:42.123Z"


def test_a_uuid_is_one_of_version_4() -> None:
    made = UUID(call("uuid"))

    assert (made.version, made.variant) == (4, "specified in RFC 4122")


def test_without_a_seed_chance_is_the_systems() -> None:
    """Two shards that start from one state would hand out the same uuid twice."""
    assert isinstance(chance(None, 0), SystemRandom)


def test_with_a_seed_chance_depends_on_seed_and_iteration_alone() -> None:
    draws = [[chance(seed, n).random() for n in (0, 1, 2)] for seed in (1, 1, 2)]

    assert draws[0] == draws[1]
    assert len({*draws[0], *draws[2]}) == 6


def test_an_environment_variable_with_a_telling_name_is_hidden() -> None:
    around = Around(environ={"API_TOKEN": "hunter22", "COLOUR": "turquoise", "PASSWORD": "no"})

    values = [call("env", name, around=around) for name in around.environ]

    assert values == ["hunter22", "turquoise", "no"]
    assert around.hidden == {"hunter22"}


def test_foreign_bytes_of_the_environment_are_replaced() -> None:
    assert call("env", "X", around=Around(environ={"X": "a\udcff"})) == "a?"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("x", "x", id="text"),
        pytest.param(True, "true", id="boolean"),
        pytest.param(None, "null", id="null"),
        pytest.param(5, "5", id="whole number"),
        pytest.param(1.5, "1.5", id="number"),
        pytest.param({"ü": [1, "a"]}, '{"ü":[1,"a"]}', id="mapping as JSON"),
    ],
)
def test_values_become_text_as_json_says(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_the_table_says_what_the_functions_take() -> None:
    for name, function in FUNCTIONS.items():
        written = [part for part in re.split(r"[\[\], ]+", function.arguments) if part]
        required = function.arguments.partition("[")[0]
        assert name == function.name
        assert len(written) == function.most, name
        assert len([part for part in required.split(",") if part.strip()]) == function.least, name
        assert function.summary, name
        assert not function.summary.endswith("."), name


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(VALUES, min_size=4, max_size=4))
def test_no_argument_makes_a_function_fail_otherwise(name: str, values: list[Any]) -> None:
    function = FUNCTIONS[name]
    for count in range(function.least, function.most + 1):
        try:
            result = function.call(Around(), *values[:count])
        except ValueError:
            continue
        if isinstance(result, str) and name not in ("random", "env"):
            result.encode()
