"""TLS servers that misbehave, and certificates that are not what they should be.

half_record       half of a TLS record, then silence
dripped_record    a record that never ends, a byte now and then
plain_answer      plain text where TLS is wanted
alert             a fatal alert
no_goodbye(data)  *data* over TLS, then the end of the stream without close_notify

expired not_yet_valid self_signed wrong_name      contexts by `bad_certificate`
"""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta

import trustme

from probes.result import Reason
from tests.faults.tcp import DRIP_S, Handler

# The head of a handshake record that promises 122 bytes, and the first two of them.
HALF_RECORD = b"\x16\x03\x03\x00\x7a\x02\x00"
# What each certificate of `bad_certificate` fails with, whoever checks.
BAD_CERTIFICATES = {
    "expired": Reason.CERTIFICATE_EXPIRED,
    "not_yet_valid": Reason.CERTIFICATE_EXPIRED,
    "self_signed": Reason.CERTIFICATE_UNTRUSTED,
    "wrong_name": Reason.CERTIFICATE_NAME,
}
HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"


async def half_record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HALF_RECORD)
    await asyncio.Event().wait()


async def dripped_record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HALF_RECORD[:5])
    while not writer.is_closing():
        writer.write(b"\0")
        await asyncio.sleep(DRIP_S)


async def plain_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await reader.read()


async def alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HANDSHAKE_FAILURE)
    await reader.read()


def no_goodbye(data: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        await asyncio.Event().wait()

    return handle


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return a context that serves *certificate*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def bad_certificate(ca: trustme.CA, fault: str) -> ssl.SSLContext:
    """Return a server context whose certificate for 127.0.0.1 has *fault*."""
    assert fault in BAD_CERTIFICATES
    now = datetime.now(UTC)
    if fault == "expired":
        past = (now - timedelta(days=9), now - timedelta(days=2))
        return server_context(ca.issue_cert("127.0.0.1", not_before=past[0], not_after=past[1]))
    if fault == "not_yet_valid":
        future = (now + timedelta(days=2), now + timedelta(days=9))
        return server_context(ca.issue_cert("127.0.0.1", not_before=future[0], not_after=future[1]))
    if fault == "wrong_name":
        return server_context(ca.issue_cert("elsewhere.example", "10.9.8.7"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own = trustme.CA()
    with own.cert_pem.tempfile() as cert, own.private_key_pem.tempfile() as key:
        context.load_cert_chain(cert, key)
    return context
