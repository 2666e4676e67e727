"""Short ways for tests of the wire to read a recorder, and an address on this host."""

from typing import Any

from probes.recorder import Recorder
from probes.wire.net import Address, dial
from probes.wire.tls.settings import TlsOptions


def here(port: int, host: str = "127.0.0.1") -> Address:
    """Return 127.0.0.1 under the name *host*."""
    return Address(host, port, "127.0.0.1", 4)


def values(recorder: Recorder) -> dict[str, float]:
    """Return the samples by name."""
    return {sample.name: sample.value for sample in recorder.samples}


def labels(recorder: Recorder, name: str) -> dict[str, str]:
    """Return the labels of the one sample called *name*."""
    (sample,) = [sample for sample in recorder.samples if sample.name == name]
    return dict(sample.labels)


def phases(recorder: Recorder) -> list[tuple[str, bool]]:
    """Return the phases and whether each was complete."""
    return [(phase.name, phase.complete) for phase in recorder.phases]


async def shake(port: int, options: TlsOptions, **how: Any) -> Recorder:
    """Connect over TLS, see one byte come back, and return what was recorded."""
    recorder = Recorder()
    async with dial(here(port), recorder, context=options.context(), **how) as connection:
        connection.write(b"x")
        assert await connection.read_exactly(1) == b"x"
    return recorder
