"""What a module of a blackbox.yml has become, and the settings that several sections share.

    Native
    ├── kind        name of the kind
    ├── settings    as a probe file would have them; secrets are `Secret`
    ├── timeout_s   None: not set
    ├── broken      why no run can work, though the file loads; empty: one can
    └── lost        key -> why it has no native form

Knows no section.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from probes.config.blackbox.client import TlsConfig
from probes.config.blackbox.fields import TLS_VERSIONS, is_secret_header
from probes.config.blackbox.options import AddressKeys
from probes.redact import Secret


@dataclass(slots=True)
class Native:
    """What a module has become."""

    kind: str
    settings: dict[str, Any]
    timeout_s: float | None = None
    broken: str = ""
    lost: dict[str, str] = field(default_factory=dict)


def tls_of(config: TlsConfig | None, native: Native, section: str) -> dict[str, Any]:
    """Return our ``tls:`` block; what no run can do is noted in *native*."""
    if config is None:
        return {}
    refuse_refs(config, ("ca", "cert", "key"), native, f"{section}.tls_config")
    oldest, newest = (_tls_version(it) for it in (config.min_version, config.max_version))
    if newest and (oldest or "1.2") > newest:
        native.broken = native.broken or (
            f"{section}.tls_config: want min_version <= max_version, got"
            f" {config.min_version or 'TLS12'} and {config.max_version}"
        )
        oldest = newest = ""
    found = filled(
        server_name=config.server_name,
        ca=config.ca,
        ca_file=config.ca_file,
        cert=config.cert,
        cert_file=config.cert_file,
        key=Secret(config.key) if config.key else None,
        key_file=config.key_file,
        min_version=oldest,
        max_version=newest,
    )
    return found | ({"verify": False} if config.insecure_skip_verify else {})


def _tls_version(name: str) -> str:
    return f"1.{TLS_VERSIONS.index(name)}" if name else ""


def ip_of(keys: AddressKeys) -> str:
    """Return which address of a name is taken."""
    family = "6" if keys.preferred_ip_protocol in ("", "ip6") else "4"
    return f"prefer_{family}" if keys.ip_protocol_fallback else family


def refuse_refs(keys: Any, names: Iterable[str], native: Native, section: str) -> None:
    """Note a secret that only a secret manager could give; upstream never has one."""
    for name in names:
        if getattr(keys, f"{name}_ref"):
            native.lost[f"{section}.{name}_ref"] = "there is no secret manager: use a file"
            native.broken = native.broken or (
                f"{section}.{name}_ref: want a secret manager, got none: use {name}_file"
            )


def secret_of(text: str, path: str) -> Any:
    """Return a secret out of one of its two sources; None without one."""
    if path:
        return file_of(path)
    return Secret(text) if text else None


def shown(name: str, value: str) -> str | Secret:
    """Return the value of a header; hidden if its name is that of a secret (D11)."""
    return Secret(value) if value and is_secret_header(name) else value


def file_of(path: str) -> dict[str, Any]:
    """Return a text in a file that is read for every run."""
    return {"file": path, "every_run": True}


def octets_of(octets: bytes) -> Any:
    """Return a text where the bytes are one, else ``{hex: 00ff}``."""
    try:
        return octets.decode("utf-8") or None
    except UnicodeDecodeError:
        return {"hex": octets.hex()}


def filled(**keys: Any) -> dict[str, Any]:
    """Return the keys that say something."""
    return {key: value for key, value in keys.items() if value not in (None, "", [], {}, False)}
