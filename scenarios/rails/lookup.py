"""Every address of every name, by the resolver of the probes. Knows no rail."""

import asyncio
from collections.abc import Iterable

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.wire.net import resolve


async def addresses_of(hosts: Iterable[str]) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return host -> its addresses, in the order of the answer, and why there are none."""
    names = tuple(hosts)
    answers = await asyncio.gather(*map(_addresses_of, names))
    return dict(zip(names, answers, strict=True))


async def _addresses_of(host: str) -> tuple[tuple[str, ...], str]:
    recorder = Recorder()
    try:
        address = await resolve(host, 0, recorder)
    except CheckFailed as failed:
        return (), failed.message
    others = recorder.facts.get("other_addresses", "")
    return (address.ip, *filter(None, others.split(", "))), ""
