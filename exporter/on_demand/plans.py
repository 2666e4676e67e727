"""From a question to what is run: which kind, which target, and whether that may be.

    Question ── source ──> Source ── judge ──> Draft ── make (a thread) ──> Plan

Each step refuses what it can tell: first an unknown module, then a hostname, a parameter or a
target that may not be. What is costly, drivers and TLS contexts, comes last. Plans are kept for as
long as their config is in force. Knows neither slots nor deadlines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from types import MappingProxyType

from exporter.on_demand.question import BAD_REQUEST, FORBIDDEN, NOT_FOUND, Question, Refused
from probes.config.blackbox.modules import Origin
from probes.config.load import Config
from probes.config.parameters import CLOSED, Opening
from probes.kind import Kind
from probes.kinds import find_kind
from probes.pattern import suggest
from probes.probe import Probe
from probes.run import prepare
from probes.units import short
from probes.wire.address import literal_address
from probes.wire.policy import Policy
from probes.wire.url import parse_url, split_host_port

# product.md, settled point 11; a module of the file with the same name wins.
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {"chain_evm": "evm", "chain_solana": "solana", "chain_cosmos": "cosmos"}
)
NAME = "asked"
REFUSED_TARGET = "want a target of the probe file or within probe_policy.allow, got another one\n"
# Where any target may be asked for, these are all that is left.
REFUSED_ADDRESS = "want a target other than link-local and cloud metadata, got one of these\n"
# A Prometheus asks for thousands of targets again and again; a plan takes 1.5 KB, and what else is
# remembered of a target 1 KB (T27: 10 MiB for whoever asks for 100,000).
MAX_PLANS = 4096
# Of what a request says; plans for longer ones would fill 100 MB.
MAX_KEPT_CHARACTERS = 512
# Scrape jobs of one target have a timeout each.
MAX_TIMEOUTS = 16
# It looks at this machine, and yet the policy has words for it.
UNIX = "unix"
# blackbox.md 8.3: what two parsers may read differently.
_ODD = frozenset("\\\t\r\n\0")

Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """What a question names.

    Args:
        kind: with the settings of the module or the probe.
        name: of the module; empty: of a probe without one.
        timeout_s: of the module or the probe; 0: none.
        opening: what a request may say to the module.
        origin: of a module that comes from a blackbox.yml; None: of any other.
        probe: that was named; None: a module was.
    """

    kind: Kind
    name: str
    timeout_s: float = 0.0
    opening: Opening = CLOSED
    origin: Origin | None = None
    probe: Probe | None = None

    @property
    def is_strict(self) -> bool:
        """Whether quirks of blackbox_exporter are kept."""
        return self.origin is not None and self.origin.compat == "strict"


@dataclass(frozen=True, slots=True)
class Draft:
    """What may be run, before anything costly has been done for it."""

    question: Question
    source: Source
    kind: Kind
    target: str
    policy: Policy
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is run.

    Args:
        probe: the module with the target.
        policy: who may be reached.
        source: what the question named.
        digest: of the target as it was asked for.
        mistake: why the target is none; None when it is one.
    """

    probe: Probe
    policy: Policy
    source: Source
    digest: bytes
    mistake: str | None = None
    _timed: dict[float, Probe] = field(default_factory=dict[float, Probe])

    def within(self, seconds: float) -> Probe:
        """Return the probe with a timeout of *seconds*; one for all runs that have as many."""
        probe = self._timed.get(seconds)
        if probe is None:
            if len(self._timed) >= MAX_TIMEOUTS:
                self._timed.clear()
            probe = self._timed[seconds] = replace(self.probe, timeout_s=seconds)
        return probe


