"""The confirmed state of a probe: what is left of its outcomes when single runs do not count.

    State
    ├── judged      up | degraded | down, confirmed; None before the first
    ├── is_open     whether an incident is open
    └── streaks     failing, troubled, passing, healthy, unknown: runs in a row

Pure: `step` takes the state and an outcome and returns the next state. Knows neither clock, nor
store, nor who is told.
"""

from dataclasses import dataclass, replace

from probes.probe import IncidentPolicy
from probes.result import Outcome


@dataclass(frozen=True, slots=True)
class State:
    """What the runs of a probe so far have confirmed."""

    judged: Outcome | None = None
    is_open: bool = False
    failing: int = 0
    """Down in a row; unknown runs in between do not count."""
    troubled: int = 0
    """Not up in a row; the same."""
    passing: int = 0
    """Up or degraded in a row; the same."""
    healthy: int = 0
    """Up in a row; the same."""
    unknown: int = 0
    """Unknown in a row, nothing in between."""
    is_unknown: bool = False

    @property
    def confirmed(self) -> Outcome | None:
        """The state to show; None before anything is confirmed."""
        return Outcome.UNKNOWN if self.is_unknown else self.judged


def step(state: State, outcome: Outcome, policy: IncidentPolicy) -> State:
    """Return the state after one more run.

    * An incident opens after ``open_after`` runs down in a row and closes after ``close_after``
      that pass. A lesser change (up to degraded and back) is confirmed by the same numbers.
    * A run that is unknown neither opens nor closes, nor does it break a streak; ``open_after`` of
      them in a row are shown as the state unknown until the next judged run.
    * The first run that passes is believed at once: nothing was confirmed before.
    """
    if outcome is Outcome.UP and _is_settled(state, policy):
        return state  # nearly every run; counting on would change nothing
    if outcome is Outcome.UNKNOWN:
        unknown = state.unknown + 1
        return replace(
            state, unknown=unknown, is_unknown=state.is_unknown or unknown >= policy.open_after
        )
    state = replace(state, unknown=0, is_unknown=False)
    if outcome is Outcome.DOWN:
        return _after_failure(state, policy)
    return _after_pass(state, outcome, policy)


def _is_settled(state: State, policy: IncidentPolicy) -> bool:
    """Return whether one more run that is up confirms nothing new."""
    return (
        state.judged is Outcome.UP
        and state.unknown == 0
        and not state.is_unknown
        and state.failing == state.troubled == 0
        and min(state.healthy, state.passing) >= policy.close_after
    )


def _after_failure(state: State, policy: IncidentPolicy) -> State:
    state = replace(
        state, failing=state.failing + 1, troubled=state.troubled + 1, passing=0, healthy=0
    )
    if state.failing >= policy.open_after:
        return replace(state, judged=Outcome.DOWN, is_open=True)
    if not state.is_open and state.troubled >= policy.open_after:
        return replace(state, judged=Outcome.DEGRADED)
    return state


def _after_pass(state: State, outcome: Outcome, policy: IncidentPolicy) -> State:
    is_up = outcome is Outcome.UP
    state = replace(
        state,
        failing=0,
        troubled=0 if is_up else state.troubled + 1,
        passing=state.passing + 1,
        healthy=state.healthy + 1 if is_up else 0,
    )
    if state.is_open:
        is_over = state.passing >= policy.close_after
        return replace(state, judged=outcome, is_open=False) if is_over else state
    if state.judged is None:
        return replace(state, judged=outcome)
    if is_up and state.healthy >= policy.close_after:
        return replace(state, judged=Outcome.UP)
    if not is_up and state.troubled >= policy.open_after:
        return replace(state, judged=Outcome.DEGRADED)
    return state
