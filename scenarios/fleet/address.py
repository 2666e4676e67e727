"""Where a master listens: ``HOST[:PORT]``, IPv6 in brackets. Pure."""

from ipaddress import ip_address

from probes.units import short

DEFAULT_PORT = 5557
DEFAULT_BIND = f"127.0.0.1:{DEFAULT_PORT}"
MAX_PORT = 65535


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port; a port that is not there is Locust's own.

    Raises:
        ValueError: it is no address.
    """
    host, port = _split(text)
    if not (port.isascii() and port.isdigit() and len(port) <= len(str(MAX_PORT))):
        raise ValueError(f"want HOST or HOST:PORT, IPv6 in brackets, got {short(text)}")
    number = int(port)
    is_name = all(it.isalnum() or it in "-._" for it in host) and host.isascii()
    if not host or not (_is_ip(host) or is_name) or not 0 < number <= MAX_PORT:
        raise ValueError(f"want HOST or HOST:PORT, IPv6 in brackets, got {short(text)}")
    return host, number


def _split(text: str) -> tuple[str, str]:
    if _is_ip(text):
        return text, str(DEFAULT_PORT)
    if text.startswith("["):
        host, end, rest = text[1:].partition("]")
        if not end or not _is_ip(host):
            return "", ""
        return host, _port(rest)
    host, colon, port = text.partition(":")
    return host, _port(colon + port)


def _port(rest: str) -> str:
    """Return what stands behind a host: nothing, or a colon and a port."""
    if not rest:
        return str(DEFAULT_PORT)
    return rest[1:] if rest.startswith(":") else ""


def parse_bind(text: str) -> tuple[str, int]:
    """Return address and port to listen on.

    Raises:
        ValueError: it is no address of a machine: a name may have several.
    """
    host, port = parse_address(text)
    host = "127.0.0.1" if host == "localhost" else host
    if not _is_ip(host):
        raise ValueError(f"want an IP address to listen on, got {short(text)}")
    return host, port


def format_address(host: str, port: int) -> str:
    """Return *host* and *port* as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether nobody but this machine reaches *host*."""
    return ip_address(host).is_loopback


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text
