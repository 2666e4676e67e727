"""docs/alerts.md and examples/rules.yml: whom the rules wake in which story, and whom not."""

import re
from pathlib import Path
from typing import Any

import yaml

from exporter.generate.scrape import JOB
from scripts.docs import ROOT
from tests.servers.prometheus import promtool

PAGE = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
RULES = ROOT / "examples/rules.yml"
FAMILIES = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
UP = f'up{{job="{JOB}",instance="sonde:9115"}}'
DAY_S = 86400
INFO = {"kind": "http", "target": "https://a.example.org/", "severity": "critical", "team": "web"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_table_names_every_rule_and_its_severity() -> None:
    rows = re.findall(r"^\| `(Sonde\w+)` \| .* \| ([\w ]+) \|$", PAGE, re.MULTILINE)

    assert rows == [
        (rule["alert"], rule.get("labels", {}).get("severity", "that of the probe"))
        for rule in rules()
    ]


def test_rules_and_page_use_families_that_there_are() -> None:
    known = set(FAMILIES.findall((ROOT / "docs/metrics.md").read_text(encoding="utf-8")))
    named = set(re.findall(r"\b(?:sonde|probe)_[a-z_]+\b", RULES.read_text() + PAGE))

    assert named
    assert named - known == set()


def test_every_rule_says_what_it_is_and_where_to_look() -> None:
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]


def test_the_alertmanager_file_of_the_page_speaks_of_alerts_that_there_are() -> None:
    (text,) = re.findall(r"^```yaml alertmanager\.yml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    document = yaml.safe_load(text)
    receivers = {each["name"] for each in document["receivers"]}
    named = set(re.findall(r"\bSonde\w+", text))

    assert {
        document["route"]["receiver"],
        *(it["receiver"] for it in document["route"]["routes"]),
    } == receivers
    assert named < {rule["alert"] for rule in rules()}


# --- stories, told to promtool


def labels(**told: str) -> str:
    return ",".join(f'{name}="{value}"' for name, value in told.items())


def states(values: dict[str, str], probe: str = "a", **more: str) -> dict[str, str]:
    """Return the series of a probe: each state at 0 but for *values*."""
    own = labels(probe=probe, **more)
    return {
        f'sonde_probe_state{{{own},state="{state}"}}': values.get(state, "0x40")
        for state in ("up", "degraded", "down", "unknown")
    } | {f"sonde_probe_info{{{own},{labels(**INFO)}}}": "1x40"}


DOWN = {"alertname": "SondeProbeDown", "probe": "a", **INFO}
STORIES: dict[str, tuple[dict[str, str], str, list[dict[str, str]]]] = {
    "up": (states({"up": "1x40"}), "30m", []),
    "down since just now": (states({"down": "0 0 0 0 1x40"}), "4m30s", []),
    "down": (states({"down": "0 0 0 0 1x40"}), "6m", [DOWN]),
    "the only prober does not know": (states({"unknown": "1x3 0x40", "up": "0x3 1x40"}), "3m", []),
    "it does not know for long": (
        states({"unknown": "1x40"}), "11m",
        [{"alertname": "SondeProbeUnknown", "severity": "warning", "probe": "a"}],
    ),
    "of two probers one says down, the other does not know": (
        states({"down": "1x40"}, prober="1") | states({"unknown": "1x40"}, prober="2"), "5m",
        [DOWN],
    ),
    "of two probers one says down, the other up": (
        states({"down": "1x40"}, prober="1") | states({"up": "1x40"}, prober="2"), "5m", [],
    ),
    "degraded for a moment": (states({"degraded": "1x4 0x40", "up": "0x4 1x40"}), "12m", []),
    "degraded": (
        states({"degraded": "1x40"}), "11m",
        [{"alertname": "SondeProbeDegraded", "probe": "a", **INFO, "severity": "warning"}],
    ),
    "no run any more": (
        {
            'sonde_probe_last_run_timestamp_seconds{probe="a"}': "0 60 120 120x40",
            'sonde_probe_interval_seconds{probe="a"}': "30x40",
        },
        "6m", [{"alertname": "SondeProbeStale", "severity": "warning", "probe": "a"}],
    ),
    "never a run": (
        {
            'sonde_probe_registered_timestamp_seconds{probe="a"}': "0x40",
            'sonde_probe_interval_seconds{probe="a"}': "30x40",
        },
        "6m", [{"alertname": "SondeProbeStale", "severity": "warning", "probe": "a"}],
    ),
    "a certificate of thirteen days, and then the server is gone": (
        {'probe_ssl_earliest_cert_expiry{probe="a",target="t"}': f"{13 * DAY_S}x9 _x40"},
        "11m",
        [{"alertname": "SondeCertificateExpires", "severity": "warning", "probe": "a",
          "target": "t"}],
    ),
    "a certificate of fifteen days": (
        {'probe_ssl_earliest_cert_expiry{probe="a",target="t"}': f"{15 * DAY_S}x40"}, "20m", [],
    ),
    "a bad file": (
        {"sonde_config_last_reload_successful": "0x40"}, "6m",
        [{"alertname": "SondeConfigReloadFailed", "severity": "warning"}],
    ),
    "no sonde that answers": (
        {UP: "0x40"}, "3m",
        [{"alertname": "SondeDown", "severity": "critical"}],
    ),
}  # fmt: skip


def test_promtool_tells_every_story(tmp_path: Path) -> None:
    """One call for all of them; a story that ends otherwise is named by promtool."""
    bare = [{k: v for k, v in rule.items() if k != "annotations"} for rule in rules()]
    groups = {"groups": [{"name": "all", "rules": bare}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(groups))
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values}
                for series, values in ({UP: "1x40"} | told).items()
            ],
            "alert_rule_test": [
                {
                    "eval_time": at,
                    "alertname": rule["alert"],
                    "exp_alerts": [
                        {"exp_labels": {k: v for k, v in alert.items() if k != "alertname"}}
                        for alert in wanted if alert["alertname"] == rule["alert"]
                    ],
                }
                for rule in bare
            ],
        }
        for name, (told, at, wanted) in STORIES.items()
    ]  # fmt: skip
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "30s", "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(document))

    done = promtool("test", "rules", str(tmp_path / "tests.yml"))

    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_promtool_has_nothing_to_say() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))

    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_each_rule_fires_in_a_story() -> None:
    fired = {alert["alertname"] for _, _, wanted in STORIES.values() for alert in wanted}

    assert fired == {rule["alert"] for rule in rules()}
