"""docs/chains.md and the examples of platforms: complete, loadable, and true where that can be."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from exporter.exposition.catalogue import BLACKBOX_OWN, OWN
from exporter.generate.chains import chain_groups
from exporter.generate.rules import Alert, Recording
from probes.chain.judge.blocktime import Pace
from probes.chain.judge.thresholds import resolve
from probes.chain.model import Endpoint, Family, Group
from probes.chain.reasons import ChainReason
from probes.config.load import Config, load
from probes.kinds import discover
from probes.probe import Probe
from probes.result import Outcome
from scripts.docs import ROOT
from tests.platforms.examples import load_example, variables
from tests.servers.process import Server, find_program, free_port, start

PAGE = (ROOT / "docs/chains.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)(?: ([\w.]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(found[1], found[2], found[3]) for found in BLOCK.finditer(PAGE)]
PROBE_FILES = [text for kind, name, text in BLOCKS if (kind, name) == ("yaml", "probes.yaml")]
REASON_ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
WORD = re.compile(r"\b(?:sonde|chain|evm|solana|cosmos|indexer)_[a-z0-9_]+\b")


def section(title: str, level: int = 2) -> str:
    """Return what stands below a heading."""
    rest = PAGE.split(f"\n{'#' * level} {title}\n", 1)[1]
    return re.split(rf"\n#{{1,{level}}} ", rest, maxsplit=1)[0]


def load_text(text: str, tmp_path: Path, **environ: str) -> Config:
    path = tmp_path / "probes.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ={"PRIVATE_PASSWORD": "opensesame"} | environ)


# --- what must stand there


def test_every_reason_is_explained_once() -> None:
    told = REASON_ROW.findall(section("Reasons"))

    assert sorted(told) == sorted(reason.value for reason in ChainReason)


def test_every_outcome_is_explained() -> None:
    told = REASON_ROW.findall(section("Outcomes"))

    assert sorted(told) == sorted(outcome.value for outcome in Outcome)


def rules() -> list[Alert | Recording]:
    chains = tuple(chain_of(name) for name in EXAMPLES)
    return [rule for group in chain_groups(chains) for rule in group.rules]


def alerts() -> dict[str, Alert]:
    return {rule.name: rule for rule in rules() if isinstance(rule, Alert)}


def test_every_alert_has_its_section_in_the_order_of_the_pack() -> None:
    found = re.findall(r"^### (\w+)$", section("The alerts"), re.MULTILINE)

    assert found == list(alerts())


def test_a_section_tells_severity_and_wait_as_the_rule_has_them() -> None:
    for name, alert in alerts().items():
        wait = f"after {alert.lasts.removesuffix('m')} min" if alert.lasts else "at once"
        assert section(name, 3).startswith(f"*{alert.severity}, {wait}.* "), name


def test_a_section_says_where_to_look_or_what_to_do() -> None:
    for name in alerts():
        text = section(name, 3)
        assert "* **First look:** " in text or "* **Do:** " in text, name


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}

    assert {link for link in re.findall(r"\]\(#([^)]+)\)", PAGE) if link not in anchors} == set()


def test_every_metric_that_is_named_exists() -> None:
    known = {family.name for family in (*OWN, *BLACKBOX_OWN)}
    for kind in discover().values():
        known |= {metric.name for metric in kind.metrics}
    # modules of /probe, a key, reasons
    others = {"chain_evm", "chain_solana", "chain_cosmos", "chain_id", *ChainReason}
    named = set(WORD.findall(PAGE))

    assert len(named & known) > 20
    assert named - known - others == set()


# --- what is computed


@pytest.mark.parametrize(
    ("block_time_s", "family", "row"),
    [
        (12.0, "evm", "| 12 s (Ethereum) |"),
        (2.0, "evm", "| 2 s (an L2) |"),
        (0.25, "evm", "| 0.25 s (a fast L2) |"),
        (6.0, "cosmos", "| 6 s (CometBFT) |"),
        (0.4, "solana", "| 0.4 s (Solana) |"),
    ],
)
def test_the_table_of_thresholds_is_what_auto_becomes(
    block_time_s: float, family: Family, row: str
) -> None:
    group = Group(family=family, chain="c", endpoints=(Endpoint("a"),))
    limits = resolve(group, Pace(block_time_s, block_time_s, block_time_s))
    depth = "does not apply" if family == "solana" else f"{limits.fork_depth}"

    wanted = (
        f"{row} {limits.head_age_s:g} s | {limits.lag_warn:g} | {limits.lag_down:g} | {depth} |"
    )

    assert wanted in section("Thresholds").splitlines()


# --- what must load


@pytest.mark.parametrize("number", range(len(PROBE_FILES)))
def test_a_probe_file_of_the_page_loads_without_a_warning(number: int, tmp_path: Path) -> None:
    config = load_text(PROBE_FILES[number], tmp_path)

    assert config.probes
    assert config.warnings == ()


def test_every_family_has_an_example(tmp_path: Path) -> None:
    kinds = {probe.kind.name for text in PROBE_FILES for probe in load_text(text, tmp_path).probes}

    assert kinds == {"evm", "solana", "cosmos", "jsonrpc"}


# --- Alertmanager


@dataclass(frozen=True)
class Inhibition:
    """One entry, read as Alertmanager does: every matcher must match, patterns are anchored."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...]

    def mutes(self, source: str, target: str) -> bool:
        return _all_match(self.source, source) and _all_match(self.target, target)


