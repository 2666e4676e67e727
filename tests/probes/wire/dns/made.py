"""Answers for tests, made by dnspython from zone-file lines."""

from collections.abc import Iterable
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


def answer_to(query: bytes, *lines: str, **how: Any) -> bytes:
    """Return the answer to *query*.

    Args:
        query: as it came.
        lines: of the answer section, such as ``www.example. 300 IN A 192.0.2.1``.
        how: ``rcode`` (name), ``flags`` (text), ``authority``, ``additional`` (lines), ``number``
            (another id).
    """
    message = dns.message.make_response(dns.message.from_wire(query), recursion_available=True)
    message.set_rcode(dns.rcode.from_text(how.get("rcode", "NOERROR")))
    message.flags |= dns.flags.from_text(how.get("flags", ""))
    message.id = how.get("number", message.id)
    message.answer = list(records(lines))
    message.authority = list(records(how.get("authority", ())))
    message.additional = list(records(how.get("additional", ())))
    return message.to_wire(max_size=65535)


def records(lines: Iterable[str]) -> Iterable[dns.rrset.RRset]:
    """Give each line as a record of its own."""
    for line in lines:
        name, ttl, class_, kind, text = line.split(None, 4)
        yield dns.rrset.from_text(name, int(ttl), class_, kind, text)
