"""The ``oauth2:`` block of the probe file: whom to ask for a token, and with what proof.

Knows no request of a kind and keeps no token: `probes.wire.oauth2.tokens` fetches and shares them.
"""

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from probes.redact import Secret
from probes.settings import Settings, is_blackbox
from probes.units import short
from probes.wire.credentials import Credential
from probes.wire.http.headers import Text
from probes.wire.http.proxies.settings import ProxyOptions
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import Url, parse_url

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
Algorithm = Literal["RS256", "RS384", "RS512"]
# An assertion that somebody copied is worth nothing after this; blackbox_exporter's number.
ASSERTION_S = 600


def _judge_url(text: str) -> str:
    url = parse_url(text)
    if url.user or url.password:
        raise ValueError("want a token_url without user and password, got one with them")
    return text


def _judge_claims(claims: dict[str, Any]) -> dict[str, Any]:
    if len(claims) > MAX_CLAIMS:
        raise ValueError(f"want at most {MAX_CLAIMS} claims, got {len(claims)}")
    return claims


# Nobody signs more; it bounds what is built for each token.
MAX_CLAIMS = 64


class OAuth2Options(Settings):
    """A token from an OAuth 2.0 server (RFC 6749, 4.4; RFC 7523, 2.1)."""

    grant_type: Literal["client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"] = (
        "client_credentials"
    )
    """How we prove who we are: by id and secret, or by a signed assertion."""
    client_id: str = Field(min_length=1)
    """Our name at the server."""
    client_secret: Credential | None = None
    """Our secret; for ``client_credentials``."""
    client_auth: Literal["auto", "header", "body"] = "auto"
    """Where id and secret stand; ``auto``: in a header, and in the body for a server that refuses
    that."""
    token_url: Annotated[str, AfterValidator(_judge_url)]
    """Where tokens are given out."""
    scopes: tuple[str, ...] = ()
    """What the token should be good for."""
    endpoint_params: dict[str, Text | list[Text]] = Field(default={})
    """Further fields of the request."""
    key: Credential | None = None
    """Private RSA key in PEM, which signs the assertion."""
    key_id: str = ""
    """Name of the key, for the head of the assertion."""
    algorithm: Algorithm = "RS256"
    """How the assertion is signed."""
    iss: str = ""
    """Who issues the assertion; by default ``client_id``."""
    audience: str = ""
    """Whom the assertion is for; by default ``token_url``."""
    claims: Annotated[dict[str, Any], AfterValidator(_judge_claims)] = Field(default={})
    """Further claims of the assertion; they win over ours."""
    tls: TlsOptions = TlsOptions()
    """How the token server is verified, and the client certificate for it."""
    proxy: ProxyOptions | None = None
    """Through which proxy it is asked; not that of the probe."""

    @model_validator(mode="after")
    def _make_sense(self, info: ValidationInfo) -> Self:
        if self.grant_type == JWT_BEARER:
            if self.key is None:
                raise ValueError("want a key to sign with, got none")
        elif self.key is not None and not is_blackbox(info):
            raise ValueError(f"want a key with the grant_type {JWT_BEARER} only, got one")
        if any(" " in scope or not scope for scope in self.scopes):
            raise ValueError(f"want scopes without blanks, got {short(' , '.join(self.scopes))}")
        return self

    @cached_property
    def url(self) -> Url:
        """``token_url``, read."""
        return parse_url(self.token_url)

    @property
    def signs(self) -> bool:
        """Whether the proof is a signed assertion."""
        return self.grant_type == JWT_BEARER

    def secrets(self) -> set[str]:
        """Return every text beside the `Secret` fields that must not be shown."""
        return set() if self.proxy is None else self.proxy.secrets()


def plain_fields(options: OAuth2Options) -> list[tuple[str, str]]:
    """Return the further fields of the request, as they go out."""
    found: list[tuple[str, str]] = []
    for name, value in options.endpoint_params.items():
        values = value if isinstance(value, list) else [value]
        found += [(name, v.get_secret_value() if isinstance(v, Secret) else v) for v in values]
    return found
