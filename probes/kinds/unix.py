"""Kind ``unix``: connect to a unix socket of this host, talk a few lines if asked to, and leave.

The talk itself is `probes.wire.dialog.kind`'s business, connecting that of `probes.wire.unix`.
Knows neither names nor addresses: there is nothing to resolve.
"""

from functools import partial
from typing import ClassVar

from probes.errors import CheckFailed
from probes.kind import Metric
from probes.recorder import Recorder
from probes.redact import MAX_TARGET_BYTES, cut_bytes
from probes.result import Reason
from probes.wire.dialog.kind import TALKING_METRICS, Talking
from probes.wire.unix import dial_unix, judge_path

_WANT_NAME = "want tls.server_name or tls.verify: false, for a path has no name, got neither"


class Unix(Talking):
    """Connect to a unix socket; with ``expect`` or ``dialog``, talk and judge what comes back.

    Connecting, and with ``tls`` the handshake, is the whole check when nothing else is asked for.

    Target:
        An absolute path, or ``@`` and an abstract name.

    Source:
        https://man7.org/linux/man-pages/man7/unix.7.html
    """

    name = "unix"
    network = False
    phases = ("connect", "tls", "dialog")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("unix_banner_bytes", "Bytes read from the target after connecting"),
        *TALKING_METRICS,
    )

    def check_name(self) -> None:
        options = self.tls_or_default
        if self.is_secured and options.verify and not options.server_name:
            raise ValueError(_WANT_NAME)

    def check_target(self, target: str) -> None:
        judge_path(target)

    # A path is no URL: its @ ? # and long names hide nothing.

    def display_target(self, target: str) -> str:
        return cut_bytes(target, MAX_TARGET_BYTES)

    def secrets(self, target: str) -> set[str]:  # noqa: ARG002 - a path tells no secret
        return super().secrets("")

    async def run(self, target: str, recorder: Recorder) -> None:
        try:
            # a blackbox.yml may want it all the same
            self.check_name()
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        name = self.tls_or_default.server_name
        opening = partial(dial_unix, target, recorder, server_name=name)
        await self.judge(opening, recorder, server_name=name)
