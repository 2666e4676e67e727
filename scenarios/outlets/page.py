"""A LoadReport as one HTML page that needs nothing else: no script, no font, no request.

    head       a policy that forbids everything but the style inside
    header     verdict, why, what was loaded
    tiles      the six numbers that everybody asks for
    charts     rate, latency, failures, users, generators (`scenarios.outlets.timeline`)
    tables     thresholds, steps, errors, baseline, generators, conditions

Pure. Every text is cleaned first and escaped where it is written.
"""

from collections.abc import Iterator
from datetime import UTC
from html import escape

from probes.redact import redact_shapes
from scenarios.histogram import Histogram
from scenarios.outlets import sections, words
from scenarios.outlets.charts import figure
from scenarios.outlets.cleaning import Hide, cleaned
from scenarios.outlets.figures import Totals, steps, totals
from scenarios.outlets.style import STYLE
from scenarios.outlets.timeline import charts_of, frame_of
from scenarios.report import LoadReport, Verdict

# Nothing is fetched, nothing runs, nothing is sent, whatever a name of a step tries.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
MAX_REASONS = 12
_WHOLE = ("(iteration.latency)", "(iteration.duration)")
_MARKS = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.ABORTED: "■",
    Verdict.INCONCLUSIVE: "?",
    Verdict.REFUSED: "⊘",
}


def to_html(report: LoadReport, hide: Hide = redact_shapes) -> str:
    """Return the report as one page of HTML."""
    clean = cleaned(report, hide)
    found = totals(clean)
    word = words.WORDS[clean.verdict]
    parts = [
        _tiles(found, _broken(clean)) if found.requests else "",
        sections.thresholds(clean.thresholds),
        _charts(clean),
        sections.steps(steps(clean), found.seconds),
        sections.errors(clean.errors),
        sections.baseline(clean.comparison),
        sections.generators(clean.generators),
        sections.conditions(clean),
    ]
    version = clean.versions.get("sonde", "")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{escape(clean.scenario)}: {word.lower()} (sonde load)</title>
<style>{STYLE}</style>
</head>
<body>
{_header(clean)}
<main>
{chr(10).join(filter(None, parts))}
</main>
<footer>sonde {escape(version)} · load report of run {escape(clean.run_id)}</footer>
</body>
</html>
"""


def _header(report: LoadReport) -> str:
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in _facts(report) if fact)
    told = "".join(
        f'<li><span class="chip">{escape(it.code)}</span>{escape(it.text)}</li>'
        for it in report.reasons[:MAX_REASONS]
    )
    more = len(report.reasons) - MAX_REASONS
    rest = f"<li>and {words.plural(more, 'more reason')}</li>" if more > 0 else ""
    why = f'<ul class="why">{told}{rest}</ul>' if told else ""
    return (
        f'<header class="{report.verdict.value}"><div><div class="brand">sonde load report</div>'
        f'<h1>{escape(report.scenario)}<span class="pill"><span aria-hidden="true">'
        f"{_MARKS[report.verdict]}</span>{words.WORDS[report.verdict]}</span></h1>"
        f'<ul class="facts">{facts}</ul>{why}</div></header>'
    )


def _facts(report: LoadReport) -> Iterator[str]:
    yield report.target
    yield f"{report.started_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if report.seconds:
        yield words.clock(report.seconds)
    if report.plan:
        yield words.load(report.plan)
    yield f"exit code {report.exit_code}"


def _broken(report: LoadReport) -> str:
    return " ".join(it.expr for it in report.thresholds if it.result == "breach")


def _tiles(it: Totals, broken: str) -> str:
    """Return the tiles; *broken*: expressions of thresholds, whose subjects are marked."""
    whole = it.latency if it.is_open and it.latency.count else it.iteration
    tiles = [
        ("Requests", words.whole(it.requests), f"{words.rate(it.request_rate)}, measured", False),
        (
            "Failed requests",
            words.share(it.failed_share),
            f"{words.whole(it.failed)} of {words.whole(it.requests - it.unknown)}",
            "request.failed" in broken,
        ),
        ("Request p95", *_delays(it.duration), "(request.duration)" in broken),
        (
            "Iteration p95",
            *_delays(whole),
            any(it in broken for it in _WHOLE),
        ),
        ("Iterations", words.whole(it.completed), words.rate(it.throughput), False),
    ]
    if it.is_open:
        share = words.share(it.dropped / it.due if it.due else None)
        text = f"{share} of {words.whole(it.due)} due"
        tiles.append(("Dropped", words.whole(it.dropped), text, "iteration.dropped" in broken))
    else:
        tiles.append(("Users", words.whole(it.users), "at most", False))
    cells = "".join(_tile(*it) for it in tiles)
    return f'<dl class="tiles">{cells}</dl>'


def _tile(name: str, big: str, small: str, is_bad: bool) -> str:  # noqa: FBT001 - a column
    # the mark beside the colour: not everybody sees that
    kind, mark = (" bad", "✗ ") if is_bad else ("", "")
    return (
        f'<div class="tile{kind}"><dt>{mark}{name}</dt><dd>{escape(big)}</dd>'
        f"<dd>{escape(small)}</dd></div>"
    )


def _delays(of: Histogram) -> tuple[str, str]:
    return words.quantile(of, 0.95), f"p99 {words.quantile(of, 0.99)}"


def _charts(report: LoadReport) -> str:
    if not report.timeline:
        return ""
    frame = frame_of(report)
    return f'<div class="charts">{"".join(figure(it, frame) for it in charts_of(report))}</div>'
