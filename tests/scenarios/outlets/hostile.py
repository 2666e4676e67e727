"""Texts that were made to break a report, and a report that has one of them everywhere."""

from dataclasses import replace

from hypothesis import strategies as st

from scenarios.book import Book, Key
from scenarios.outlets.junit import to_junit
from scenarios.outlets.markdown import to_markdown
from scenarios.outlets.page import to_html
from scenarios.outlets.structure import to_json
from scenarios.outlets.text import to_text
from scenarios.records import Told
from scenarios.report import LoadReport, Why
from tests.scenarios.reports import small

OUTLETS = {
    "json": to_json,
    "junit": to_junit,
    "markdown": to_markdown,
    "html": to_html,
    "text": to_text,
}
TEXTS = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]></failure></testcase>",
    "</style></title></svg><!--",
    "&lt;&#0;&amp",
    "\ud800\udfff lone",
    "two\nlines\r\nand\ttabs\x00\x1b[2J\x9b31m",
    "\u202eright to left\u2066",
    "שלום עולם",
    "| a | b |\n| --- | --- |",
    "``` `code` ``",
    "[link](javascript:alert(1)) ![](https://x.test/a.png)",
    "# head\n* list\n> quote",
    "{{7*7}} ${7*7} %s {0}",
    "x" * 10_000,
    "<" * 10_000,
    "日本語" * 3_000,
    " ",
    "\u2028\u2029\ufeff\ufffe",
)
texts = st.sampled_from(TEXTS) | st.text(st.characters(), min_size=1, max_size=60)


def spoilt(text: str) -> LoadReport:
    """Return a report that has *text* in every place for texts."""
    made = small()
    assert made.plan is not None
    assert made.comparison is not None
    book = Book()
    for key, histogram in made.book.durations.items():
        book.durations[spoilt_key(key, text)] = histogram
    for key, number in made.book.numbers.items():
        book.count(spoilt_key(key, text), number)
    plan = replace(
        made.plan,
        scenario=text,
        variables={text: text},
        journeys={text: {"steps": [{"name": text, "headers": {text: text}}]}},
        mix=tuple(replace(part, name=text) for part in made.plan.mix),
    )
    return replace(
        made,
        scenario=text,
        run_id=text,
        reasons=tuple(Why(it.verdict, text, text) for it in made.reasons),
        plan=plan,
        target=text,
        config_hash=text,
        git_ref=text,
        versions={"sonde": text, text: text},
        book=book,
        errors=(Told(text, text, text, 2),),
        thresholds=tuple(replace(it, expr=text) for it in made.thresholds),
        comparison=replace(
            made.comparison,
            source=text,
            run_id=text,
            stats=tuple(replace(it, stat=text) for it in made.comparison.stats),
        ),
        generators=tuple(replace(it, host=text, why=text) for it in made.generators),
        notes=(text, text),
        resolved={text: (text,)},
    )


def spoilt_key(key: Key, text: str) -> Key:
    return key._replace(
        journey=text if key.journey else "",
        step=text if key.step else "",
        method=text if key.method else "",
        code=text if key.code else "",
        reason=text if key.reason else "",
    )
