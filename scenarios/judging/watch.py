"""Thresholds while the run goes on: what is broken now, and what ends the run.

    watch = Watch(rules, plan.stages)
    watch.add(at, delta)          what was counted in second *at*, of one shard or of all
    watch.tick(now_s)             once a second -> Judged, ... of every rule
    watch.aborted                 the rule that ended it, or None

Keeps of each second only what a rule with a window needs, for as long as the window is; windows are
whole seconds. Pure: the
caller has the clock.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from scenarios.book import Book
from scenarios.judging.figures import Figure, Windows, figure_of, throughput
from scenarios.judging.rules import Rule, judge_figure, judge_value
from scenarios.plan import Stage
from scenarios.report import Judged
from scenarios.thresholds import THROUGHPUT

_EPSILON_S = 1e-6


@dataclass(slots=True)
class _Track:
    """A rule and what it has seen.

    Args:
        rule: the rule.
        coming: seconds that are not judged yet.
        inside: those of its window; empty without one.
        sum: of its window, or of all so far. It is kept, not made anew: ten minutes of durations
            take 15 ms to add up, in each second and for each rule (2026-11).
        streak: breaches in a row.
        judged: how it stands.
    """

    rule: Rule
    coming: dict[int, Figure] = field(default_factory=dict)
    inside: dict[int, Figure] = field(default_factory=dict)
    sum: Figure = field(default_factory=Figure)
    streak: int = 0
    judged: Judged | None = None

    def move(self, end: int, window: int | None) -> None:
        """Let the window end at *end*."""
        for at in [at for at in self.coming if at < end]:
            figure = self.coming.pop(at)
            self.sum.merge(figure)
            if window is not None:
                self.inside.setdefault(at, Figure()).merge(figure)
        if window is not None:
            self._forget(end - window)

    def _forget(self, first: int) -> None:
        gone = [self.inside.pop(at) for at in list(self.inside) if at < first]
        for figure in gone:
            self.sum.remove(figure)
        if gone:
            # what has gone may have been the least or the greatest
            trends = [it.trend for it in self.inside.values() if it.trend.count]
            self.sum.trend.least = min((it.least for it in trends), default=0)
            self.sum.trend.greatest = max((it.greatest for it in trends), default=0)


class Watch:
    """Holds every rule against the run, second by second.

    Args:
        rules: of the scenario; those that ask Prometheus are told its answers by `answer`.
        stages: of the plan.
        windows: shared with the end of the run; else its own.
    """

    def __init__(
        self, rules: Iterable[Rule], stages: Iterable[Stage] = (), windows: Windows | None = None
    ) -> None:
        self.windows = Windows(stages) if windows is None else windows
        self.aborted: Judged | None = None
        """What ended the run."""
        self._tracks = [_Track(rule) for rule in rules]
        self._latest = -1
        self._judged_until = 0

    def add(self, at: int, delta: Book) -> None:
        """Take what was counted in the second from *at* to *at* + 1; several may come for one."""
        self._latest = max(self._latest, at)
        self.windows.add(at, delta)
        for track in self._tracks:
            figure = figure_of(track.rule.threshold, delta)
            if figure:
                track.coming.setdefault(at, Figure()).merge(figure)

    def tick(self, now_s: float) -> tuple[Judged, ...]:
        """Judge each second that is over and of which something came, once and in their order.

        Those that came late, or while nobody looked, count as they would have at their time.

        Returns:
            All rules as they stand that were judged yet; see `broken`.
        """
        last = min(self._latest + 1, int(now_s + _EPSILON_S))
        for end in range(self._judged_until + 1, last + 1):
            self._judged_until = end
            for track in self._tracks:
                if not track.rule.threshold.asks_prometheus:
                    self._note(track, self._judge(track, end), end)
        return tuple(it.judged for it in self._tracks if it.judged is not None)

    def answer(self, expr: str, value: float | None, now_s: float) -> None:
        """Take what Prometheus said to the rule *expr*; None: it did not."""
        for track in self._tracks:
            if track.rule.threshold.expr == expr:
                self._note(track, judge_value(track.rule, value), now_s)

    @property
    def broken(self) -> tuple[Judged, ...]:
        """What is broken now, for as often in a row as the rule says."""
        return tuple(
            it.judged
            for it in self._tracks
            if it.judged is not None and it.judged.result == "breach" and self._counts(it)
        )

    @property
    def asked(self) -> tuple[Rule, ...]:
        """The rules that ask Prometheus while the run goes on; one of those that ask alike."""
        rules = {it.rule.threshold.expr: it.rule for it in self._tracks if it.rule.abort}
        return tuple(it for it in rules.values() if it.threshold.asks_prometheus)

    def _counts(self, track: _Track) -> bool:
        return track.streak >= track.rule.times

    def _judge(self, track: _Track, end: int) -> Judged:
        rule = track.rule
        window = None if rule.window_s is None else max(1, math.ceil(rule.window_s))
        track.move(end, window)
        if rule.threshold.metric != THROUGHPUT:
            return judge_figure(rule, track.sum)
        if window is None:
            rates = self.windows.rates(end, is_over=False)
            return judge_value(rule, throughput(rule.threshold, rates))
        is_whole = self.windows.is_inside(end - window, end)
        return judge_value(rule, track.sum.part / window if is_whole else None)

    def _note(self, track: _Track, judged: Judged, now_s: float) -> None:
        track.judged = judged
        if now_s < track.rule.after_s:
            track.streak = 0
        elif judged.result == "breach":
            track.streak += 1
        elif judged.result == "ok":
            # no data proves nothing: it neither counts nor interrupts
            track.streak = 0
        if track.rule.abort and self._counts(track) and self.aborted is None:
            self.aborted = track.judged = replace(judged, aborted=True)
