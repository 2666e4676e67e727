"""The web config file as it is on disk now: read again when it, or a file it names, has changed.

Reads files, so it lives in the door's thread; everybody else sees one immutable state that is
swapped whole. A broken file is told (every request is answered 500 until it is mended); a broken
certificate keeps the last good one, because a rotation replaces certificate and key one after the
other. Knows no request.
"""

import logging
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from exporter.web.tls import make_context
from exporter.web.webconfig import WebConfig, read_web_config
from probes.errors import ConfigError, Problem

log = logging.getLogger("sonde.web")

# What tells that a file has changed, also when it was replaced within one tick of the clock.
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class WebState:
    """What holds now. ``problem`` says why the file is not used; beside it the last good config."""

    config: WebConfig = field(default_factory=WebConfig)
    context: ssl.SSLContext | None = None
    problem: str = ""


class WatchedConfig:
    """The web config file; without a path an empty one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamps: dict[Path, Stamp | None] = {}
        self.state = WebState()

    def load(self) -> None:
        """Read the file for the first time.

        Raises:
            ConfigError: every mistake in it, or a certificate that cannot be used.
        """
        if self._path is None:
            return
        config = read_web_config(self._path)
        self._stamps = _stamps([self._path, *(config.tls.files if config.tls else ())])
        try:
            context = make_context(config.tls) if config.tls else None
        except (OSError, ValueError) as error:
            problem = Problem(str(self._path), 0, 0, "tls_server_config", _text(error))
            raise ConfigError([problem]) from None
        self.state = WebState(config, context)
        if config.http2:
            log.info(
                "http2 is accepted in %s and has no effect: this server speaks HTTP/1.1", self._path
            )

    def refresh(self) -> bool:
        """Read again what has changed on disk; return whether anything had."""
        stamps = _stamps(self._stamps)
        if self._path is None or stamps == self._stamps:
            return False
        self._stamps = stamps
        try:
            config = read_web_config(self._path)
        except ConfigError as error:
            # a mistake in a file has no traceback
            log.error("want a usable web config, every request gets 500: %s", error)  # noqa: TRY400 - told, no bug
            self.state = replace(self.state, problem=str(error))
            return True
        config = self._keep_fixed(config)
        self.state = WebState(config, self._context(config))
        self._stamps = _stamps([self._path, *(config.tls.files if config.tls else ())])
        return True

    def _keep_fixed(self, config: WebConfig) -> WebConfig:
        """Return *config* with what is fixed at start: whether there is TLS, and the rate limit."""
        before = self.state.config
        if (config.tls is None) != (before.tls is None):
            log.warning("want a restart to turn TLS on or off, got a change of %s", self._path)
            config = replace(config, tls=before.tls)
        if config.rate != before.rate:
            log.warning("want a restart to change rate_limit, got a change of %s", self._path)
            config = replace(config, rate=before.rate)
        return config

    def _context(self, config: WebConfig) -> ssl.SSLContext | None:
        if config.tls is None:
            return None
        try:
            return make_context(config.tls)
        except (OSError, ValueError) as error:
            log.error("the last good certificate stays in use: %s", _text(error))  # noqa: TRY400 - told, no bug
            return self.state.context


def _text(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"want a readable file, got {error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        return f"want readable certificate files, got: {error.strerror}"
    return str(error)


def _stamps(paths: Iterable[Path]) -> dict[Path, Stamp | None]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> Stamp | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - asked at every connection
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
