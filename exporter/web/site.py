"""The routes: which path answers what, to which method, counted under which name.

    route(path) ──> Route(handler, methods, answer) ──> Answer | Stream

Talks to the service through `Backend` only. Knows no socket, no limit and no server library.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from urllib.parse import parse_qsl
from zlib import DEFLATED, compressobj

from exporter.exposition.scrape import TEXT as TEXT_FORMAT
from exporter.exposition.scrape import PageQuery, accepts_gzip, content_type, negotiate, parse_shard
from exporter.exposition.stream import Busy
from exporter.on_demand.account import runs_text
from exporter.on_demand.plans import digest_of
from exporter.on_demand.question import MAX_TIMEOUT_S, Refused
from exporter.on_demand.recent import Run
from exporter.web.answers import HTML, JSON, Answer, Stream
from exporter.web.auth import Failures, token_matches
from exporter.web.backend import Backend
from exporter.web.chains import endpoint_answer, list_answer
from exporter.web.documents import health_text, in_pieces, overall, probe_text, probes_text
from exporter.web.gate import CHAINS, HEALTHY, READY, RELOAD
from exporter.web.pages import POLICY_OF_FORM, landing_page
from exporter.web.prefix import AT_TOP, TOP, Prefix
from exporter.web.probing import TIMEOUT_HEADER, parameters, question_of, unescaped
from probes.errors import ConfigError
from probes.probe import Probe
from probes.units import short

# P19.
MAX_LAG_S = 10.0
# A scraper asks for a few families of a few probes; what parse_qsl refuses beyond it is an attack.
MAX_PARAMETERS = 1000
READ = ("GET", "HEAD")
# The longest timeout of a scraper that counts, and what it takes to write the answer.
PROBE_S = MAX_TIMEOUT_S + 10.0
# A page of one run has 3 KB: the lowest level takes a third of the time and packs nearly as well.
PROBE_GZIP_LEVEL = 1
# zlib: in the format of gzip, with a window of 8 KiB, and memory for what it has met to match. The
# usual 32 KiB and 8 are 256 KiB to take and to clear for each page: a twentieth of a request.
GZIP_FORMAT = 29
GZIP_MEMORY = 6
GZIPPED = (("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
MAX_ID_DIGITS = 18

Reply = Answer | Stream
RETRY = ("Retry-After", "1")
SWITCHED_OFF = (
    "want web.admin_token in the probe file to switch this endpoint on, got none;"
    " without a probe file, SONDE_ADMIN_TOKEN_FILE names a file with the token\n"
)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that the gate has let in."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    owner: str

    @property
    def wants_body(self) -> bool:
        """Whether it is not a HEAD."""
        return self.method != "HEAD"


@dataclass(frozen=True, slots=True)
class Route:
    """What serves a path. ``handler`` is the label of ``sonde_web_requests_total``."""

    handler: str
    methods: tuple[str, ...]
    answer: Callable[[Ask], Awaitable[Reply]]
    wrong_method: str = "want GET or HEAD, got another method\n"
    takes_s: float = 0.0
    """How long an answer may take where that is longer than usual."""

    @property
    def is_direct(self) -> bool:
        """Whether it is asked for so often that aiohttp costs too much; its answers are whole."""
        return self.handler == "probe"


class Site:
    """Everything that ``sonde run`` answers.

    Args:
        backend: the service.
        prefix: where its paths begin.
    """

    def __init__(self, backend: Backend, prefix: Prefix = AT_TOP) -> None:
        self._backend = backend
        self._prefix = prefix
        self._failures = Failures()
        self._routes = {
            "/": Route("landing", READ, self._landing),
            "/metrics": Route("metrics", READ, self._metrics),
            HEALTHY: Route("healthy", READ, self._health_check),
            READY: Route("ready", READ, self._ready),
            RELOAD: Route(
                "reload", ("POST",), self._reload, "This endpoint requires a POST request.\n"
            ),
            "/health": Route("health", READ, self._health),
            "/api/v1/probes": Route("probes", READ, self._probes),
            CHAINS: Route("healthz", READ, self._chains),
            "/probe": Route("probe", (*READ, "POST"), self._asked, takes_s=PROBE_S),
            "/logs": Route("logs", READ, self._logs),
            "/config": Route("config", READ, self._config),
        }
        if prefix.path:
            self._routes[TOP] = Route("landing", READ, self._to_prefix)
        # a name may hold slashes: everything behind the prefix is the name
        self._named = {
            "/health/": Route("health", READ, self._health_of),
            "/api/v1/probes/": Route("probes", READ, self._probe),
            f"{CHAINS}/": Route("healthz", READ, self._health_check),
        }
        self._unknown = Route("other", (), self._not_found)

    def find(self, path: str) -> Route:
        """Return the route of *path*; one that answers 404 when there is none."""
        known = self._routes.get(path)
        if known is not None:
            return known
        for prefix, route in self._named.items():
            if path.startswith(prefix) and len(path) > len(prefix):
                return route
        return self._unknown

    async def answer(self, route: Route, ask: Ask) -> Reply:
        """Answer *ask* by *route*."""
        if route.methods and ask.method not in route.methods:
            return Answer.text(405, route.wrong_method, ("Allow", ", ".join(route.methods)))
        return await route.answer(ask)

    def health_check(self, path: str) -> Answer:
        """Answer what `exporter.web.gate.is_health_check` lets through; from any thread."""
        if path != HEALTHY:
            return endpoint_answer(self._backend, path[len(CHAINS) + 1 :], datetime.now(UTC))
        lag = monotonic() - self._backend.last_tick
        if lag > MAX_LAG_S:
            return Answer.text(
                503, f"want an event loop that turns, got none for {lag:.0f} s\n", RETRY
            )
        return Answer.text(200, "Healthy")

    async def _health_check(self, ask: Ask) -> Reply:
        return self.health_check(ask.path)

    async def _not_found(self, _: Ask) -> Reply:
        return Answer.text(404, "want a path of the landing page, got another one\n")

    async def _landing(self, _: Ask) -> Reply:
        backend, below = self._backend, self._prefix.path
        # runs go on while the page is written
        kept = tuple(backend.runs.newest_first())
        runs = runs_text(kept, lambda number: f"logs?id={number}")
        page = landing_page(backend.version, len(backend.probes), runs, below)
        return Stream(200, HTML, lambda: in_pieces(page), (POLICY_OF_FORM,))

    async def _to_prefix(self, _: Ask) -> Reply:
        return Answer.text(302, "", ("Location", self._prefix.home))

    async def _ready(self, _: Ask) -> Reply:
        is_ready, why = self._backend.readiness()
        return Answer.text(200, "Ready") if is_ready else Answer.text(503, f"{why}\n", RETRY)

    async def _metrics(self, ask: Ask) -> Reply:
        try:
            query = page_query(ask)
        except ValueError as error:
            return Answer.text(400, f"{error}\n")
        headers = [("Vary", "Accept, Accept-Encoding")]
        if not ask.wants_body:
            return Stream(
                200, content_type(openmetrics=query.openmetrics), _nothing, tuple(headers)
            )
        try:
            page = self._backend.metrics.page(query)
        except Busy as error:
            self._backend.count_rejected("limit")
            return Answer.text(503, f"{error}\n", RETRY)
        if page.encoding == "gzip":
            headers.append(("Content-Encoding", "gzip"))
        return Stream(200, page.content_type, page.chunks, tuple(headers))

    async def _reload(self, ask: Ask) -> Reply:
        refusal = self._refuse_mutation(ask)
        if refusal is not None:
            return refusal
        try:
            news = await self._backend.reload()
        except ConfigError as error:
            return Answer.text(500, f"failed to reload config: {error}\n")
        return Answer.text(200, "".join(f"warning: {problem}\n" for problem in news))

    def _refuse_mutation(self, ask: Ask) -> Answer | None:
        token = self._backend.admin_token
        if not token:
            return Answer.text(403, SWITCHED_OFF)
        kind = ask.headers.get("content-type")
        if kind is not None and kind.partition(";")[0].strip().lower() != JSON:
            # a form of a foreign page can send every other type
            return Answer.text(403, f"want a body of {JSON} or none, got {short(kind)}\n")
        if self._failures.too_many(ask.owner):
            self._backend.count_rejected("rate")
            return Answer.text(429, "want fewer wrong tokens, got too many\n", RETRY)
        if token_matches(ask.headers.get("authorization"), token):
            return None
        self._failures.add(ask.owner)
        self._backend.count_rejected("auth")
        text = "want Authorization: Bearer with web.admin_token, got another one or none\n"
        return Answer.text(401, text, ("WWW-Authenticate", "Bearer"))

    async def _health(self, _: Ask) -> Reply:
        return self._health_reply(list(self._backend.probes))

    async def _health_of(self, ask: Ask) -> Reply:
        probe = self._probe_named(ask.path.removeprefix("/health/"))
        return _no_such_probe() if probe is None else self._health_reply([probe])

    def _health_reply(self, probes: list[Probe]) -> Reply:
        status = overall(self._backend.state(probe.name) for probe in probes)
        code = 503 if status == "unhealthy" else 200
        now = datetime.now(UTC)
        return Stream(
            code, JSON, lambda: in_pieces(health_text(self._backend, probes, status, now))
        )

    async def _probes(self, _: Ask) -> Reply:
        probes = list(self._backend.probes)
        return Stream(200, JSON, lambda: in_pieces(probes_text(self._backend, probes)))

    async def _probe(self, ask: Ask) -> Reply:
        probe = self._probe_named(ask.path.removeprefix("/api/v1/probes/"))
        if probe is None:
            return _no_such_probe()
        return Answer(200, probe_text(self._backend, probe).encode() + b"\n", JSON)

    async def _chains(self, _: Ask) -> Reply:
        return list_answer(self._backend, datetime.now(UTC))

    async def _asked(self, ask: Ask) -> Reply:
        try:
            question = question_of(ask.query, ask.headers.get(TIMEOUT_HEADER))
            page = await self._backend.ask(question)
        except Refused as refused:
            return self._refusal(refused)
        if question.debug:
            return Answer(200, page)
        if accepts_gzip(ask.headers.get("accept-encoding")):
            # zlib.compress() knows no such memory
            packer = compressobj(PROBE_GZIP_LEVEL, DEFLATED, GZIP_FORMAT, GZIP_MEMORY)
            packed = packer.compress(page) + packer.flush()
            return Answer(200, packed, TEXT_FORMAT, GZIPPED)
        return Answer(200, page, TEXT_FORMAT)

    async def _logs(self, ask: Ask) -> Reply:
        try:
            found = parameters(ask.query)
        except Refused as refused:
            return self._refusal(refused)
        number, target, module = found.get("id", ""), found.get("target", ""), found.get("module")
        if not (number.isascii() and number.isdigit() and len(number) <= MAX_ID_DIGITS):
            number = ""
        if bool(number) == bool(target):
            got = "both" if number else "neither"
            return Answer.text(400, f"want id, or target with or without module, got {got}\n")
        run = self._run_of(number, target, module or "")
        if run is None:
            return Answer.text(404, "want a run that is still kept, got another one\n")
        return Answer(200, await self._backend.account(run))

    def _run_of(self, number: str, target: str, module: str) -> Run | None:
        runs = self._backend.runs
        if number:
            return runs.find(int(number))
        found = runs.match(digest_of(target), module)
        return found or runs.match(digest_of(unescaped(target)), module)

    async def _config(self, _: Ask) -> Reply:
        return Answer(200, await self._backend.config_text())

    def _refusal(self, refused: Refused) -> Reply:
        if refused.status == 403:  # noqa: PLR2004 - of HTTP
            self._backend.count_rejected("policy")
        if refused.status != 503:  # noqa: PLR2004 - of HTTP
            return Answer.text(refused.status, refused.text)
        self._backend.count_rejected("limit")
        return Answer.text(503, refused.text, RETRY)

    def _probe_named(self, name: str) -> Probe | None:
        return next((probe for probe in self._backend.probes if probe.name == name), None)


def _no_such_probe() -> Answer:
    # the name is not repeated: it comes from outside, and the page of a 404 helps nobody to guess
    return Answer.text(404, "want the name of a probe, got another one\n")


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


def page_query(ask: Ask) -> PageQuery:
    """Read headers and query of a scrape; unknown parameters are ignored.

    Raises:
        ValueError: a bad shard, or too many parameters.
    """
    found: dict[str, list[str]] = {"name[]": [], "probe": [], "tag": [], "shard": []}
    if ask.query.count("&") >= MAX_PARAMETERS:
        raise ValueError(f"want at most {MAX_PARAMETERS} parameters, got more")
    for name, value in parse_qsl(ask.query, keep_blank_values=True, errors="replace"):
        if name in found:
            found[name].append(value)
    shards = found["shard"]
    if len(shards) > 1:
        raise ValueError(f"want one shard, got {len(shards)}")
    return PageQuery(
        openmetrics=negotiate(ask.headers.get("accept")),
        gzip=accepts_gzip(ask.headers.get("accept-encoding")),
        names=frozenset(found["name[]"]),
        probes=frozenset(found["probe"]),
        tags=frozenset(found["tag"]),
        shard=parse_shard(shards[0]) if shards else None,
    )
