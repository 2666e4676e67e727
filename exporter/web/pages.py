"""The landing page: what is here, a form to ask for a run, and the last runs.

Without script and without foreign resources. Pure text; every value is escaped. Knows no probe.
"""

from collections.abc import Iterable, Iterator
from html import escape

from exporter.web.answers import STYLE, policy_header

# The one page with a form; it leads nowhere else.
POLICY_OF_FORM = policy_header("'self'")

# Address, text, description; the order of the page.
LINKS = (
    ("/metrics", "Metrics", "what Prometheus scrapes: every probe and the prober itself"),
    ("/health", "Health", "the state of every probe as JSON; 503 while one of them is down"),
    ("/api/v1/probes", "Probes", "every probe with its last Result as JSON"),
    (
        "/healthz/chain",
        "Chains",
        "every RPC endpoint as JSON; /healthz/chain/CHAIN/ENDPOINT tells a load balancer of one",
    ),
    ("/-/ready", "Ready", "503 until the schedule runs"),
    ("/-/healthy", "Healthy", "503 while the event loop is stuck"),
    (
        "/probe",
        "Probe",
        "one run of ?module= against ?target=, within probe_policy, as blackbox_exporter has it",
    ),
    ("/config", "Configuration", "what is in force, defaults filled in, without secrets"),
)
_FORM = """<form action="{below}/probe" method="get">
<label>Module <input name="module"></label>
<label>Target <input name="target"></label>
<label><input type="checkbox" name="debug" value="true" checked> with an account of the run</label>
<button>Probe</button>
</form>"""


def landing_page(
    version: str, probes: int, runs: Iterable[tuple[str, ...]] = (), below: str = ""
) -> Iterator[str]:
    """Yield the page of ``/``: what stands above the runs, each of them, what stands below.

    Args:
        version: of sonde.
        probes: how many there are.
        runs: address of its account, module, target, verdict and time of each run.
        below: where the paths of this server begin.
    """
    links = "\n".join(
        f'<li><a href="{escape(below + address)}">{escape(text)}</a> '
        f"<code>{escape(address)}</code>: {escape(description)}</li>"
        for address, text, description in LINKS
    )
    form = _FORM.format(below=escape(below))
    count = f", {probes} probe{'s' * (probes > 1)}" if probes else ""
    yield f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sonde</title>
<style>{STYLE}</style>
</head>
<body>
<header><h1>sonde</h1></header>
<main>
<p>Synthetic checks for Prometheus. Version {escape(version)}{count}.</p>
<ul>
{links}
</ul>
<h2>Ask for a run</h2>
{form}
<h2>Recent runs</h2>
<table>
<tr><th>Module</th><th>Target</th><th>Result</th><th>At</th><th></th></tr>
"""
    for address, module, target, verdict, at in runs:
        link = escape(f"{below}/{address}")
        yield (
            f"<tr><td>{escape(module)}</td><td>{escape(target)}</td><td>{escape(verdict)}</td>"
            f'<td>{escape(at)}</td><td><a href="{link}">account</a></td></tr>\n'
        )
    yield "</table>\n</main>\n</body>\n</html>\n"
