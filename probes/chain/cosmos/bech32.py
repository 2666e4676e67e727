"""Addresses of Cosmos chains: bech32, judged at load so that a slip of the keyboard is told.

Knows no chain: any prefix, and any length of address that the Cosmos SDK has.

Source:
    https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki
"""

import re

from probes.units import short

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
CHECKSUM_CHARACTERS = 6
# The SDK's limit of an address is 255 bytes; those of accounts have 20, of contracts 32.
ADDRESS = re.compile(r"([a-z][a-z0-9]{0,82})1([02-9ac-hj-np-z]{6,420})", re.ASCII)


def check_address(text: str) -> str:
    """Return *text*, an address such as ``neutron1...``.

    Raises:
        ValueError: it is none, or its checksum is wrong.
    """
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError(f"want a bech32 address such as neutron1..., got {short(text)}")
    prefix, data = found[1], found[2]
    values = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    values += [ALPHABET.index(letter) for letter in data]
    if _checksum(values) != 1:
        raise ValueError(f"want an address whose checksum is right, got {short(text)}")
    return text


def _checksum(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(GENERATORS):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum
