"""How the service is started: what the command line says and no file.

Plain data. Knows no part of the service.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exporter.on_demand.asked import Asking
from exporter.web.prefix import AT_TOP, Prefix


@dataclass(frozen=True, slots=True)
class Options:
    """How the service is started.

    Args:
        listen: ``HOST:PORT``, ...
        web_config: file of ``--web.config.file``.
        reload_every_s: look for a changed file this often; None: only when asked.
        shard: which share of the probes is ours.
        data: directory for what must survive a restart; None: nothing does.
        asking: how ``/probe`` is answered.
        prefix: where the paths of the web server begin.
        admin_token: where the config has none; empty: none.
    """

    listen: Sequence[str]
    web_config: Path | None = None
    reload_every_s: float | None = None
    shard: tuple[int, int] = (1, 1)
    data: Path | None = None
    asking: Asking = field(default_factory=Asking)
    prefix: Prefix = AT_TOP
    admin_token: str = field(default="", repr=False)
