"""Addresses of Cosmos chains; the valid ones are those of BIP 173 and of live chains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.cosmos.bech32 import ALPHABET, check_address

GOVERNANCE = "cosmos10d07y265gmmuvt4z0w9aw880jnsr700j6zn9kn"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOVERNANCE, id="module account"),
        pytest.param("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", id="BIP 173, all letters"),
        pytest.param("split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w", id="BIP 173"),
    ],
)
def test_an_address_is_given_back(text: str) -> None:
    assert check_address(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "want a bech32 address such as neutron1..., got ''", id="empty"),
        pytest.param(
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "want a bech32 address such as neutron1..., got "
            "'0x52908400098527886E0F7030069857D2E4169EE7'",
            id="EVM",
        ),
        pytest.param(
            GOVERNANCE.upper(),
            f"want a bech32 address such as neutron1..., got '{GOVERNANCE.upper()}'",
            id="capitals",
        ),
        pytest.param(
            f"{GOVERNANCE[:-1]}q",
            f"want an address whose checksum is right, got '{GOVERNANCE[:-1]}q'",
            id="one letter",
        ),
        pytest.param(
            f"neutron{GOVERNANCE[6:]}",
            f"want an address whose checksum is right, got 'neutron{GOVERNANCE[6:]}'",
            id="another prefix",
        ),
    ],
)
def test_what_is_no_address_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="want") as told:
        check_address(text)

    assert str(told.value) == message


@given(st.integers(7, len(GOVERNANCE) - 1), st.sampled_from(ALPHABET))
def test_every_wrong_letter_is_found(place: int, letter: str) -> None:
    wrong = GOVERNANCE[:place] + letter + GOVERNANCE[place + 1 :]

    if wrong != GOVERNANCE:
        with pytest.raises(ValueError, match="checksum"):
            check_address(wrong)
