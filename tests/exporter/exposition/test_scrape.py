import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.scrape import (
    OPENMETRICS,
    TEXT,
    PageQuery,
    accepts_gzip,
    content_type,
    negotiate,
    parse_shard,
)

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_53 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;"
    "q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_5 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        pytest.param(PROMETHEUS_2_42, True, id="Prometheus 2.42"),
        pytest.param(PROMETHEUS_2_53, True, id="Prometheus 2.53"),
        pytest.param(PROMETHEUS_3_5, True, id="Prometheus 3.5"),
        pytest.param(None, False, id="no header"),
        pytest.param("", False, id="empty"),
        pytest.param("*/*", False, id="anything"),
        pytest.param("text/html,application/xhtml+xml,*/*;q=0.8", False, id="a browser"),
        pytest.param("application/openmetrics-text", True, id="no version"),
        pytest.param("application/openmetrics-text;version=0.0.1", False, id="an old version"),
        pytest.param("application/openmetrics-text;version=2.0.0", False, id="a new version"),
        pytest.param("application/openmetrics-text;q=0.5,text/plain;q=0.5", True, id="equal q"),
        pytest.param("application/openmetrics-text;q=0.4,text/plain;q=0.5", False, id="lower q"),
        pytest.param("application/openmetrics-text;q=0", False, id="refused"),
        pytest.param("text/plain;version=1.0.0;q=0.4", False, id="text of a later version"),
        pytest.param("application/vnd.google.protobuf", False, id="protobuf alone"),
        pytest.param("application/openmetrics-text;q=high", False, id="malformed q"),
        pytest.param(";;;,,q=1,=", False, id="garbage"),
        pytest.param("Application/OpenMetrics-Text; Version=1.0.0", True, id="in capitals"),
    ],
)
def test_the_format_is_the_one_the_scraper_likes_best(
    accept: str | None, openmetrics: bool
) -> None:
    assert negotiate(accept) is openmetrics


@given(st.text())
def test_any_header_is_understood_somehow(header: str) -> None:
    assert negotiate(header) in {True, False}
    assert accepts_gzip(header) in {True, False}


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        pytest.param("gzip", True, id="Prometheus"),
        pytest.param("gzip, deflate, br", True, id="a browser"),
        pytest.param("GZIP;q=0.5", True, id="with a weight"),
        pytest.param("x-gzip", True, id="the old name"),
        pytest.param("*", True, id="anything"),
        pytest.param("*, gzip;q=0", False, id="anything but this"),
        pytest.param("gzip;q=0", False, id="refused"),
        pytest.param("gzip;q=2", False, id="malformed weight"),
        pytest.param("identity", False, id="as it is"),
        pytest.param(None, False, id="no header"),
    ],
)
def test_a_page_is_packed_only_for_those_who_take_it(header: str | None, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


def test_there_are_exactly_two_content_types() -> None:
    assert content_type(openmetrics=False) == TEXT == "text/plain; version=0.0.4; charset=utf-8"
    assert content_type(openmetrics=True) == OPENMETRICS
    assert OPENMETRICS == "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.mark.parametrize(("text", "shard"), [("1/1", (1, 1)), ("2/4", (2, 4)), ("64/64", (64, 64))])
def test_a_shard_is_read(text: str, shard: tuple[int, int]) -> None:
    assert parse_shard(text) == shard


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0/2",
        "3/2",
        "1/65",
        "1/0",
        "-1/2",
        "a/b",
        "1/2/3",
        " 1/2",
        "1/2\n",
        "\u0661/\u0662",
    ],
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^want shard=i/n with 1 <= i <= n <= 64, got '"):
        parse_shard(text)


@given(st.text(), st.integers(1, 64))
def test_each_probe_is_in_exactly_one_shard(name: str, count: int) -> None:
    admitted = [
        i for i in range(1, count + 1) if PageQuery(shard=(i, count)).admits(name, frozenset())
    ]

    assert len(admitted) == 1


def test_filters_add_up() -> None:
    query = PageQuery(probes=frozenset({"a", "b"}), tags=frozenset({"web", "db"}))

    assert query.admits("a", frozenset({"web", "other"}))
    assert not query.admits("c", frozenset({"web"}))
    assert not query.admits("a", frozenset({"other"}))


@pytest.mark.parametrize(
    ("query", "whole", "own"),
    [
        pytest.param(PageQuery(), True, True, id="everything"),
        pytest.param(PageQuery(names=frozenset({"up"})), False, True, id="by name"),
        pytest.param(PageQuery(probes=frozenset({"a"})), False, False, id="by probe"),
        pytest.param(PageQuery(tags=frozenset({"a"})), False, False, id="by tag"),
        pytest.param(PageQuery(shard=(1, 2)), False, True, id="first shard"),
        pytest.param(PageQuery(shard=(2, 2)), False, False, id="second shard"),
    ],
)
def test_the_probers_own_metrics_are_on_one_part_of_the_page(
    query: PageQuery, whole: bool, own: bool
) -> None:
    assert (query.is_whole, query.has_own_metrics) == (whole, own)
