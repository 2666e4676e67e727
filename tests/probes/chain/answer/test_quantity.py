"""Numbers, times and names as nodes write them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.answer.quantity import OTHER_CLIENT, client_name, comet_time, decimal, quantity

LARGEST = 2**256 - 1


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0x", 0),
        ("0x0", 0),
        ("0X1f", 31),
        ("0x0010", 16),
        ("12", 12),
        ("0012", 12),
        (12, 12),
        (0, 0),
        (2**53 + 1, 2**53 + 1),
        ("0x" + "f" * 64, LARGEST),
        (str(LARGEST), LARGEST),
        (LARGEST, LARGEST),
    ],
    ids=repr,
)
def test_a_quantity_is_read_in_every_spelling_in_use(value: object, number: int) -> None:
    """Row 54."""
    assert quantity(value) == number


@pytest.mark.parametrize(
    "value",
    [
        1.0, 1e3, True, False, None, -1, "-1", "-0x1", "0x-1", "+1", "", " 1", "1 ", "0x 1", "1_0",
        "0xg", "1e3", "0b1", "0x1.0", "٣", "0x٣", [], {}, b"0x1", "0x" + "0" * 65, "1" * 79,
        str(LARGEST + 1), LARGEST + 1, "1" * 5000, float("inf"), float("nan"), "0x1\n",
    ],
    ids=lambda value: repr(value)[:20] + str(len(repr(value))),
)  # fmt: skip
def test_what_is_no_quantity_is_refused_and_hardly_shown(value: object) -> None:
    """Row 54: floats and negatives are no numbers of a chain."""
    with pytest.raises(ValueError, match=r"^want a number of at most 256 bits") as caught:
        quantity(value)
    assert len(str(caught.value)) < 150


@given(st.integers(0, LARGEST))
def test_a_quantity_never_goes_through_a_float(number: int) -> None:
    assert quantity(hex(number)) == quantity(str(number)) == quantity(number) == number


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(ANYTHING)
def test_any_value_is_a_number_or_a_value_error(value: Any) -> None:
    for read in (quantity, decimal, comet_time):
        try:
            number = read(value)
        except ValueError as error:
            assert str(error).startswith("want ")  # noqa: PT017 - either outcome is right
        else:
            assert isinstance(number, float if read is comet_time else int)


def test_a_number_of_comet_is_text() -> None:
    assert decimal("5622165") == 5622165
    assert decimal(str(2**63 - 1)) == 2**63 - 1
    for value in (5, "", "-1", "0x1", "1.0", "9" * 21, None, "٣"):
        with pytest.raises(ValueError, match=r"^want a decimal number as text, got"):
            decimal(value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("1970-01-01T00:00:00Z", 0.0, id="before the first block"),
        pytest.param("2021-03-25T14:00:43.356134226Z", 1616680843.356134226, id="nanoseconds"),
        pytest.param("2021-03-25T14:00:43Z", 1616680843.0, id="whole"),
        pytest.param("2021-03-25T14:00:43.5Z", 1616680843.5, id="tenths"),
        pytest.param("2021-03-25T16:00:43+02:00", 1616680843.0, id="east"),
        pytest.param("2021-03-25T08:30:43-05:30", 1616680843.0, id="west"),
        pytest.param("0001-01-01T00:00:00Z", -62135596800.0, id="zero time of Go"),
    ],
)
def test_a_time_of_comet_is_read(text: str, seconds: float) -> None:
    assert comet_time(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "2021-03-25", "2021-03-25T14:00:43", "2021-13-25T14:00:43Z", "2021-03-25T25:00:43Z",
        "2021-03-25T14:00:61Z", "2021-03-25 14:00:43Z", "2021-03-25T14:00:43.Z", "", 0, None,
        "2021-03-25T14:00:43.1234567890Z", "0000-01-01T00:00:00Z", "2021-03-25T14:00:43+24:00",
        "٢021-03-25T14:00:43Z", "2021-03-25T14:00:43z",
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^want a time such as"):
        comet_time(text)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.integers(0, 999))  # noqa: DTZ001 - made aware below
def test_times_keep_their_order_to_the_microsecond(moment: datetime, nanoseconds: int) -> None:
    moment = moment.replace(tzinfo=UTC)
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}{nanoseconds:03}Z"

    assert comet_time(text) == pytest.approx(moment.timestamp() + nanoseconds / 1e9, abs=2e-6)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Geth/v1.13.4-stable/linux-amd64/go1.21", "Geth/1.13"),
        ("Geth/my-node.example/v1.13.4-stable/linux", "Geth/1.13"),
        ("anvil/v1.7.1", "anvil/1.7"),
        ("Nethermind/v1.25.4+20b10b35/linux-x64/dotnet8.0.1", "Nethermind/1.25"),
        ("erigon/2.60.1/linux-amd64/go1.21.5", "erigon/2.60"),
        ("Ganache/v7.9.2/EthereumJS TestRPC/v7.9.2/ethereum-js", "Ganache/7.9"),
        ("OpenEthereum//v3.3.5-stable/x86_64", "OpenEthereum/3.3"),
        ("solana-core 4.1.2", "solana-core/4.1"),
        ("cometbft 0.38.21", "cometbft/0.38"),
        ("0.38.21", OTHER_CLIENT),
        ("Geth", OTHER_CLIENT),
        ("", OTHER_CLIENT),
        ('x"} 1\nevil{/v1.2', OTHER_CLIENT),
        ("a" * 33 + "/v1.2", OTHER_CLIENT),
        ("Geth/v" + "9" * 40 + ".1", OTHER_CLIENT),
        (None, OTHER_CLIENT),
        (12, OTHER_CLIENT),
    ],
)
def test_of_a_client_name_and_two_numbers_become_a_label(text: object, name: str) -> None:
    assert client_name(text) == name


@given(st.text(max_size=400))
def test_a_label_of_a_client_is_short_and_plain(text: str) -> None:
    name = client_name(text)

    assert len(name) <= 46
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set('"\\{}= ')
