"""Which process owns which probe, when several share one file. Pure; knows no process.

Rendezvous hashing: each probe belongs to the node with the highest score for it, so that a node
that leaves moves only its own probes.
"""

from collections.abc import Sequence
from hashlib import blake2b

from probes.probe import Probe


def share(probes: Sequence[Probe], index: int, count: int) -> tuple[Probe, ...]:
    """Return the probes of shard *index* of *count*, 1 <= index <= count, in their order.

    Probes tied by ``depends_on`` stay together, so that muting and judging happen in one process.
    """
    if count == 1:
        return tuple(probes)
    keys = _groups(probes)
    return tuple(probe for probe in probes if owner(keys[probe.name], count) == index)


def owner(key: str, count: int) -> int:
    """Return the number of the shard that owns *key*, from 1."""
    return max(range(1, count + 1), key=lambda node: (_score(node, key), node))


def _score(node: int, key: str) -> int:
    text = f"{node}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest())


def _groups(probes: Sequence[Probe]) -> dict[str, str]:
    """Return the key of each probe: the smallest name among those it is tied to."""
    parent = {probe.name: probe.name for probe in probes}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for probe in probes:
        for other in probe.depends_on:
            if other in parent:
                first, second = sorted((root(probe.name), root(other)))
                parent[second] = first
    return {name: root(name) for name in parent}