class Plans:
    """The plans of one config.

    Args:
        config: in force.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        # any target may be asked for, as blackbox_exporter has it
        self._is_open = config.is_drop_in
        self._plans: dict[Key, Plan] = {}
        self._names: frozenset[str] | None = None
        self._probes: dict[str, Probe] = {}
        options = config.probe_policy
        self._named = options.policy(trusts_first=True)
        self._free = options.policy(open_to_all=config.is_drop_in)

    @property
    def is_ready(self) -> bool:
        """Whether `read_names` has been called."""
        return self._names is not None

    @property
    def refusal(self) -> str:
        """What is said of a target that may not be asked for: one text for all."""
        return REFUSED_ADDRESS if self._is_open else REFUSED_TARGET

    def read_names(self) -> None:
        """Read the targets of the file, of which there may be ten thousand. From any thread."""
        probes = self.config.probes
        self._probes = {probe.name: probe for probe in probes}
        self._names = frozenset(
            plain(target) for probe in probes for target in probe.kind.named_targets(probe.target)
        )

    def known(self, question: Question) -> Plan | None:
        """Return the plan that was made for such a question before."""
        key = (question.module, question.target, question.hostname, question.probe)
        return self._plans.get(key)

    def source(self, question: Question) -> Source:
        """Return what *question* names.

        Raises:
            Refused: there is no such module or probe, or both are named.
        """
        if not question.probe:
            return _module(self.config, question.module)
        if question.module or question.target or question.hostname:
            text = "want probe alone, got it with module, target or hostname\n"
            raise Refused(BAD_REQUEST, text)
        probe = self._probes.get(question.probe)
        if probe is None:
            # the name is not repeated: it helps nobody to guess
            raise Refused(NOT_FOUND, "want the name of a probe, got another one\n")
        module = self.config.modules.get(probe.module)
        origin = None if module is None else module.origin
        return Source(probe.kind, probe.module, probe.timeout_s, origin=origin, probe=probe)

    def judge(self, question: Question, source: Source) -> Draft:
        """Return what may be run, as far as texts tell.

        Raises:
            Refused: no target, or a hostname, a parameter or a target that may not be.
        """
        if source.probe is not None:
            named = source.probe
            return Draft(question, source, named.kind, named.target, self._named, {})
        target, hostname = question.target, question.hostname
        if not target:
            raise Refused(BAD_REQUEST, "Target parameter is missing\n")
        _judge_spelling(target, hostname)
        target = source.kind.canonical_target(target)
        kind, settings = source.kind, dict[str, object]()
        try:
            if hostname:
                kind = kind.for_hostname(hostname)
            if source.opening.params:
                settings = source.opening.read(dict(reversed(question.others)))
        except ValueError as error:
            raise Refused(BAD_REQUEST, f"{error}\n") from None
        is_named = self._names is not None and plain(target) in self._names
        if not is_named and _is_target(kind, target) and not self._may_be_free(source, target):
            raise Refused(FORBIDDEN, self.refusal)
        policy = self._named if is_named else self._free
        return Draft(question, source, kind, target, policy, settings)

    def make(self, draft: Draft) -> Plan:
        """Return the plan for *draft*, and keep it. Blocks: it imports drivers and reads files.

        Raises:
            Refused: the kind does not take a parameter.
        """
        question, source, kind = draft.question, draft.source, draft.kind
        if draft.settings:
            try:
                kind = source.opening.kind(source.kind, draft.settings)
                kind = kind.for_hostname(question.hostname) if question.hostname else kind
            except ValueError as error:
                raise Refused(BAD_REQUEST, f"{error}\n") from None
        probe = source.probe or Probe(
            name=NAME, kind=kind, target=draft.target, module=source.name, redact=self.config.redact
        )
        mistake: str | None = None
        try:
            kind.check_target(draft.target)
        except ValueError as error:
            mistake = str(error)
        else:
            prepare([probe])
        # /logs knows it by the words of whoever asked, not by what the kind made of them
        digest = digest_of(question.target or draft.target)
        plan = Plan(probe, draft.policy, source, digest, mistake)
        if not source.opening.params:
            self._keep(question, plan)
        return plan

    def _keep(self, question: Question, plan: Plan) -> None:
        key = (question.module, question.target, question.hostname, question.probe)
        if sum(map(len, key)) > MAX_KEPT_CHARACTERS:
            return
        if len(self._plans) >= MAX_PLANS:
            del self._plans[next(iter(self._plans))]
        self._plans[key] = plan

    def _may_be_free(self, source: Source, target: str) -> bool:
        """Return whether a target that the file does not name may be tried; the dial judges too."""
        kind, policy = source.kind, self._free
        if kind.name == UNIX:
            return policy.admits_path(target)
        if not kind.network:
            return False
        has_secrets = not self._is_open and bool(kind.secrets(""))
        try:
            scheme, host, port = _place(target)
        except ValueError:
            # the dial will know the address
            return not has_secrets and (policy.allow is None or bool(policy.allow))
        if has_secrets and not source.opening.trusts(host):
            return False
        address = literal_address(host, port)
        if address is not None:
            return policy.admits(host, port, address.ip, scheme=scheme)
        return policy.may_admit(host, port, scheme)


def digest_of(target: str) -> bytes:
    """Return what tells whether two requests were for the same target."""
    return sha256(target.encode("utf-8", "surrogatepass")).digest()


def plain(target: str) -> str:
    """Return *target* so that two ways to write one are equal: case of scheme and host, an end."""
    scheme, separator, rest = target.strip().partition("://")
    if not separator:
        return target.strip()
    host, slash, path = rest.partition("/")
    user, at, place = host.rpartition("@")
    return f"{scheme.lower()}://{user}{at}{place.lower()}{slash or '/'}{path}"


def _module(config: Config, name: str) -> Source:
    module = config.modules.get(name)
    if module is not None and module.settings is not None:
        timeout_s = module.timeout_s or 0.0
        return Source(module.settings, name, timeout_s, module.opening, module.origin)
    if module is not None:
        text = f"want a module that needs no further keys, got {short(name)}\n"
        raise Refused(BAD_REQUEST, text)
    if name in BUILT_IN:
        return Source(built_in(name), name)
    hint = suggest(name, [*config.modules, *BUILT_IN])
    # the words of blackbox_exporter, quotes too
    raise Unknown(BAD_REQUEST, f'Unknown module "{short(name)[1:-1]}"{hint}\n')


class Unknown(Refused):
    """A module that there is not: such requests are counted."""


@cache
def built_in(name: str) -> Kind:
    """Return the kind behind a built-in name, one for all requests: it keeps its TLS context.

    The first call blocks: it imports the kind.
    """
    kind = find_kind(BUILT_IN[name])
    return kind.model_validate({kind.named_by: name} if kind.named_by is not None else {})


def _judge_spelling(target: str, hostname: str) -> None:
    """Refuse what one parser may take for another host than the next (blackbox.md 8.3)."""
    rest = target.partition("://")[2] or target
    authority = rest
    for end in "/?#":
        authority = authority.partition(end)[0]
    if _ODD.intersection(authority) or authority.count("@") > 1:
        text = "want a target without backslash, control character and second @ in its authority"
        raise Refused(BAD_REQUEST, f"{text}, got one\n")
    if _ODD.intersection(hostname) or "@" in hostname:
        text = "want a hostname without backslash, control character and @, got one\n"
        raise Refused(BAD_REQUEST, text)


def _is_target(kind: Kind, target: str) -> bool:
    """Return whether *target* is one at all; what is none is run into nothing, and said so."""
    try:
        kind.check_target(target)
    except ValueError:
        return False
    return True


def _place(target: str) -> tuple[str, str, int]:
    if "://" in target:
        url = parse_url(target)
        return url.scheme, url.host, url.port
    host, port = split_host_port(target)
    return "", host, port
