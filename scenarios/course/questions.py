"""What Prometheus is asked about a run: again and again while it goes on, and at its end.

Knows no run: who waits how long is a `Patience`'s, what an answer means is a `Watch`'s.
"""

from collections.abc import Mapping, Sequence

from scenarios.config.settings import PrometheusKeys
from scenarios.course.patience import Patience
from scenarios.course.vigil import Ask
from scenarios.judging.promql import ask, ask_all
from scenarios.judging.rules import Rule
from scenarios.judging.watch import Watch
from scenarios.report import Judged

NOT_ASKED = "want an answer of Prometheus, got no time to ask: the run was ended"


def asker(keys: PrometheusKeys, watch: Watch) -> Ask | None:
    """Return what puts a query while the run goes on; None: nothing has to be asked."""
    if not watch.asked:
        return None

    async def put(query: str) -> float | None:
        return (await ask(keys.url, query, keys.timeout)).value

    return put


async def last_answers(
    keys: PrometheusKeys, rules: Sequence[Rule], watch: Watch, patience: Patience
) -> tuple[Mapping[str, Judged | float | None], tuple[str, ...]]:
    """Return what Prometheus says at the end, and what ended the run; and notes on what it lacks.

    Args:
        keys: of the server.
        rules: of the run.
        watch: of it.
        patience: ends the wait.
    """
    asked = [rule.threshold for rule in rules if rule.threshold.asks_prometheus]
    found: dict[str, Judged | float | None] = {it.expr: None for it in asked}
    notes: list[str] = []
    metrics = [it.metric for it in asked]
    answers = await patience.unless_hurried(ask_all(keys.url, metrics, keys.timeout))
    if answers is None:
        notes += [f"{it.expr}: {NOT_ASKED}" for it in asked]
    else:
        for threshold, answer in zip(asked, answers, strict=True):
            found[threshold.expr] = answer.value
            notes += [f"{threshold.expr}: {answer.why}"] if answer.why else []
    if watch.aborted is not None:
        found[watch.aborted.expr] = watch.aborted
    return found, tuple(notes)
