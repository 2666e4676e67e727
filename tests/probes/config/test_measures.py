"""Families that probes name: what could not stand on one page is told with its line."""

from pathlib import Path

import pytest

from probes.config.load import load
from probes.errors import ConfigError

HEAD = """\
version: 1
probes:
  - name: a
    kind: http
    target: http://127.0.0.1:1/
    labels: {team: blue, part: front}
    measure:
      - {name: shop_depth, json: $.depth, help: Jobs, labels: {queue: $.name}}
  - name: b
    kind: http
    target: http://127.0.0.1:2/
    measure:
      - """


def told(directory: Path, text: str) -> list[str]:
    (directory / "probes.yaml").write_text(text)
    try:
        load(directory / "probes.yaml")
    except ConfigError as error:
        return [str(problem).replace(f"{directory}/", "") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("measure", "wanted"),
    [
        pytest.param(
            "{name: shop_depth, json: $.d, help: Jobs, labels: {queue: $.n}}", [], id="the same"
        ),
        pytest.param("{name: shop_width, json: $.d}", [], id="another"),
        pytest.param(
            "{name: shop_depth, json: $.d, help: Work, labels: {queue: $.n}}",
            ["want the help 'Jobs' for 'shop_depth' (as at {first}), got 'Work'"],
            id="another help",
        ),
        pytest.param(
            "{name: shop_depth, json: $.d, help: Jobs}",
            ["want the labels ['queue'] for 'shop_depth' (as at {first}), got []"],
            id="other labels",
        ),
        pytest.param(
            "{name: shop_depth_total, type: counter, json: $.d, help: Jobs}",
            [
                (
                    "want a name that differs by more than _total, got 'shop_depth_total' beside"
                    " 'shop_depth' (first at {first})"
                )
            ],
            id="the same name in OpenMetrics",
        ),
    ],
)
def test_one_family_means_the_same_in_all_probes(
    tmp_path: Path, measure: str, wanted: list[str]
) -> None:
    place = "probes.yaml:13: probes.1.measure.0.name: "

    found = told(tmp_path, f"{HEAD}{measure}\n")

    assert found == [place + text.format(first="probes.yaml:8") for text in wanted]


def test_a_label_that_the_probe_has_itself_is_refused(tmp_path: Path) -> None:
    found = told(tmp_path, HEAD.replace("queue:", "part:") + "{name: shop_width, json: $.d}\n")

    assert found == [
        (
            "probes.yaml:8: probes.0.measure.0.name: want labels that the probe does not have"
            " itself, got 'part' for 'shop_depth'"
        )
    ]


def test_a_name_of_the_kinds_own_samples_is_refused(tmp_path: Path) -> None:
    found = told(tmp_path, HEAD + "{name: http_request_duration_seconds, json: $.d}\n")

    assert found == [
        (
            "probes.yaml:13: probes.1.measure.0.name: want a name that no sample of http has,"
            " got 'http_request_duration_seconds'"
        )
    ]


def test_probes_of_one_module_name_a_family_together(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        "version: 1\nmodules: {m: {kind: http, measure: [{name: shop_lag, json: $.lag}]}}\n"
        'probes: [{name: a, module: m, targets: ["http://127.0.0.1:1/", "http://127.0.0.1:2/"]}]\n',
    )

    assert found == []
