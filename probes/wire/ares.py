"""A c-ares channel that remembers no answers: a prober that asks a cache checks the cache.

c-ares keeps answers for their TTL (up to an hour) and pycares has no key for it, so a dead name
server would go unnoticed and a moved address be found late. Knows no event loop and no name.
"""

from typing import Any

import pycares
from pycares import _ffi, _lib  # type: ignore[attr-defined] # tests pin these

# ares.h of c-ares 1.34; pycares does not pass these two on.
_OPT_MAXTIMEOUTMS = 1 << 20
_OPT_QUERY_CACHE = 1 << 21


class UncachedChannel(pycares.Channel):
    """A channel with its own event thread and without the query cache.

    Args:
        timeout_s: per try. c-ares shortens it for servers that used to be fast, down to 250 ms, and
            doubles it from try to try, but never beyond this.
        tries: at most; a late answer to an early try still counts.
        over_tcp: ask over TCP from the start, not only what does not fit a datagram.
    """

    def __init__(self, timeout_s: float, tries: int, *, over_tcp: bool = False) -> None:
        super().__init__(timeout=timeout_s, tries=tries)
        options: Any = _ffi.new("struct ares_options *")
        options.timeout = options.maxtimeout = int(timeout_s * 1000)
        options.tries = tries
        options.evsys = _lib.ARES_EVSYS_DEFAULT
        options.qcache_max_ttl = 0
        # EDNS is what a channel has that names no flags
        options.flags = _lib.ARES_FLAG_EDNS | (_lib.ARES_FLAG_USEVC if over_tcp else 0)
        mask = (
            _lib.ARES_OPT_TIMEOUTMS
            | _lib.ARES_OPT_FLAGS
            | _lib.ARES_OPT_TRIES
            | _lib.ARES_OPT_EVENT_THREAD
            | _OPT_MAXTIMEOUTMS
            | _OPT_QUERY_CACHE
        )
        channel: Any = _ffi.new("ares_channel *")
        code = _lib.ares_init_options(channel, options, mask)
        if code != _lib.ARES_SUCCESS:
            raise pycares.AresError(code, pycares.errno.strerror(code))
        cached: Any = self._channel
        self._channel = channel
        _lib.ares_destroy(cached[0])
