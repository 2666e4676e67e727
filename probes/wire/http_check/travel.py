"""The keys that say how a request of HTTP travels: proxy, token, source, resolver, trust.

    keys = TravelKeys(proxy={"url": "http://proxy:3128"})
    options = keys.travelling(Options(...))
    proven = await keys.prove(request, recorder)     # with a token, where one is configured
    ...                                              # proven.request goes out
    proven.answered(response)

For the kinds that mix them in. Knows neither what a request says nor what its answer should be.
"""

from dataclasses import replace
from functools import cached_property

from probes.recorder import Recorder
from probes.settings import Settings
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.http.message import Request, Response
from probes.wire.http.options import Options
from probes.wire.http.proxies.settings import ProxyOptions
from probes.wire.http.redirect import Nearness
from probes.wire.oauth2.settings import OAuth2Options
from probes.wire.oauth2.tokens import Token, Tokens, tokens_of
from probes.wire.source import Source


class TravelKeys(Settings):
    """How a request travels."""

    oauth2: OAuth2Options | None = None
    """Ask with a token of an OAuth 2.0 server."""
    proxy: ProxyOptions | None = None
    """Through which proxy requests go."""
    source: Source = ""
    """Address or interface of this host to come from."""
    resolver: ResolverOptions = ResolverOptions()
    """Name servers to ask instead of the system's."""
    trust: Nearness = "origin"
    """Where credentials follow a redirect to: the same ``origin`` only; or the same ``host`` and
    its subdomains, but never from https to http."""

    def travelling(self, options: Options) -> Options:
        """Return *options* with what these keys say."""
        return replace(
            options,
            source_ip=self.source or None,
            proxies=None if self.proxy is None else self.proxy.proxies,
            servers=self.resolver.addresses,
            stays_near=self.trust,
        )

    def travel_secrets(self) -> set[str]:
        """Return every text beside the `Secret` fields that must not be shown."""
        found = set() if self.proxy is None else self.proxy.secrets()
        return found | (set() if self.oauth2 is None else self.oauth2.secrets())

    def prepare_travel(self) -> None:
        """Do now, off the loop, what the first run would wait for."""
        if self._tokens is not None:
            self._tokens.prepare()
        if self.proxy is not None and self.proxy.proxies is not None:
            self.proxy.proxies.prepare()
        self.resolver.prepare()

    async def prove(self, request: Request, recorder: Recorder) -> "Proven":
        """Return *request* as it shows who asks.

        Raises:
            CheckFailed: ``auth``, in phase ``auth``: there is no token.
        """
        tokens = self._tokens
        if tokens is None:
            return Proven(request)
        token = await tokens.get(recorder)
        headers = (("Authorization", token.header), *request.headers)
        return Proven(replace(request, headers=headers), tokens, token)

    @cached_property
    def _tokens(self) -> Tokens | None:
        return None if self.oauth2 is None else tokens_of(self.oauth2)


class Proven:
    """A request that shows who asks, and what is learnt from its answer."""

    __slots__ = ("_token", "_tokens", "request")

    def __init__(
        self, request: Request, tokens: Tokens | None = None, token: Token | None = None
    ) -> None:
        self.request = request
        self._tokens = tokens
        self._token = token

    def answered(self, response: Response) -> None:
        """Learn from the answer; one of another origin says nothing of the token."""
        if self._tokens is None or self._token is None or not response.status:
            return
        if response.url.origin == self.request.url.origin:
            self._tokens.answered(self._token, response.status)
