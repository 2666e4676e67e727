"""Histograms that a kind keeps itself."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.blocks import heads
from exporter.exposition.histogram import histogram_lines, whole_sets
from probes.families import Family
from probes.result import Sample
from tests.exporter.pages import parsed

PLAIN = Family("web_seconds", "Time", type="histogram")
BY_METHOD = Family("web_seconds", "Time", ("method",), type="histogram")


def samples_of(*bounds: str, total: float = 1.5, **own: str) -> list[Sample]:
    labels = tuple(own.items())
    return [
        *(
            Sample("web_seconds_bucket", float(at), (*labels, ("le", bound)))
            for at, bound in enumerate(bounds, start=1)
        ),
        Sample("web_seconds_sum", total, labels),
        Sample("web_seconds_count", len(bounds), labels),
    ]


def rendered(
    family: Family, samples: list[Sample], more: str = "{"
) -> tuple[list[str], Counter[str]]:
    dropped: Counter[str] = Counter()
    text = histogram_lines(family, samples, more, lambda why, count: dropped.update({why: count}))
    return text.splitlines(), dropped


def test_a_histogram_without_labels_of_its_own() -> None:
    lines, dropped = rendered(PLAIN, samples_of("0.5", "1", "+Inf", total=0.1234567))

    assert lines == [
        'web_seconds_bucket{le="0.5"} 1',
        'web_seconds_bucket{le="1.0"} 2',
        'web_seconds_bucket{le="+Inf"} 3',
        "web_seconds_sum 0.123457",
        "web_seconds_count 3",
    ]
    assert not dropped


def test_le_stands_behind_all_other_labels() -> None:
    lines, _ = rendered(BY_METHOD, samples_of("+Inf", method="zoo"), '{probe="a",')

    assert lines == [
        'web_seconds_bucket{probe="a",method="zoo",le="+Inf"} 1',
        'web_seconds_sum{probe="a",method="zoo"} 1.5',
        'web_seconds_count{probe="a",method="zoo"} 1',
    ]


@given(
    st.permutations(
        samples_of("0.1", "0.25", "10", "+Inf", method="a") + samples_of("+Inf", method="b")
    )
)
def test_the_order_of_samples_does_not_matter(samples: list[Sample]) -> None:
    """OpenMetrics wants the buckets of one set of labels together and rising."""
    lines, dropped = rendered(BY_METHOD, samples)

    text = heads("web_seconds", "histogram", "Time")[1].decode() + "\n".join(lines) + "\n# EOF\n"
    family = parsed(text, openmetrics=True)["web_seconds"]
    assert family.type == "histogram"
    assert len(family.samples) == len(samples)
    assert not dropped


@pytest.mark.parametrize(
    ("samples", "lost"),
    [
        pytest.param(samples_of("1"), 3, id="no infinite bucket"),
        pytest.param(samples_of("1", "+Inf")[:-1], 3, id="no count"),
        pytest.param(samples_of("+Inf")[:1], 1, id="a bucket alone"),
        pytest.param([Sample("web_seconds_sum", 1.0, (("le", "1"),))], 1, id="le at a sum"),
        pytest.param([Sample("web_seconds_bucket", 1.0)], 1, id="a bucket without le"),
        pytest.param(
            [Sample("web_seconds_bucket", 1.0, (("le", "nan"),))], 1, id="a bound that is none"
        ),
        pytest.param([Sample("web_seconds_count", float("nan"))], 1, id="not a number"),
        pytest.param(samples_of("+Inf", method="a"), 3, id="undeclared labels"),
    ],
)
def test_half_a_histogram_is_left_out_and_counted(samples: list[Sample], lost: int) -> None:
    lines, dropped = rendered(PLAIN, samples)

    assert lines == []
    assert dropped == {"encoding": lost}


def test_one_broken_set_of_labels_costs_itself_alone() -> None:
    broken = samples_of("1", method="a")

    lines, dropped = rendered(BY_METHOD, [*broken, *samples_of("+Inf", method="b")])

    assert len(lines) == 3
    assert dropped == {"encoding": 3}


@pytest.mark.parametrize(("room", "kept"), [(0, 0), (2, 0), (3, 3), (5, 3), (6, 6)])
def test_a_cut_keeps_whole_sets(room: int, kept: int) -> None:
    lines, _ = rendered(BY_METHOD, samples_of("+Inf", method="a") + samples_of("+Inf", method="b"))

    assert whole_sets("web_seconds", lines[:room]) == lines[:kept]
