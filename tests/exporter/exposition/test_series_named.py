"""Families that the settings of a probe name: on both pages, through a reload, until they leave."""

from collections import Counter
from typing import Any

from exporter.exposition.page import render_result
from exporter.exposition.series import labels_of, sample_lines, shape_of
from exporter.metrics import MetricsSink
from probes.kind import Metric
from probes.measure import Measure
from probes.result import Outcome, Sample
from tests.exporter.pages import Web, body, parsed, probe, shown, sink_of, up, values_of


class Measuring(Web):
    """A kind whose settings name families."""

    measure: tuple[Measure, ...] = ()

    @property
    def named_metrics(self) -> tuple[Metric, ...]:
        return tuple(it.metric for it in self.measure)


def measuring(*measures: dict[str, Any]) -> Measuring:
    return Measuring.model_validate({"measure": [{"json": "$.x", **keys} for keys in measures]})


DEPTH = {"name": "shop_queue_depth", "help": "Jobs that wait", "labels": {"queue": "$.name"}}
VOTES = {"name": "shop_votes_total", "type": "counter", "help": "Votes"}
DEPTH_OF_MAIL = Sample("shop_queue_depth", 7, (("queue", "mail"),))


def test_a_family_that_the_settings_name_stands_as_it_is_called() -> None:
    kind = measuring(DEPTH, VOTES, {"name": "shop_pause_seconds"})
    pause, votes = Sample("shop_pause_seconds", 5e-8), Sample("shop_votes_total", 3)

    page = render_result(up("it", DEPTH_OF_MAIL, votes, pause), kind).decode()

    families = parsed(page, openmetrics=False)
    assert families["shop_queue_depth"].documentation == "Jobs that wait"
    assert families["shop_votes"].type == "counter"
    assert values_of(families, "shop_queue_depth") == [({"queue": "mail"}, 7)]
    assert values_of(families, "shop_pause_seconds") == [({}, 5e-8)]


def test_settings_that_name_other_families_have_other_pages() -> None:
    page = render_result(up("it", DEPTH_OF_MAIL), measuring()).decode()

    assert "shop" not in page
    assert "shop_queue_depth" in render_result(up("it", DEPTH_OF_MAIL), measuring(DEPTH)).decode()


async def test_both_formats_of_the_page_tell_them_with_the_labels_of_the_probe() -> None:
    sink = sink_of(probe(kind=measuring(DEPTH, VOTES)))
    sink.publish(up("frontend", DEPTH_OF_MAIL, Sample("shop_votes_total", 3)), Outcome.UP)

    for openmetrics in (False, True):
        families = parsed(await body(sink, openmetrics=openmetrics), openmetrics=openmetrics)
        ((labels, value),) = values_of(families, "shop_queue_depth")
        assert (labels["queue"], labels["probe"], value) == ("mail", "frontend", 7)
        assert families["shop_votes"].type == "counter"


def test_a_label_that_the_probe_has_itself_costs_that_series_alone() -> None:
    kind, dropped = measuring(DEPTH, VOTES), Counter[str]()
    it = probe(kind=kind, labels={"queue": "all"})

    lines = sample_lines(
        up("it", DEPTH_OF_MAIL, Sample("shop_votes_total", 3)),
        shape_of(Measuring, kind.named_metrics),
        labels_of(it),
        lambda reason, count: dropped.update({reason: count}),
    )

    assert "shop_queue_depth" not in lines
    assert "shop_votes_total" in lines
    assert dropped == {"encoding": 1}


def test_a_run_like_the_one_before_shows_its_new_numbers() -> None:
    sink = sink_of(probe(kind=measuring(VOTES)))

    for votes in (3, 4):
        sink.publish(up("frontend", Sample("shop_votes_total", votes)), Outcome.UP)

    assert 'target="http://example.org/"} 4\n' in shown(sink)
    assert shown(sink).count("shop_votes_total") == 1


def heads_of(sink: MetricsSink, name: str) -> str:
    return sink.blocks.families[name].heads[0].decode()


async def test_a_reload_changes_help_and_labels_and_keeps_what_still_fits() -> None:
    sink = sink_of(probe(kind=measuring(DEPTH, VOTES)), probe("other", measuring(DEPTH)))
    sink.publish(up("frontend", DEPTH_OF_MAIL, Sample("shop_votes_total", 3)), Outcome.UP)
    sink.publish(up("other", DEPTH_OF_MAIL), Outcome.UP)
    votes = {**VOTES, "help": "Votes of all"}
    depth = {**DEPTH, "labels": {"of": "$.name"}}

    sink.set_probes([probe(kind=measuring(depth, votes)), probe("other", measuring(depth))])

    assert "Votes of all" in heads_of(sink, "shop_votes_total")
    assert "shop_votes_total{" in shown(sink)
    assert "shop_queue_depth" not in shown(sink)
    assert "probe_success" in shown(sink)
    sink.publish(up("other", Sample("shop_queue_depth", 7, (("of", "mail"),))), Outcome.UP)
    assert (
        'shop_queue_depth{kind="web",probe="other",target="http://example.org/",of="mail"} 7'
        in (shown(sink))
    )
    text = await body(sink)
    assert 'sonde_series_dropped_total{reason="encoding"} 0\n' in text.replace(".0\n", "\n")


def test_a_family_leaves_the_page_with_the_last_probe_that_names_it() -> None:
    sink = sink_of(probe(kind=measuring(DEPTH)), probe("other", measuring(DEPTH)))
    for name in ("frontend", "other"):
        sink.publish(up(name, DEPTH_OF_MAIL), Outcome.UP)
    series = sink.blocks.series

    sink.set_probes([probe(kind=measuring()), probe("other", measuring(DEPTH))])
    assert shown(sink).count("shop_queue_depth") == 1
    assert sink.blocks.series == series - 1
    sink.set_probes([probe(kind=measuring())])
    assert "shop_queue_depth" not in sink.blocks.families
    sink.set_probes([probe(kind=measuring(VOTES, DEPTH))])

    sink.publish(up("frontend", DEPTH_OF_MAIL), Outcome.UP)
    assert shown(sink).count("shop_queue_depth") == 1
