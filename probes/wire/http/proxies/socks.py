"""SOCKS version 5 as a client: greeting, user and password, CONNECT, over a connection of ours.

Knows no proxy of ours and no policy; what is asked for was judged before.

Source:
    RFC 1928, RFC 1929
"""

from ipaddress import IPv6Address, ip_address

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.stream import Connection

VERSION = 5
_LOGIN_VERSION = 1
_NO_PASSWORD, _PASSWORD, _NO_METHOD = 0, 2, 0xFF
_CONNECT = 1
_IP4, _NAME, _IP6 = 1, 3, 4
_ADDRESS_BYTES = {_IP4: 4, _IP6: 16}
_PORT_BYTES = 2
# RFC 1928, 5 and RFC 1929, 2: a length is one byte.
MAX_WORD_BYTES = 255
# RFC 1928, 6: code -> what it means for the target, and how we say it
_REPLIES: dict[int, tuple[Reason, str]] = {
    1: (Reason.UNREACHABLE, "a general failure (1)"),
    2: (Reason.UNREACHABLE, "'not allowed by its rules' (2)"),
    3: (Reason.UNREACHABLE, "'network unreachable' (3)"),
    4: (Reason.UNREACHABLE, "'host unreachable' (4)"),
    5: (Reason.REFUSED, "'connection refused' (5)"),
    6: (Reason.UNREACHABLE, "'TTL expired' (6)"),
    7: (Reason.PROTOCOL, "'command not supported' (7)"),
    8: (Reason.PROTOCOL, "'address type not supported' (8)"),
}


async def ask_socks(connection: Connection, user: str, password: str, host: str, port: int) -> None:
    """Ask the server on *connection* to connect to *host*, a name or an address, on *port*.

    Args:
        connection: to the SOCKS server; afterwards what is written goes to the target.
        user: empty without *password*: none is offered.
        password: goes out as it is; SOCKS knows no encryption.
        host: canonical.
        port: of the target.

    Raises:
        CheckFailed: ``refused`` and ``unreachable``: so says the server of the target; ``auth``: it
            wants another user; ``protocol``, ``closed``: it does not speak SOCKS5; ``config``: a
            word is too long.
    """
    request = _request(host, port)
    login = _login(user, password)
    methods = (_NO_PASSWORD, _PASSWORD) if login else (_NO_PASSWORD,)
    connection.write(bytes((VERSION, len(methods), *methods)))
    answer = await connection.read_exactly(2)
    version, method = answer
    if version != VERSION:
        raise CheckFailed(Reason.PROTOCOL, f"want a SOCKS5 answer, got {answer!r}")
    if method == _PASSWORD and login:
        connection.write(login)
        _, status = await connection.read_exactly(2)
        if status:
            raise CheckFailed(Reason.AUTH, f"want the user accepted, got a refusal ({status})")
    elif method == _NO_METHOD:
        offered = "its user and password" if login else "a client without user and password"
        raise CheckFailed(Reason.AUTH, f"want {offered} accepted, got a refusal")
    elif method != _NO_PASSWORD:
        raise CheckFailed(Reason.PROTOCOL, f"want a method that was offered, got {method}")
    connection.write(request)
    await _read_reply(connection)


async def _read_reply(connection: Connection) -> None:
    version, code, _, kind = await connection.read_exactly(4)
    if version != VERSION:
        raise CheckFailed(Reason.PROTOCOL, f"want a SOCKS5 reply, got version {version}")
    if code:
        # the address behind it says nothing, and some servers leave it out
        reason, said = _REPLIES.get(code, (Reason.PROTOCOL, f"the unknown code {code}"))
        raise CheckFailed(reason, f"want the target connected, got {said}")
    if kind == _NAME:
        (size,) = await connection.read_exactly(1)
    elif kind in _ADDRESS_BYTES:
        size = _ADDRESS_BYTES[kind]
    else:
        raise CheckFailed(Reason.PROTOCOL, f"want an address in the reply, got type {kind}")
    await connection.read_exactly(size + _PORT_BYTES)


def _request(host: str, port: int) -> bytes:
    head = bytes((VERSION, _CONNECT, 0))
    tail = port.to_bytes(_PORT_BYTES, "big")
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        name = host.encode("ascii")
        return head + bytes((_NAME, len(name))) + name + tail
    kind = _IP6 if isinstance(address, IPv6Address) else _IP4
    return head + bytes((kind,)) + address.packed + tail


def _login(user: str, password: str) -> bytes:
    if not (user or password):
        return b""
    words = (user.encode(), password.encode())
    for word in words:
        if not 0 < len(word) <= MAX_WORD_BYTES:
            want = f"want a SOCKS5 user and password of 1 to {MAX_WORD_BYTES} bytes each"
            raise CheckFailed(Reason.CONFIG, f"{want}, got {short(len(word))} bytes")
    return bytes((_LOGIN_VERSION, len(words[0]))) + words[0] + bytes((len(words[1]),)) + words[1]
