"""Addresses and event signatures of the EVM as people write them, judged at load.

A slip of the keyboard in either would make a probe that sees nothing and says so never, so both are
read strictly and the message tells the right form. Knows no node. Standard library only, and
`keccak256`.
"""

import re

from probes.chain.evm.keccak import keccak256
from probes.units import short

# A signature longer than that is nobody's; the bound keeps a hostile one cheap.
MAX_SIGNATURE_CHARACTERS = 1000
MAX_TUPLE_DEPTH = 16

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_EVENT = re.compile(r"([A-Za-z_$][A-Za-z0-9_$]{0,127})(\(.*\))", re.ASCII | re.DOTALL)
_ELEMENTARY = re.compile(
    r"(?:address|bool|string|bytes|function|bytes([0-9]{1,2})|u?int([0-9]{1,3})"
    r"|u?fixed([0-9]{1,3})x([0-9]{1,2}))",
    re.ASCII,
)
_ARRAYS = re.compile(r"(?:\[[0-9]{0,9}\])*", re.ASCII)
# Words that Solidity takes, and what the ABI hashes instead.
_CANONICAL = {
    "uint": "uint256",
    "int": "int256",
    "byte": "bytes1",
    "fixed": "fixed128x18",
    "ufixed": "ufixed128x18",
}
_MAX_BYTES, _MAX_BITS, _MAX_DECIMALS = 32, 256, 80


def checksummed(address: str) -> str:
    """Return *address* (``0x`` and 40 hex digits) in the mixed case that guards it.

    Source:
        https://eips.ethereum.org/EIPS/eip-55
    """
    digits = address[2:].lower()
    guard = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit  # noqa: PLR2004 - the upper half
        for digit, nibble in zip(digits, guard, strict=False)
    )


def parse_address(value: object) -> str:
    """Return an address in lower case.

    Raises:
        ValueError: it is none, or its mixed case says that a digit is wrong.
    """
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        want = "want an address: 0x and 40 hex digits, in quotes"
        raise ValueError(f"{want}, got {short(value)}")
    digits = value[2:]
    if digits not in (digits.lower(), digits.upper()):
        right = checksummed(value)
        if right != value:
            raise ValueError(f"want the checksum {right} (or all lower case), got {short(value)}")
    return value.lower()


def parse_hash(value: object) -> str:
    """Return a hash of 32 bytes in lower case.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str) and _HASH.fullmatch(value):
        return value.lower()
    raise ValueError(f"want a hash: 0x and 64 hex digits, got {short(value)}")


def topic0(signature: str) -> str:
    """Return the first topic of the logs of the event *signature*: ``Name(type,type)``.

    Raises:
        ValueError: it is not in the canonical form that the hash is made of.

    Source:
        https://docs.soliditylang.org/en/latest/abi-spec.html#events
    """
    want = "want an event such as Transfer(address,address,uint256)"
    found = _EVENT.fullmatch(signature)
    if found is None or len(signature) > MAX_SIGNATURE_CHARACTERS:
        raise ValueError(f"{want}, got {short(signature)}")
    _read_tuple(found[2], signature)
    return "0x" + keccak256(signature.encode()).hex()


def _read_tuple(text: str, signature: str, depth: int = 1) -> None:
    """Judge ``(type,type)``."""
    if depth > MAX_TUPLE_DEPTH:
        raise ValueError(f"want at most {MAX_TUPLE_DEPTH} tuples in each other, got more")
    if text == "()":
        return
    for part in _parts(text[1:-1], signature):
        if part.startswith("("):
            end = part.rfind(")") + 1
            if not _ARRAYS.fullmatch(part[end:]):
                raise _wrong(part, signature)
            _read_tuple(part[:end], signature, depth + 1)
        else:
            _read_type(part, signature)


def _parts(text: str, signature: str) -> list[str]:
    """Split at the commas that stand in no inner tuple."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    if depth:
        raise ValueError(f"want as many ( as ), got {short(signature)}")
    return parts


def _read_type(text: str, signature: str) -> None:
    name, bracket, rest = text.partition("[")
    if name in _CANONICAL:
        want = f"want the type {_CANONICAL[name]}, which is what is hashed"
        raise ValueError(f"{want}, got {name!r} in {short(signature)}")
    found = _ELEMENTARY.fullmatch(name)
    if found is None or not _ARRAYS.fullmatch(bracket + rest) or not _is_sized(found):
        raise _wrong(text, signature)


def _is_sized(found: re.Match[str]) -> bool:
    """Judge the numbers of a type: 1 to 32 bytes, 8 to 256 bits in bytes, 1 to 80 decimals."""
    size, integer, fixed, decimals = found.groups()
    if any(number is not None and number.startswith("0") for number in found.groups()):
        return False
    bits = integer or fixed
    return (
        (size is None or int(size) <= _MAX_BYTES)
        and (bits is None or (int(bits) % 8 == 0 and int(bits) <= _MAX_BITS))
        and (decimals is None or int(decimals) <= _MAX_DECIMALS)
    )


def _wrong(part: str, signature: str) -> ValueError:
    want = "want types alone, without names, indexed or spaces"
    return ValueError(f"{want}, got {short(part)} in {short(signature)}")
