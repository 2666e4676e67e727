"""What a driver says to the interpreter: what the wire brought as a `Response`, or why it did not.

Pure. Knows no connection.
"""

from collections.abc import Mapping
from functools import lru_cache

from probes.errors import CheckFailed
from probes.journey.model import Answer, Dialog, Effect, Heard, Query, Request, Response, Rows
from probes.recorder import Recorder
from probes.result import Failure, Phase, Reason
from probes.wire.http import message
from probes.wire.http.message import MAX_HEAD_BYTES, MAX_WIRE_BYTES, Limits

# Phases that stand behind the request: it has gone out.
_ASKED = frozenset({"processing", "transfer"})
STOPPED = Failure(Reason.TIMEOUT, "want an answer before the run was stopped, got none")


@lru_cache(maxsize=64)
def limits_of(max_body: int) -> Limits:
    """Return what an answer with a body of at most *max_body* bytes may cost."""
    return Limits(max_body=max_body, max_wire=max(MAX_WIRE_BYTES, max_body + MAX_HEAD_BYTES))


def blamed(error: CheckFailed, recorder: Recorder) -> Failure:
    """Return *error* with the phase that broke."""
    return Failure(error.reason, error.message, error.phase or recorder.phase_name)


def incoming(  # noqa: PLR0913 - the parts of a Response
    request: Request,
    came: message.Response,
    seconds: float,
    phases: tuple[Phase, ...],
    failure: Failure | None,
    facts: Mapping[str, str],
    *,
    reused: bool,
) -> Response:
    """Return what came of *request*; with a *failure* what there was until then."""
    sent = 0
    if request.body:
        sent = len(request.body) if any(phase.name in _ASKED for phase in phases) else 0
    return Response(
        came.status,
        tuple([(n.decode("latin-1"), v.decode("utf-8", "replace")) for n, v in came.headers]),
        came.body.data,
        seconds,
        phases,
        sent,
        came.body.wire_size,
        failure,
        reused,
        facts,
    )


def broken_off(effect: Effect) -> Answer:
    """Return the answer to *effect* when the run is ended while it is under way."""
    if isinstance(effect, Request):
        return Response(failure=STOPPED)
    if isinstance(effect, Dialog):
        return Heard(failure=STOPPED)
    if isinstance(effect, Query):
        return Rows(failure=STOPPED)
    return None
