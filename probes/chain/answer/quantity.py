"""Numbers, times and names as nodes write them, read strictly and never through a float.

Every value here comes from a peer: what is not of its form is a ValueError, whose message shows at
most 80 characters of it. Knows no method and no chain. Standard library only, and `short`.
"""

import re
from datetime import datetime, timedelta, timezone

from probes.units import short

# 256 bits: the widest number that the EVM knows, and its decimal form.
MAX_HEX_DIGITS = 64
MAX_BITS = 256
MAX_DECIMAL_DIGITS = 78
# CometBFT's numbers are int64 and uint64.
MAX_COMET_DIGITS = 20
# A label has to stay readable; no client is called longer.
MAX_NAME_CHARACTERS = 32
OTHER_CLIENT = "other"
MAX_INTEGER = 2**64

_HEX = re.compile(r"0[xX]([0-9a-fA-F]*)", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
# RFC 3339, 5.6, as Go writes it: at most nanoseconds, capital letters.
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - `timezone` is needed anyway
_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_.-]{{0,{MAX_NAME_CHARACTERS - 1}}}", re.ASCII)
_VERSION = re.compile(r"v?([0-9]{1,6})\.([0-9]{1,6})(?![0-9])", re.ASCII)
_PARTS = re.compile(r"[/ ]+")


def quantity(value: object) -> int:
    """Read a number of the EVM: ``0x10``, ``0x``, ``0x0010``, ``16`` as text or as number.

    Returns:
        A number >= 0 of at most 256 bits.

    Raises:
        ValueError: anything else; a float too, however round.

    Source:
        https://ethereum.org/developers/docs/apis/json-rpc/#quantities-encoding; the other spellings
        are those of clients in use (chains.md 14.1).
    """
    if isinstance(value, str):
        if found := _HEX.fullmatch(value):
            digits = found[1]
            if len(digits) <= MAX_HEX_DIGITS:
                return int(digits or "0", 16)
        elif _DIGITS.fullmatch(value) and len(value) <= MAX_DECIMAL_DIGITS:
            return _bounded(int(value), value)
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return _bounded(value, "a larger one")
    raise ValueError(f"want a number of at most 256 bits such as 0x10, got {short(value)}")


def _bounded(number: int, shown: str) -> int:
    if number.bit_length() > MAX_BITS:
        raise ValueError(f"want a number of at most {MAX_BITS} bits, got {short(shown)}")
    return number


def decimal(value: object) -> int:
    """Read a number of CometBFT, whose 64 bits are text: ``"5622165"``.

    Raises:
        ValueError: anything else; a JSON number too, for those may have gone through a float.
    """
    if isinstance(value, str) and len(value) <= MAX_COMET_DIGITS and _DIGITS.fullmatch(value):
        return int(value)
    raise ValueError(f"want a decimal number as text, got {short(value)}")


def whole(value: object) -> int:
    """Read a number as Solana writes it: up to 64 bits, never through a float.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_INTEGER:
        return value
    raise ValueError(f"want a whole number, got {short(value)}")


def comet_time(value: object) -> float:
    """Read a time of CometBFT as Unix seconds: ``2021-03-25T14:00:43.356134226Z``.

    Returns:
        Seconds, exact to the microsecond in our century; negative before 1970 (Go's zero time is
        of the year 1).

    Raises:
        ValueError: anything else.

    Source:
        RFC 3339, 5.6
    """
    if isinstance(value, str) and (found := _TIME.fullmatch(value)):
        try:
            moment = datetime.fromisoformat(found[1]).replace(tzinfo=_zone(found))
        except ValueError:
            pass  # month 13, hour 25, an offset of a day
        else:
            seconds = (moment - _EPOCH) // timedelta(seconds=1)
            return seconds + int((found[2] or "0").ljust(9, "0")) / 1e9
    raise ValueError(f"want a time such as 2021-03-25T14:00:43.356Z, got {short(value)}")


def _zone(found: re.Match[str]) -> timezone:
    if found[3] is None:
        return timezone.utc  # noqa: UP017 - `timezone` is needed anyway
    offset = timedelta(hours=int(found[4]), minutes=int(found[5]))
    return timezone(offset if found[3] == "+" else -offset)


def client_name(value: object) -> str:
    """Return what may be a label of a client: ``Geth/v1.13.4-stable/linux-amd64`` -> ``Geth/1.13``.

    The name is the first word, the version the first word behind it that looks like one, so a name
    that the operator gave its node (``Geth/mine/v1.13.4``) is left out. ``solana-core 4.1.2`` stays
    ``solana-core/4.1``: the forks of agave answer under the same word.

    Returns:
        ``name/major.minor``; ``other`` when it cannot be read.
    """
    if isinstance(value, str):
        # all that is looked at: the rest of a long text is nobody's version
        name, *rest = _PARTS.split(value[:256].strip())
        versions = (found for part in rest if (found := _VERSION.match(part)))
        version = next(versions, None)
        if version is not None and _NAME.fullmatch(name):
            return f"{name}/{int(version[1])}.{int(version[2])}"
    return OTHER_CLIENT
