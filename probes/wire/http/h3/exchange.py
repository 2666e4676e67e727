# pyright: basic, reportMissingTypeStubs=false
"""One HTTP/3 exchange with a judged address, and what its peer showed.

    await ask(request, address, recorder, options, response, hop=0)

libcurl gets one fresh connection per exchange: no resolution, no proxy, no redirect, no session of
an earlier one. It verifies the certificate with our authorities. Knows no expectation and no
redirect.
"""

from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.address import Address
from probes.wire.http.h3.engine import engine
from probes.wire.http.h3.settings import settings_of_tls
from probes.wire.http.h3.transfer import Transfer
from probes.wire.http.message import Request, Response
from probes.wire.policy import judge
from probes.wire.tls.chains import TrustStore
from probes.wire.tls.leaf import read_leaf
from probes.wire.tls.peer import Shown, record_shown

if TYPE_CHECKING:
    from probes.wire.http.options import Options


async def ask(
    request: Request,
    address: Address,
    recorder: Recorder,
    options: "Options",
    response: Response,
    *,
    hop: int = 0,
) -> None:
    """Send *request* to *address* and fill *response*; phases ``connect`` to ``transfer``.

    The one handshake of QUIC counts as ``connect``; ``tls`` is 0 (blackbox.md 4.2).

    Args:
        request: by https://.
        address: judged here, right before it is dialled.
        recorder: gets phases and what the peer showed, also when it was refused.
        options: how; its limits are kept.
        response: filled as bytes arrive.
        hop: 0 is the target, later ones came from a redirect.

    Raises:
        CheckFailed: no whole head came; ``response.failure`` tells of a body that broke off.
    """
    tls = options.tls
    if tls.max_version < "1.3":
        raise CheckFailed(Reason.CONFIG, f"want TLS 1.3 for HTTP/3, got {tls.max_version} at most")
    if tls.has_files:
        await tls.reread(recorder)
    trusted = tls.context(
        options.alpn
    ).trusted  # tells what is wrong with the options, in our words
    settings = await settings_of_tls(tls, recorder)
    judge(address, hop=hop, scheme=request.url.scheme)
    recorder.enter("connect")
    transfer = Transfer(request, address, recorder, options, response)
    # libcurl calls from a turn of the loop that may be another run's
    here = copy_context()
    again = partial(judge, address, hop=hop, scheme=request.url.scheme)
    transfer.judge = lambda: here.run(again)
    response.over_tls = True
    try:
        transfer.set_up(settings)
        await engine().run(transfer)
    finally:
        shown = transfer.shown()
        transfer.close()
        if transfer.is_connected and tls.verify:
            shown = _verified(shown, trusted)
        if shown.chain:
            record_shown(shown, recorder, hop, transfer.name)
    _refuse_nameless(shown, transfer.name)


def _verified(shown: Shown, trusted: TrustStore) -> Shown:
    end = trusted.latest_end_of(shown.chain, datetime.now(UTC).timestamp())
    return replace(shown, verified=True, latest_end=end)


def _refuse_nameless(shown: Shown, name: str) -> None:
    """Refuse what libcurl takes: a certificate whose only name is its common name (RFC 9525)."""
    if shown.verified and not read_leaf(shown.chain[0]).names_text:
        message = f"want a certificate for {short(name)}, got one without names"
        raise CheckFailed(Reason.CERTIFICATE_NAME, message, phase="connect")
