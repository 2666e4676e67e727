"""The landing page: what is here, without script and without foreign resources.

Pure text; every value is escaped. Knows no probe.
"""

from html import escape

from exporter.web.answers import STYLE

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
)


def landing_page(version: str, probes: int) -> bytes:
    """Return the page of ``/``."""
    links = "\n".join(
        f'<li><a href="{escape(address)}">{escape(text)}</a> '
        f"<code>{escape(address)}</code>: {escape(description)}</li>"
        for address, text, description in LINKS
    )
    count = f"{probes} probe" if probes == 1 else f"{probes} probes"
    return f"""<!DOCTYPE html>
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
<p>Synthetic checks for Prometheus. Version {escape(version)}, {count}.</p>
<ul>
{links}
</ul>
</main>
</body>
</html>
""".encode()
