"""What the fields of a blackbox.yml take: their types, each with its check of a single value.

Knows no option.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from probes.cel import Cel
from probes.config.blackbox.reading import (
    PROBERS,
    Prober,
    read_bool,
    read_duration,
    read_int,
    read_octets,
    read_size,
    read_text,
)
from probes.pattern import pattern, suggest
from probes.redact import SECRET_HEADER
from probes.settings import Settings
from probes.units import short

TLS_VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")
# miekg/dns, which upstream reads them by; names are upper-case but for two.
DNS_CLASSES = frozenset({"IN", "CS", "CH", "HS", "NONE", "ANY"})
DNS_TYPES = frozenset(
    {
        "A", "AAAA", "AFSDB", "AMTRELAY", "ANY", "APL", "ATMA", "AVC", "AXFR", "CAA", "CDNSKEY",
        "CDS", "CERT", "CNAME", "CSYNC", "DHCID", "DLV", "DNAME", "DNSKEY", "DS", "EID", "EUI48",
        "EUI64", "GID", "GPOS", "HINFO", "HIP", "HTTPS", "IPSECKEY", "ISDN", "IXFR", "KEY", "KX",
        "L32", "L64", "LOC", "LP", "MAILA", "MAILB", "MB", "MD", "MF", "MG", "MINFO", "MR", "MX",
        "NAPTR", "NID", "NIMLOC", "NINFO", "NS", "NSAP-PTR", "NSEC", "NSEC3", "NSEC3PARAM",
        "NULL", "NXNAME", "NXT", "None", "OPENPGPKEY", "OPT", "PTR", "PX", "RESINFO", "RKEY",
        "RP", "RRSIG", "RT", "Reserved", "SIG", "SMIMEA", "SOA", "SPF", "SRV", "SSHFP", "SVCB",
        "TA", "TALINK", "TKEY", "TLSA", "TSIG", "TXT", "UID", "UINFO", "UNSPEC", "URI", "X25",
        "ZONEMD",
    }
)  # fmt: skip
MAX_TTL = 255
SIGNATURE_ALGORITHMS = ("RS256", "RS384", "RS512")


class Concealed:
    """Marks a field that no outlet shows: each text in it is ``<secret>``."""


class Address:
    """Marks a URL: its password is shown as ``xxxxx``."""


def _judge_pattern(value: object) -> str:
    text = read_text(value)
    pattern(text)
    return text


def _judge_cel(value: object) -> str:
    text = read_text(value)
    if text:
        # without the extra the run tells
        Cel(text, may_wait=True)
    return text


def _judge_prober(value: object) -> str:
    text = read_text(value)
    if text not in PROBERS:
        hint = suggest(text, PROBERS)
        raise ValueError(f"want one of {', '.join(PROBERS)}, got {short(text)}{hint}")
    return text


def _judge_tls_version(value: object) -> str:
    text = read_text(value)
    if text not in TLS_VERSIONS:
        raise ValueError(f"want one of {', '.join(TLS_VERSIONS)}, got {short(text)}")
    return text


def _judge_class(value: object) -> str:
    text = read_text(value)
    if text and text not in DNS_CLASSES:
        hint = suggest(text.upper(), DNS_CLASSES)
        raise ValueError(f"want a class of DNS such as IN, got {short(text)}{hint}")
    return text


def _judge_type(value: object) -> str:
    text = read_text(value)
    if text and text not in DNS_TYPES:
        hint = suggest(text.upper(), DNS_TYPES)
        raise ValueError(f"want a type of record such as AAAA, got {short(text)}{hint}")
    return text


def _judge_ttl(value: object) -> int:
    ttl = read_int(value)
    if not 0 <= ttl <= MAX_TTL:
        raise ValueError(f"want a ttl from 0 to {MAX_TTL}, got {ttl}")
    return ttl


def _judge_algorithm(value: object) -> str:
    text = read_text(value)
    if text and text not in SIGNATURE_ALGORITHMS:
        raise ValueError(f"want one of {', '.join(SIGNATURE_ALGORITHMS)}, got {short(text)}")
    return text


_BOOL_WORDS = bool | Literal["yes", "no", "on", "off", "y", "n"]
Text = Annotated[
    str, BeforeValidator(read_text), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Octets = Annotated[bytes, BeforeValidator(read_octets, json_schema_input_type=str)]
Bool = Annotated[bool, BeforeValidator(read_bool, json_schema_input_type=_BOOL_WORDS)]
Int = Annotated[int, BeforeValidator(read_int, json_schema_input_type=int)]
Ttl = Annotated[int, BeforeValidator(_judge_ttl, json_schema_input_type=int)]
GoDuration = Annotated[float, BeforeValidator(read_duration, json_schema_input_type=str)]
Base2 = Annotated[int, BeforeValidator(read_size, json_schema_input_type=str | Literal[0])]
Regex = Annotated[str, BeforeValidator(_judge_pattern, json_schema_input_type=str)]
CelText = Annotated[str, BeforeValidator(_judge_cel, json_schema_input_type=str)]
SecretText = Annotated[Text, Concealed()]
UrlText = Annotated[Text, Address()]
TlsVersion = Annotated[
    str,
    BeforeValidator(
        _judge_tls_version, json_schema_input_type=Literal["TLS10", "TLS11", "TLS12", "TLS13"]
    ),
]

DnsClass = Annotated[str, BeforeValidator(_judge_class, json_schema_input_type=str)]
DnsType = Annotated[str, BeforeValidator(_judge_type, json_schema_input_type=str)]
Algorithm = Annotated[
    str,
    BeforeValidator(_judge_algorithm, json_schema_input_type=Literal["RS256", "RS384", "RS512"]),
]
ProberName = Annotated[str, BeforeValidator(_judge_prober, json_schema_input_type=Prober)]


class Upstream(Settings):
    """A group of keys; what has no value stays at its default, as Go's YAML has it."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            return data
        known = cls.model_fields
        return {key: value for key, value in data.items() if value is not None or key not in known}


def is_secret_header(name: str) -> bool:
    """Return whether the value of the header *name* is a secret (D11)."""
    return SECRET_HEADER.search(name) is not None or "key" in name.lower()
