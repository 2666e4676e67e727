"""What all chain families do with an answer: blame the endpoint, learn from it, or complain.

    yield from ask_core(family, seen, ask, take)
    yield from asked_all([Question.plain(seen, ask, read), ...])       # all others

Knows no method but those by which the families tell themselves apart. What a fault means for the
group is for the judge.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from probes.chain.model import Family, Group, Observation
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import Answer, Ask, Class, Talk
from probes.result import Outcome
from probes.units import short

IDENTITIES: Mapping[Family, str] = MappingProxyType(
    {"evm": "eth_chainId", "solana": "getVersion", "cosmos": "status"}
)
"""What a node of each family answers at once, and no node of another."""
_ARTICLES: Mapping[Family, str] = MappingProxyType(
    {"evm": "an EVM", "solana": "a Solana", "cosmos": "a CometBFT"}
)
BATCH = "batch"
"""Topic of the proof: `probes.chain.visit` sends it as one request although nothing is proven."""
UNKNOWN_METHOD = "sonde_unknown"
RESPONSE = "response"
"""Phase of what is wrong with an answer that came (chains.md 6.3)."""
UNHEARD: frozenset[Class] = frozenset(
    {"transport", "rate_limited", "plan_exhausted", "auth_failed"}
)
"""The endpoint itself could not be asked: it says nothing about the method, and is told once."""
# It answered, and has nothing to give: no fault.
_EMPTY = frozenset({"unsupported", "missing_data"})
_OUTCOMES: Mapping[ChainReason, Outcome] = MappingProxyType(
    {
        ChainReason.RATE_LIMITED: Outcome.DEGRADED,
        ChainReason.PROBE_NETWORK: Outcome.UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True)
class Question:
    """A call, and who takes its answer.

    Args:
        ask: the call.
        take: is given both; notes also that there is no result.
    """

    ask: Ask
    take: Callable[[Ask, Answer], None]

    @classmethod
    def plain(cls, seen: Observation, ask: Ask, read: Callable[[Any], None]) -> "Question":
        """Return a question whose failure is told as that of any method.

        Args:
            seen: where it is told.
            ask: the call.
            read: reads the result; a ValueError of it means that the endpoint talks nonsense.
        """

        def take(ask: Ask, answer: Answer) -> None:
            if heard(seen, ask, answer):
                understand(seen, ask, read, answer)

        return cls(ask, take)


def blame(family: Family, seen: Observation, ask: Ask, answer: Answer) -> Talk[None]:
    """Note why a core method gave no head; a method nobody knows may be of another family."""
    reason = answer.reason or ChainReason.RPC_CORE_ERROR
    if answer.kind == "unsupported":
        other = yield from _other_family(family, ask)
        if other is not None:
            hint = f"this is {_ARTICLES[other]} endpoint, use kind: {other}"
            seen.fault = Finding(ChainReason.WRONG_FAMILY, Outcome.DOWN, hint)
            return
        reason = ChainReason.RPC_CORE_ERROR
    seen.fault = Finding(
        reason,
        _OUTCOMES.get(reason, Outcome.DOWN),
        answer.detail if answer.kind == "transport" else f"{ask.method}: {answer.detail}",
        phase=answer.phase or RESPONSE,
        cause=answer.cause,
    )


def ask_core(
    family: Family, seen: Observation, ask: Ask, take: Callable[[Answer], None]
) -> Talk[Answer]:
    """Ask a core method and take its answer: whatever is wrong with it is the endpoint's fault."""
    answer: Answer = yield ask
    if not answer.ok:
        yield from blame(family, seen, ask, answer)
        return answer
    seen.asked.add(ask.topic)
    try:
        take(answer)
    except ValueError as error:
        detail = f"{ask.method}: {error}"
        seen.fault = Finding(ChainReason.INVALID_RESPONSE, Outcome.DOWN, detail)
    return answer


def _other_family(family: Family, ask: Ask) -> Talk[Family | None]:
    for other, method in IDENTITIES.items():
        if other != family:
            answer: Answer = yield Ask(ask.topic, method)
            if answer.ok:
                return other
            if answer.kind in UNHEARD:
                break
    return None


def asked_all(questions: Iterable[Question]) -> Talk[None]:
    """Ask all *questions*, as one where the endpoint can, and let each answer be taken."""
    wanted = list(questions)
    if wanted:
        answers: tuple[Answer, ...] = yield tuple(question.ask for question in wanted)
        for question, answer in zip(wanted, answers, strict=True):
            question.take(question.ask, answer)


def heard(seen: Observation, ask: Ask, answer: Answer) -> bool:
    """Note what came of a method that is not core; return whether there is a result."""
    if answer.kind in UNHEARD:
        return False
    seen.asked.add(ask.topic)
    if answer.kind == "unsupported":
        seen.unsupported.add(ask.topic)
    elif not answer.ok and answer.kind not in _EMPTY:
        complain(seen, ask, answer.detail)
    return answer.ok


def was_sent(answer: Answer) -> bool:
    """Return whether the call was made: there was somebody to ask, and the budget allowed it."""
    return answer.kind != "transport" or answer.reason not in (None, ChainReason.BUDGET_SHED)


def understand(seen: Observation, ask: Ask, take: Callable[[Any], None], answer: Answer) -> bool:
    """Take the result of *answer*; return whether it made sense."""
    try:
        take(answer.result)
    except ValueError as error:
        complain(seen, ask, str(error))
        return False
    return True


def prove_batch(group: Group, seen: Observation, method: str) -> Talk[None]:
    """Send *method* and one that nobody has as one request: an answer to each must come back."""
    if not group.batch and BATCH not in group.require:
        seen.asked.add(BATCH)
        return
    answers: tuple[Answer, Answer] = yield (Ask(BATCH, method), Ask(BATCH, UNKNOWN_METHOD))
    known, unknown = answers
    if known.kind not in UNHEARD:
        seen.asked.add(BATCH)
        seen.capabilities[BATCH] = known.ok and unknown.code is not None


def complain(seen: Observation, ask: Ask, detail: str) -> None:
    """Note that a method fails, once for an endpoint: the first of them is enough to look."""
    if all(finding.reason is not ChainReason.METHOD_ERRORS for finding in seen.findings):
        text = f"{ask.method}: {detail}"
        seen.findings.append(Finding(ChainReason.METHOD_ERRORS, Outcome.DEGRADED, text))


def at(document: Any, *names: str) -> Any:
    """Return what stands at *names* in *document*.

    Raises:
        ValueError: nothing does.
    """
    value = document
    for name in names:
        if not isinstance(value, dict) or name not in value:
            raise ValueError(f"want {'.'.join(names)} in the result, got {short(document)}")
        value = value[name]
    return value


def text_at(document: Any, *names: str) -> str:
    """Return the text at *names* in *document*.

    Raises:
        ValueError: there is none.
    """
    value = at(document, *names)
    if not isinstance(value, str):
        raise ValueError(f"want {'.'.join(names)} as text, got {short(value)}")
    return value
