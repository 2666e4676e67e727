"""Names of DNS types, classes and codes, as zone files write them. Data; knows no message.

A table of our own and not dnspython's: judging a probe file must not cost its import of 0.2 s.

Source:
    https://www.iana.org/assignments/dns-parameters/
"""

import re
from collections.abc import Mapping

TYPES: Mapping[str, int] = {
    "A": 1, "NS": 2, "MD": 3, "MF": 4, "CNAME": 5, "SOA": 6, "MB": 7, "MG": 8, "MR": 9, "NULL": 10,
    "WKS": 11, "PTR": 12, "HINFO": 13, "MINFO": 14, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18,
    "X25": 19, "ISDN": 20, "RT": 21, "NSAP": 22, "NSAP-PTR": 23, "SIG": 24, "KEY": 25, "PX": 26,
    "GPOS": 27, "AAAA": 28, "LOC": 29, "NXT": 30, "EID": 31, "NIMLOC": 32, "SRV": 33, "ATMA": 34,
    "NAPTR": 35, "KX": 36, "CERT": 37, "A6": 38, "DNAME": 39, "SINK": 40, "OPT": 41, "APL": 42,
    "DS": 43, "SSHFP": 44, "IPSECKEY": 45, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "DHCID": 49,
    "NSEC3": 50, "NSEC3PARAM": 51, "TLSA": 52, "SMIMEA": 53, "HIP": 55, "NINFO": 56, "RKEY": 57,
    "TALINK": 58, "CDS": 59, "CDNSKEY": 60, "OPENPGPKEY": 61, "CSYNC": 62, "ZONEMD": 63,
    "SVCB": 64, "HTTPS": 65, "DSYNC": 66, "SPF": 99, "UINFO": 100, "UID": 101, "GID": 102,
    "UNSPEC": 103, "NID": 104, "L32": 105, "L64": 106, "LP": 107, "EUI48": 108, "EUI64": 109,
    "NXNAME": 128, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252, "MAILB": 253, "MAILA": 254,
    "ANY": 255, "URI": 256, "CAA": 257, "AVC": 258, "AMTRELAY": 260, "RESINFO": 261,
    "WALLET": 262, "TA": 32768, "DLV": 32769,
}  # fmt: skip
CLASSES: Mapping[str, int] = {"IN": 1, "CS": 2, "CH": 3, "HS": 4, "NONE": 254, "ANY": 255}
# Codes above 15 come with EDNS only.
RCODES: Mapping[str, int] = {
    "NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5,
    "YXDOMAIN": 6, "YXRRSET": 7, "NXRRSET": 8, "NOTAUTH": 9, "NOTZONE": 10, "DSOTYPENI": 11,
    "BADVERS": 16, "BADKEY": 17, "BADTIME": 18, "BADMODE": 19, "BADNAME": 20, "BADALG": 21,
    "BADTRUNC": 22, "BADCOOKIE": 23,
}  # fmt: skip
# RFC 8914: why a server says it failed, where it sends no words of its own.
EXPLANATIONS: Mapping[int, str] = {
    1: "unsupported DNSKEY algorithm", 2: "unsupported DS digest", 3: "stale answer",
    4: "forged answer", 5: "DNSSEC indeterminate", 6: "DNSSEC bogus", 7: "signature expired",
    8: "signature not yet valid", 9: "DNSKEY missing", 10: "RRSIGs missing", 11: "no zone key",
    12: "NSEC missing", 13: "cached error", 14: "not ready", 15: "blocked", 16: "censored",
    17: "filtered", 18: "prohibited", 19: "stale NXDOMAIN", 20: "not authoritative",
    21: "not supported", 22: "no reachable authority", 23: "network error", 24: "invalid data",
}  # fmt: skip
# Other words that blackbox_exporter's library knows.
RCODE_ALIASES: Mapping[str, int] = {"NOTIMPL": 4, "BADSIG": 16}
FLAGS: Mapping[str, int] = {
    "aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "ad": 0x0020, "cd": 0x0010,
}  # fmt: skip
QR = 0x8000
OPCODE = 0x7800

A, NS, SOA, AAAA, OPT, DS, RRSIG, NSEC, DNSKEY, NSEC3 = 1, 2, 6, 28, 41, 43, 46, 47, 48, 50
CNAME, DNAME = 5, 39
IN = 1

_RCODE_NAMES = {number: name for name, number in RCODES.items()}
_TYPE_NAMES = {number: name for name, number in TYPES.items()}
_NUMBERED = re.compile(r"TYPE([0-9]{1,5})", re.ASCII)
_MAX_TYPE = 65535


def type_number(name: str) -> int | None:
    """Return the number of a type, ``TYPE65280`` included (RFC 3597); None: there is none."""
    found = _NUMBERED.fullmatch(name)
    if found is not None and int(found[1]) <= _MAX_TYPE:
        return int(found[1])
    return TYPES.get(name)


def type_name(number: int) -> str:
    """Return the name of a type."""
    return _TYPE_NAMES.get(number, f"TYPE{number}")


def rcode_number(name: str) -> int | None:
    """Return the number of an answer code; None: there is none."""
    return RCODES.get(name, RCODE_ALIASES.get(name))


def rcode_name(number: int) -> str:
    """Return the name of an answer code."""
    return _RCODE_NAMES.get(number, f"code {number}")


def flag_names(bits: int) -> str:
    """Return the flags of a head for people, such as ``qr aa rd``."""
    names = [name for name, bit in FLAGS.items() if bits & bit]
    return " ".join(["qr", *names] if bits & QR else names)
