"""A call and who takes its answer: how several are asked as one and each is read on its own.

Knows no method, no wire and no verdict.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from probes.chain.answer.inquiry import heard, understand
from probes.chain.model import Observation
from probes.chain.talk import Answer, Ask, Talk


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
        """Return a question whose failure is told as that of any method."""

        def take(ask: Ask, answer: Answer) -> None:
            if heard(seen, ask, answer):
                understand(seen, ask, read, answer)

        return cls(ask, take)


def asked_all(questions: Iterable[Question]) -> Talk[None]:
    """Ask all questions, as one where the endpoint can."""
    wanted = list(questions)
    if wanted:
        answers: tuple[Answer, ...] = yield tuple(question.ask for question in wanted)
        for question, answer in zip(wanted, answers, strict=True):
            question.take(question.ask, answer)
