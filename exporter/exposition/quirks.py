"""What is told of a run only because blackbox_exporter tells it: blackbox.md 6.1, D4 and D7.

Pure: a Result in, lines or samples out. Knows no page; the phases of D10 are in
`exporter.exposition.phases`.
"""

from collections.abc import Mapping, Sequence

from probes.result import Result, Sample

CHAIN_EXPIRY = "probe_ssl_last_chain_expiry_timestamp_seconds"
# The zero of Go's clock, the year 1, as Unix time: what upstream says of a chain nobody verified.
NO_CHAIN = "-62135596800"
# Upstream has no such family for this kind.
WITHOUT_CHAIN = frozenset({"grpc"})
# A sample whose labels nobody could declare in advance: the user names them.
FREE_LABELS_FAMILY = "probe_expect_info"


def is_unverified(result: Result, lines: Mapping[str, str]) -> bool:
    """Return whether TLS came up without anybody verifying the chain (D4).

    Args:
        result: of a run.
        lines: that tell its samples, by family.
    """
    if CHAIN_EXPIRY in lines or "probe_tls_version_info" not in lines:
        return False
    failure = result.failure
    return result.kind not in WITHOUT_CHAIN and (failure is None or failure.phase != "tls")


def united(samples: Sequence[Sample]) -> list[Sample]:
    """Return *samples* with the same label names each: what one lacks is empty (D7)."""
    names = {name: "" for sample in samples for name, _ in sample.labels}
    return [
        Sample(sample.name, sample.value, tuple((names | dict(sample.labels)).items()))
        for sample in samples
    ]
