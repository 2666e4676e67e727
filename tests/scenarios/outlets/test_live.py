"""What a terminal and a log show while a load run goes on."""

from dataclasses import replace

import pytest

from scenarios.outlets.live import Display, Live, progress_line

NOW = Live(
    "shop", "load", 62, 120, 20, 19, users=40, busy=12, requests=70.5, p50=0.03, p95=0.14,
    p99=0.2, latency_p99=0.4, errors=2, failed_share=0.002, dropped=3, cpu=0.4, lag_s=0.003,
    shards=2, broken=("p99(iteration.latency) < 1s",),
)  # fmt: skip
QUIET = Live("shop", "preflight")


def test_a_line_word_for_word() -> None:
    assert progress_line(NOW) == (
        "load shop: load 1:02 min/2:00 min, 19/s of 20/s, 12/40 users, p95 140 ms, failed 0.2 %, "
        "dropped 3, broken: p99(iteration.latency) < 1s"
    )


def test_what_does_not_exist_yet_is_a_dash() -> None:
    assert progress_line(replace(QUIET, phase="load", at_s=1.0)) == (
        "load shop: load 1 s, 0/s of 0/s, 0/0 users, p95 –, failed –"  # noqa: RUF001 - a dash, as it is printed
    )


def test_before_the_first_second_there_are_no_numbers() -> None:
    assert progress_line(QUIET) == "load shop: preflight"
    assert Display(is_terminal=True).show(QUIET) == "load shop: preflight\n"


def test_a_generator_that_is_too_busy_is_told() -> None:
    assert "generator cpu 91 % lag 3 ms" in progress_line(replace(NOW, cpu=0.91))
    assert "generator cpu 40 % lag 60 ms" in progress_line(replace(NOW, lag_s=0.06))


def test_many_broken_thresholds_are_counted() -> None:
    assert progress_line(replace(NOW, broken=tuple("abcde"))).endswith("broken: a; b; c and 2 more")


def test_a_closed_run_wants_users() -> None:
    assert "19/s by 20 users" in progress_line(replace(NOW, unit="users"))


def test_the_block_word_for_word() -> None:
    assert (
        Display(is_terminal=True, columns=100).show(NOW)
        == """\
load shop · load · 1:02 min of 2:00 min · 2 generators
  [==============              ] 52%
  rate     19/s of 20/s · 70.5/s requests · 12 of 40 users busy
  latency  p50 30 ms · p95 140 ms · p99 200 ms · iteration p99 400 ms
  failed   0.2 % · 2/s now · 3 dropped
  machine  cpu 40 % · lag 3 ms
  broken   p99(iteration.latency) < 1s
"""
    )


def test_the_block_is_rewritten_in_place() -> None:
    display = Display(is_terminal=True)
    first = display.show(NOW)

    second = display.show(replace(NOW, broken=()))

    assert second.startswith(f"\x1b[{first.count(chr(10))}F\x1b[J")
    assert display.clear() == "\x1b[6F\x1b[J"
    assert display.clear() == ""


@pytest.mark.parametrize("columns", [1, 20, 40, 80])
def test_no_line_of_the_block_wraps(columns: int) -> None:
    long = replace(NOW, name="n" * 500 + "\n\x1b[2J", broken=("b" * 500,))

    rows = Display(is_terminal=True, columns=columns).show(long).splitlines()

    assert len(rows) == 7
    assert max(map(len, rows)) < max(columns, 20)
    assert not any("\x1b" in row for row in rows)


def test_colours_are_only_there_when_they_are_wanted() -> None:
    block = Display(is_terminal=True, colour=True).show(replace(NOW, cpu=0.99))

    assert block.count("\x1b[31m") == 2
    assert block.count("\x1b[33m") == 1


def test_without_a_terminal_there_is_a_line_every_ten_seconds_and_for_each_phase() -> None:
    display = Display(is_terminal=False)
    seconds = [QUIET, *(replace(NOW, at_s=float(at)) for at in range(31))]
    seconds.append(replace(NOW, at_s=31.0, phase="draining"))

    written = [display.show(it) for it in seconds]

    told = [line.split(",")[0].strip() for line in written if line]
    assert told == [
        "load shop: preflight",
        "load shop: load 0 s/2:00 min",
        "load shop: load 10 s/2:00 min",
        "load shop: load 20 s/2:00 min",
        "load shop: load 30 s/2:00 min",
        "load shop: draining 31 s/2:00 min",
    ]
    assert display.clear() == ""
