"""Where the paths of this server begin: ``--web.route-prefix``, and how others reach it.

Pure text. Knows no route.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from probes.units import short

# What a path becomes that is outside of the prefix, and "/" when there is one: no route is so.
OUTSIDE, TOP = "", "//"


@dataclass(frozen=True, slots=True)
class Prefix:
    """Where paths begin.

    Args:
        path: such as ``/sonde``; empty: at the top.
        url: how others reach this server; empty: nobody has said.
    """

    path: str = ""
    url: str = ""

    def inner(self, path: str) -> str:
        """Return *path* as the routes know it."""
        if not self.path:
            return path
        if path == self.path:
            return "/"
        if path.startswith(f"{self.path}/"):
            return path[len(self.path) :]
        return TOP if path == "/" else OUTSIDE

    @property
    def home(self) -> str:
        """Where the landing page is, for whoever asks at the top."""
        return self.url or f"{self.path}/"


AT_TOP = Prefix()


def prefix_of(external_url: str, route_prefix: str | None) -> Prefix:
    """Read the two flags as Prometheus does: the prefix is that of the URL unless it is given.

    Raises:
        ValueError: no URL, or no path.
    """
    if external_url and not external_url.startswith(("http://", "https://")):
        raise ValueError(
            f"--web.external-url: want an http:// or https:// URL, got {short(external_url)}"
        )
    path = urlsplit(external_url).path if route_prefix is None else route_prefix
    if any(char in path for char in "?#\\") or any(map(str.isspace, path)):
        raise ValueError(f"--web.route-prefix: want a path such as /sonde, got {short(path)}")
    stripped = path.strip("/")
    return Prefix(f"/{stripped}" if stripped else "", external_url)