MATCHER = re.compile(r'(alertname) (=|=~|!~) (?:"([^"]+)"|(\w+))')


def _all_match(matchers: tuple[str, ...], name: str) -> bool:
    for matcher in matchers:
        found = MATCHER.fullmatch(matcher)
        assert found is not None, matcher
        sign, value = found[2], found[3] or found[4]
        is_equal = name == value if sign == "=" else re.fullmatch(value, name) is not None
        if is_equal == sign.startswith("!"):
            return False
    return True


def inhibitions() -> list[Inhibition]:
    (text,) = [text for _, name, text in BLOCKS if name == "alertmanager.yml"]
    document: Any = yaml.safe_load(text)
    assert set(document) == {"inhibit_rules"}
    return [
        Inhibition(
            tuple(entry["source_matchers"]), tuple(entry["target_matchers"]), tuple(entry["equal"])
        )
        for entry in document["inhibit_rules"]
        if set(entry) == {"source_matchers", "target_matchers", "equal"}
    ]


def muted_by(source: str) -> tuple[set[str], set[tuple[str, ...]]]:
    found = [rule for rule in inhibitions() if _all_match(rule.source, source)]
    names = {name for rule in found for name in alerts() if rule.mutes(source, name)}
    return names, {rule.equal for rule in found}


def test_a_halt_mutes_all_that_follows_from_it() -> None:
    names, equal = muted_by("ChainHalted")
    chains = {name for name in alerts() if name.startswith(("Chain", "Indexer"))}

    kept = {"ChainHalted", "ChainWrongNetwork", "ChainForkDisagreement"}
    assert names == (chains | {"SolanaRpcUnhealthy"}) - kept
    assert equal == {("probe", "chain")}


def test_the_last_endpoint_mutes_the_single_ones() -> None:
    assert muted_by("ChainAllRpcDown") == ({"ChainRpcDown"}, {("probe", "chain")})


def test_an_endpoint_that_is_down_mutes_what_is_milder() -> None:
    names, equal = muted_by("ChainRpcDown")

    assert names == {
        "ChainRpcDegraded", "ChainHeadLag", "ChainRpcSlow", "SolanaRpcSlow", "ChainWsSilent",
    }  # fmt: skip
    assert equal == {("probe", "chain", "endpoint")}


def test_nothing_else_mutes() -> None:
    sources = {name for name in alerts() if muted_by(name)[0]}

    assert sources == {"ChainHalted", "ChainAllRpcDown", "ChainRpcDown"}
    assert len(inhibitions()) == 3


# --- nginx, as it is shown


FAKES = """
  server {{ listen 127.0.0.1:{sonde};
    location /healthz/chain/ethereum/own {{
      if ($request_method != GET) {{ return 405; }}
      return {status};
    }}
  }}
  server {{ listen 127.0.0.1:{own}; location / {{ return 200 "own $request_method\\n"; }} }}
  server {{ listen 127.0.0.1:{spare}; location / {{ return 200 "spare $request_method\\n"; }} }}
"""


