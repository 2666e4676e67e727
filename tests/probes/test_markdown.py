"""The Markdown report: rows for what is not up, the steps of a play folded."""

from probes.markdown import as_markdown
from probes.result import Failure, Outcome, Reason
from tests.probes.test_report import BATCH, PLAYED, UP, group, result


def test_the_markdown_report_word_for_word() -> None:
    assert (
        as_markdown(BATCH, seconds=5.2)
        == """\
### sonde: FAILED

`1 of 4 probes failed: cache (timeout); 1 more without a verdict`

4 probes in 5.200 s: 1 up, 1 degraded, 1 down, 1 unknown

| Outcome | Time | Probe | Why |
| --- | ---: | --- | --- |
| up | 12.3 ms | `frontend` | |
| degraded | 1.200 s | `orders-db` | `latency: want at most 1s, got 1.2s` |
| down | 5.001 s | `cache` | `timeout in connect: want an answer within 5 s, got none` |
| unknown | not run | `disk` | `evidence: want a Result before the deadline, got none` |
"""
    )


def test_markdown_of_a_hostile_target_stays_in_its_cell() -> None:
    hostile = result("a|`b", Outcome.DOWN, failure=Failure(Reason.BODY, "`x` | <b>\n| @all"))

    row = as_markdown([hostile]).splitlines()[-1]

    assert row == "| down | 12.3 ms | `a\\|'b` | `body: 'x' \\| <b>\\n\\| @all` |"


def test_markdown_has_a_row_for_each_step_that_is_not_up() -> None:
    rows = as_markdown([group()]).splitlines()[-3:]

    started = "| degraded | 12.3 ms | `ethereum`"
    lag = "3 blocks behind, want at most 2"
    refused = "refused in connect: connect_refused: want a connection"
    assert rows == [
        f"{started} | `value: lag_warn: provider: {lag}` |",
        f"{started}: `provider` | `value: lag_warn: {lag}` |",
        f"| down | 12.3 ms | `ethereum`: `public` | `{refused}` |",
    ]


def test_the_steps_of_a_play_that_is_not_up_are_folded() -> None:
    assert as_markdown([UP, PLAYED]).splitlines()[9:] == [
        "| down | 12.3 ms | `checkout` | `status in pay: step pay: want status 2xx, got 500` |",
        "| down | 12.3 ms | `checkout`: `pay` | `status: want status 2xx, got 500` |",
        "",
        "<details><summary>Steps of checkout</summary>",
        "",
        "| State | Time | Step | Why |",
        "| --- | ---: | --- | --- |",
        "| ok | 250.0 ms | `login` | |",
        "| failed | 12.3 ms | `pay` | `status: want status 2xx, got 500` |",
        "| skipped |  | `bye` | |",
        "",
        "</details>",
    ]


def test_the_steps_of_a_play_that_is_up_are_not() -> None:
    up = result("checkout", Outcome.UP, kind="journey", steps=PLAYED.steps[:1])

    assert "<details>" not in as_markdown([up])
