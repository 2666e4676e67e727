"""Keys of upstream's HTTP client, which several sections of a blackbox.yml hold: TLS, proxy, login.

Types and single values are judged here, what concerns several keys in
`probes.config.blackbox.judging`.
"""

from typing import Annotated, Any

from pydantic import Field

from probes.config.blackbox.fields import (
    Algorithm,
    Bool,
    Concealed,
    SecretText,
    Text,
    TlsVersion,
    Upstream,
    UrlText,
)


class TlsConfig(Upstream):
    """How TLS connections are made."""

    ca: Text = ""
    """Authorities to trust instead of the system's, as PEM text."""
    cert: Text = ""
    """Client certificate, as PEM text."""
    key: SecretText = ""
    """Key of the client certificate, as PEM text."""
    ca_file: Text = ""
    """``ca`` as a file."""
    cert_file: Text = ""
    """``cert`` as a file."""
    key_file: Text = ""
    """``key`` as a file."""
    ca_ref: Text = ""
    """``ca`` in a secret manager; there is none."""
    cert_ref: Text = ""
    """``cert`` in a secret manager; there is none."""
    key_ref: Text = ""
    """``key`` in a secret manager; there is none."""
    server_name: Text = ""
    """Name to ask for and to verify."""
    insecure_skip_verify: Bool = False
    """Whether the certificate is not verified."""
    min_version: TlsVersion = ""
    """Oldest version; TLS12 by default."""
    max_version: TlsVersion = ""
    """Newest version."""


class UserPassword(Upstream):
    """User name and password."""

    username: Text = ""
    """User name."""
    username_file: Text = ""
    """File with the user name."""
    username_ref: Text = ""
    """User name in a secret manager; there is none."""
    password: SecretText = ""
    """Password."""
    password_file: Text = ""
    """File with the password."""
    password_ref: Text = ""
    """Password in a secret manager; there is none."""


class Authorization(Upstream):
    """The header Authorization."""

    type: Text = ""
    """First word of the header; Bearer by default."""
    credentials: SecretText = ""
    """Rest of the header."""
    credentials_file: Text = ""
    """File with the rest of the header."""
    credentials_ref: Text = ""
    """Rest of the header in a secret manager; there is none."""


class ProxyKeys(Upstream):
    """How a proxy is used."""

    proxy_url: UrlText = ""
    """URL of the proxy."""
    no_proxy: Text = ""
    """Hosts that are reached without it, with commas between."""
    proxy_from_environment: Bool = False
    """Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY are obeyed."""
    proxy_connect_header: Annotated[dict[str, list[Text]], Concealed()] = Field(default={})
    """Headers that go with CONNECT."""


class OAuth2(ProxyKeys):
    """A token that is fetched first."""

    client_id: Text = ""
    """Who asks for the token."""
    client_secret: SecretText = ""
    """Secret of the client."""
    client_secret_file: Text = ""
    """File with the secret."""
    client_secret_ref: Text = ""
    """Secret in a secret manager; there is none."""
    client_certificate_key_id: Text = ""
    """Id of the key that signs."""
    client_certificate_key: SecretText = ""
    """Key that signs."""
    client_certificate_key_file: Text = ""
    """File with the key that signs."""
    client_certificate_key_ref: Text = ""
    """Key that signs, in a secret manager; there is none."""
    signature_algorithm: Algorithm = ""
    """How it signs; RS256 by default."""
    iss: Text = ""
    """Issuer of the assertion; the client by default."""
    audience: Text = ""
    """Audience of the assertion; the token URL by default."""
    claims: dict[str, Any] = Field(default={})
    """Further claims of the assertion."""
    scopes: list[Text] = Field(default=[])
    """What the token is for."""
    token_url: UrlText = ""
    """Where the token is fetched."""
    grant_type: Text = ""
    """client_credentials, or urn:ietf:params:oauth:grant-type:jwt-bearer."""
    endpoint_params: dict[str, Text] = Field(default={})
    """Further fields of the request."""
    tls_config: TlsConfig | None = None
    """TLS of the token endpoint."""


class Header(Upstream):
    """Values of one header."""

    values: list[Text] = Field(default=[])
    """Values as they are."""
    secrets: Annotated[list[Text], Concealed()] = Field(default=[])
    """Values that are not shown."""
    files: list[Text] = Field(default=[])
    """Files with values."""


class ClientKeys(ProxyKeys):
    """Keys of the HTTP client."""

    basic_auth: UserPassword | None = None
    """User name and password."""
    authorization: Authorization | None = None
    """The header Authorization."""
    oauth2: OAuth2 | None = None
    """A token that is fetched first."""
    bearer_token: SecretText = ""
    """Older spelling of ``authorization: {credentials}``."""
    bearer_token_file: Text = ""
    """Older spelling of ``authorization: {credentials_file}``."""
    tls_config: TlsConfig | None = None
    """How TLS connections are made."""
    follow_redirects: Bool = True
    """Whether redirects are followed."""
    enable_http2: Bool = True
    """Whether HTTP/2 is offered."""
    http_headers: dict[str, Header] = Field(default={})
    """Headers with several values, secrets or files."""