@pytest.fixture(params=[200, 503, None])
def balancer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, int | None]]:
    """nginx with the shown configuration; sonde answers so, or not at all."""
    program = find_program("nginx")
    (shown,) = [text for kind, _, text in BLOCKS if kind == "nginx"]
    port, own, spare, sonde = (free_port() for _ in range(4))
    for told, real in (
        ("127.0.0.1:8080", f"127.0.0.1:{port}"), ("10.0.0.5:8545", f"127.0.0.1:{own}"),
        ("10.0.0.6:8545", f"127.0.0.1:{spare}"), ("10.0.0.9:9115", f"127.0.0.1:{sonde}"),
        ("/var/cache/nginx/health", str(tmp_path / "cache")),
    ):  # fmt: skip
        assert told in shown
        shown = shown.replace(told, real)
    status = request.param
    fakes = FAKES.format(own=own, spare=spare, sonde=sonde, status=status or 500)
    if status is None:
        fakes = fakes[fakes.index(f"  server {{ listen 127.0.0.1:{own}") :]
    temporary = "".join(
        f"{name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{ access_log off;\n{temporary}\n{shown}\n{fakes}\n}}\n"
    )
    server = start(
        [program, "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", "stderr"], port, tmp_path,
        ready=lambda: urlopen(f"http://127.0.0.1:{port}/", timeout=2).close(),
    )  # fmt: skip
    yield server, status
    server.stop()


@pytest.mark.service
@pytest.mark.slow
def test_nginx_sends_calls_to_an_endpoint_that_may_get_them(
    balancer: tuple[Server, int | None],
) -> None:
    server, status = balancer
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []})

    request = Request(f"http://{server.address}/", call.encode(), {"content-type": "text/plain"})
    with urlopen(request, timeout=5) as answer:
        body = answer.read().decode()

    assert body == ("own POST\n" if status == 200 else "spare POST\n"), server.log()


# --- examples

ENVIRON = variables() | {
    "PROVIDER_RPC_URL": "https://base.example.org/v2/canary-of-provider",
    "NEUTRON_PROVIDER_RPC_URL": "https://neutron-rpc.example.org/canary-of-provider",
    "NEUTRON_PROVIDER_LCD_URL": "https://neutron-lcd.example.org/canary-of-provider",
    "SOLANA_PROVIDER_RPC_URL": "https://solana.example.org/?api-key=canary-of-provider",
}
EXAMPLES = {"takumi": "takumi-chain", "cf1": "cf1-neutron", "pfm": "pfm-solana"}


def chain_of(name: str) -> Probe:
    """Return the one chain of an example."""
    config = load_example(ROOT / "examples" / f"{name}.yaml", ENVIRON)
    (probe,) = [each for each in config.probes if each.kind.name in ("evm", "solana", "cosmos")]
    return probe


@pytest.mark.parametrize(("name", "probe"), EXAMPLES.items())
def test_an_example_has_a_chain_whose_alerts_go_to_its_team(name: str, probe: str) -> None:
    chain = chain_of(name)

    assert (chain.name, chain.labels["service"]) == (probe, "blockchain")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_rules_of_an_example_hold_no_secret(name: str) -> None:
    text = repr(chain_groups((chain_of(name),)))

    assert "canary" not in text
    assert "example.org" not in text


def names_told(name: str) -> set[str]:
    return {metric.name for metric in chain_of(name).kind.metrics}


def test_the_dashboards_of_the_platforms_find_their_names() -> None:
    assert {"solana_rpc_health", "solana_rpc_latency_seconds"} <= names_told("pfm")
    assert {
        "indexer_block_lag", "indexer_contract_tx_total", "indexer_events_total",
        "indexer_avg_gas_price", "evm_gas_price_wei", "evm_contract_transactions_total",
    } <= names_told("takumi")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("takumi", {"AnomalousGasSpike", "HighContractFailureRate", "IndexerBlockLag"}),
        ("pfm", {"SolanaRpcUnhealthy", "SolanaRpcSlow", "ChainAllRpcDown"}),
        ("cf1", {"CosmosUpgradeSoon", "ChainAllRpcDown"}),
    ],
)
def test_the_rules_of_an_example_hold_the_alerts_that_its_platform_wants(
    name: str, wanted: set[str]
) -> None:
    found = {
        rule.name
        for group in chain_groups((chain_of(name),))
        for rule in group.rules
        if isinstance(rule, Alert)
    }

    assert wanted <= found
