"""The section http of a blackbox.yml, and the keys of upstream's HTTP client, in our words.

Knows no other section.
"""

from collections.abc import Mapping
from typing import Any

from probes.config.blackbox.client import (
    Authorization,
    ClientKeys,
    Header,
    OAuth2,
    ProxyKeys,
    UserPassword,
)
from probes.config.blackbox.native import (
    Native,
    file_of,
    filled,
    ip_of,
    refuse_refs,
    secret_of,
    shown,
    tls_of,
)
from probes.config.blackbox.options import BlackboxModule, HeaderMatch, HttpSection
from probes.config.blackbox.reading import read_any
from probes.redact import Secret
from probes.units import format_size

# RFC 9110, 15
STATUSES = range(100, 600)
VERSIONS: Mapping[str, str] = {
    "HTTP/1.0": "1.0", "HTTP/1.1": "1.1", "HTTP/2.0": "2", "HTTP/3.0": "3",
}  # fmt: skip


def http_of(module: BlackboxModule) -> Native:
    """Return what a module with the prober http becomes."""
    http = module.http or HttpSection()
    native = Native("http", {})
    headers = {name: shown(name, value) for name, value in http.headers.items()}
    native.settings = filled(
        method=http.method,
        headers=headers_of(http.http_headers, headers),
        body={"file": http.body_file} if http.body_file else http.body,
        ip=ip_of(http),
        decode=http.compression,
        expect=_http_expect(http),
    )
    native.settings |= {
        "decompress": False,
        "trust": "host",
        "follow_redirects": follows(http),
        "versions": [3] if http.enable_http3 else [1, 2] if http.enable_http2 else [1],
        "max_body": format_size(http.body_size_limit) if http.body_size_limit else "none",
    }
    native.settings |= client_of(http, native, "http")
    _one_login(native.settings)
    if http.fail_if_ssl and http.fail_if_not_ssl:
        native.broken = native.broken or "http.fail_if_not_ssl: want it or fail_if_ssl, got both"
    if http.skip_resolve_phase_with_proxy and "proxy" in native.settings:
        native.settings["proxy"]["resolve"] = False
    return native


def _one_login(settings: dict[str, Any]) -> None:
    """Leave the login that upstream sends: a token over a header over the others."""
    headers = settings.get("headers", {})
    written = [name for name in headers if name.lower() == "authorization"]
    if "oauth2" in settings:
        for name in written:
            del headers[name]
    elif written:
        settings.pop("basic_auth", None)
        settings.pop("authorization", None)


def follows(http: HttpSection) -> bool:
    """Return whether redirects are followed."""
    if http.no_follow_redirects is not None:
        return not http.no_follow_redirects
    return http.follow_redirects


def judges_body(http: HttpSection) -> bool:
    """Return whether an option looks at the body."""
    return bool(
        http.fail_if_body_matches_regexp
        or http.fail_if_body_not_matches_regexp
        or http.fail_if_body_json_matches_cel
        or http.fail_if_body_json_not_matches_cel
    )


def _http_expect(http: HttpSection) -> dict[str, Any]:
    return filled(
        status=_statuses(http.valid_status_codes),
        http_version=[VERSIONS.get(it, it) for it in http.valid_http_versions],
        tls="absent" if http.fail_if_ssl else "present" if http.fail_if_not_ssl else "",
        body=http.fail_if_body_not_matches_regexp,
        body_lacks=http.fail_if_body_matches_regexp,
        cel=http.fail_if_body_json_not_matches_cel,
        cel_not=http.fail_if_body_json_matches_cel,
        headers=list(map(_header_match, http.fail_if_header_not_matches)),
        headers_lack=list(map(_header_match, http.fail_if_header_matches)),
    )


def _statuses(codes: list[int]) -> list[int]:
    """Return the codes that an answer can have; one that none has matters only when alone."""
    return [code for code in codes if code in STATUSES] or codes


def _header_match(match: HeaderMatch) -> dict[str, Any]:
    return filled(name=match.header, regex=match.regexp, optional=match.allow_missing)


def client_of(client: ClientKeys, native: Native, section: str) -> dict[str, Any]:
    """Return what the keys of the HTTP client become."""
    settings = filled(
        tls=tls_of(client.tls_config, native, section),
        basic_auth=_basic_auth(client.basic_auth, native, section),
        authorization=_authorization(client, native, section),
        proxy=_proxy(client),
    )
    if client.oauth2 is not None:
        settings["oauth2"] = _oauth2(client.oauth2, native, f"{section}.oauth2")
    return settings


def _basic_auth(auth: UserPassword | None, native: Native, section: str) -> dict[str, Any]:
    if auth is None:
        return {}
    refuse_refs(auth, ("username", "password"), native, f"{section}.basic_auth")
    found = filled(
        username=file_of(auth.username_file) if auth.username_file else auth.username,
        password=secret_of(auth.password, auth.password_file),
    )
    return found or {"username": ""}


def _authorization(client: ClientKeys, native: Native, section: str) -> dict[str, Any]:
    auth = client.authorization
    if auth is None:
        if not (client.bearer_token or client.bearer_token_file):
            return {}
        auth = Authorization(
            credentials=client.bearer_token, credentials_file=client.bearer_token_file
        )
    refuse_refs(auth, ("credentials",), native, f"{section}.authorization")
    credentials = secret_of(auth.credentials, auth.credentials_file)
    # upstream sends nothing without credentials
    if credentials is None:
        return {}
    return {"type": auth.type.strip() or "Bearer", "credentials": credentials}


def _oauth2(oauth2: OAuth2, native: Native, section: str) -> dict[str, Any]:
    refuse_refs(oauth2, ("client_secret", "client_certificate_key"), native, section)
    return filled(
        grant_type=oauth2.grant_type,
        client_id=oauth2.client_id,
        client_secret=secret_of(oauth2.client_secret, oauth2.client_secret_file),
        token_url=oauth2.token_url,
        scopes=oauth2.scopes,
        endpoint_params={
            name: shown(name, value) for name, value in oauth2.endpoint_params.items()
        },
        key=secret_of(oauth2.client_certificate_key, oauth2.client_certificate_key_file),
        key_id=oauth2.client_certificate_key_id,
        algorithm=oauth2.signature_algorithm,
        iss=oauth2.iss,
        audience=oauth2.audience,
        claims=read_any(oauth2.claims),
        tls=tls_of(oauth2.tls_config, native, section),
        proxy=_proxy(oauth2),
    )


def _proxy(keys: ProxyKeys) -> dict[str, Any]:
    if not (keys.proxy_url or keys.proxy_from_environment):
        return {}
    return filled(
        url=Secret(keys.proxy_url) if "@" in keys.proxy_url else keys.proxy_url,
        no_proxy=keys.no_proxy,
        from_env=keys.proxy_from_environment,
        connect_headers={
            name: list(map(Secret, values)) for name, values in keys.proxy_connect_header.items()
        },
    )


def headers_of(given: Mapping[str, Header], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return all headers; one with several values is a list."""
    merged = dict(plain)
    for name, header in given.items():
        values = [
            *(shown(name, value) for value in header.values),
            *map(Secret, header.secrets),
            *map(file_of, header.files),
        ]
        old = next((key for key in merged if key.lower() == name.lower()), None)
        if old is not None:
            values.insert(0, merged.pop(old))
        if values:
            merged[name] = values[0] if len(values) == 1 else values
    return merged
