"""What an HTTP answer tells of itself, as samples and facts. Judges nothing."""

from functools import lru_cache

from probes.recorder import Recorder
from probes.result import Sample
from probes.wire.http.message import Response, text
from probes.wire.http.redirect import http_date

VERSION_NUMBERS = {"1.0": 1.0, "1.1": 1.1, "2": 2.0, "3": 3.0}
# What every run measures, in the order in which `record` tells it.
_MEASURED = (
    "http_status_code",
    "http_content_length",
    "http_uncompressed_body_length",
    "http_redirects",
    "http_ssl",
    "http_version",
    "failed_due_to_regex",
)


def record(response: Response, recorder: Recorder, *, missed: bool) -> None:
    """Write down what *response* tells.

    Args:
        response: as far as it came.
        recorder: gets it.
        missed: whether a pattern was missed.
    """
    recorder.extend(
        _samples(
            response.status,
            response.content_length,
            response.body.size,
            response.redirects,
            1.0 if response.over_tls else 0.0,
            VERSION_NUMBERS.get(response.version, 0.0),
            1.0 if missed else 0.0,
        )
    )
    if not response.status:
        return
    recorder.fact("answer", response.status_line)
    if (server := response.first.get(b"server")) is not None:
        recorder.fact("server", text(server))
    if (modified := response.first.get(b"last-modified")) is not None:
        moment = _timestamp(modified)
        if moment is not None:
            recorder.sample("http_last_modified_timestamp_seconds", moment)
    if response.redirects:
        recorder.fact("url", str(response.url))


@lru_cache(maxsize=1024)
def _samples(*told: float) -> tuple[Sample, ...]:
    """Return the samples in the order of `_MEASURED`: in nearly every run the same, made once."""
    return tuple(map(Sample, _MEASURED, told))


@lru_cache(maxsize=1024)
def _timestamp(value: bytes) -> float | None:
    found = http_date(value.decode("latin-1"))
    return None if found is None else found.timestamp()
