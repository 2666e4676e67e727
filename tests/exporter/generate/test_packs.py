"""The packs of rules: which there are, and the head of the file that they become."""

from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from exporter.generate.packs import HASH_DIGITS, PACKS, PLANNED, chosen_packs, rules_text
from exporter.vitals import SHOWN_HASH_DIGITS
from probes.config.load import Config, load
from scripts.docs import ROOT

CHAIN = "chains: [{name: c, kind: evm, chain_id: 1, endpoints: [{name: a, http: http://a:1}]}]"
LONE = "probes: [{name: l2, kind: evm, target: 'http://a:1', chain_id: 8453}]"
PORT = "probes: [{name: ssh, kind: tcp, target: '192.0.2.1:22'}]"


def config(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "probes.yaml"
    path.write_text(f"version: 1\n{text}\n")
    return load(path, environ={})


@pytest.mark.parametrize(
    ("names", "packs"),
    [
        pytest.param([], ("chain", "load"), id="all by default"),
        pytest.param(["all"], ("chain", "load"), id="all"),
        pytest.param(["chain", "chain"], ("chain",), id="one twice"),
        pytest.param(["all", "chain"], ("chain", "load"), id="all and one"),
    ],
)
def test_each_chosen_pack_comes_once(names: list[str], packs: tuple[str, ...]) -> None:
    assert chosen_packs(names) == packs


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("slo", "want --pack chain or load or all, got 'slo', which is not made yet"),
        ("chian", "want --pack chain or load or all, got 'chian'; did you mean 'chain'?"),
        ("", "want --pack chain or load or all, got ''"),
    ],
)
def test_a_pack_that_does_not_exist_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match="want") as caught:
        chosen_packs(["chain", name])

    assert str(caught.value) == message


def test_a_pack_is_either_there_or_planned() -> None:
    assert not PLANNED & set(PACKS)


def test_the_first_line_names_version_config_and_packs(tmp_path: Path) -> None:
    made = config(tmp_path, CHAIN)

    head, _, rest = rules_text(made, []).partition("\n")

    assert head == (
        f"# sonde {version('sonde')}, config {made.hash[:12]}, packs chain: "
        "written by `sonde generate rules`, changes here are lost"
    )
    assert HASH_DIGITS == SHOWN_HASH_DIGITS, "sonde_config_info shows another hash"
    assert rest.startswith("groups:\n")


@pytest.mark.parametrize("text", [CHAIN, LONE])
def test_the_same_file_gives_the_same_bytes(text: str, tmp_path: Path) -> None:
    first = rules_text(config(tmp_path, text), ["chain"], "https://w.example.org/chains")
    second = rules_text(config(tmp_path, text), ["chain"], "https://w.example.org/chains")

    assert first == second
    assert first.endswith("\n")
    assert not first.endswith("\n\n")


def test_another_file_has_another_head(tmp_path: Path) -> None:
    first = rules_text(config(tmp_path, CHAIN), [])
    second = rules_text(config(tmp_path, CHAIN + " # as before"), [])

    assert first.splitlines()[1:] == second.splitlines()[1:]
    assert first != second


def test_every_alert_leads_to_its_section(tmp_path: Path) -> None:
    text = rules_text(config(tmp_path, CHAIN), [], "https://w.example.org/chains")

    alerts = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    pages = {
        rule["alert"]: rule["annotations"]["runbook_url"] for rule in alerts if "alert" in rule
    }
    assert pages["ChainHalted"] == "https://w.example.org/chains#chainhalted"
    assert len(set(pages.values())) == len(pages)


def test_a_file_without_chains_has_nothing_for_their_pack(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="want") as caught:
        rules_text(config(tmp_path, PORT), ["chain"])

    assert str(caught.value) == (
        "want an entry under chains, or a probe of kind evm, solana or cosmos for the pack chain, "
        "got none"
    )


@pytest.mark.parametrize("names", [[], ["all"]])
def test_who_has_ordinary_probes_alone_is_told_where_their_rules_are(
    names: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="want") as caught:
        rules_text(config(tmp_path, PORT), names)

    assert str(caught.value) == (
        "want chains or scenarios to write rules for, got neither; those of other probes fit "
        "every file and are ready to copy: examples/rules.yml, docs/alerts.md"
    )
    assert (ROOT / "examples/rules.yml").exists()


def test_no_secret_of_the_file_stands_in_the_rules(tmp_path: Path) -> None:
    (tmp_path / "probes.yaml").write_text(
        "version: 1\nchains:\n  - {name: c, kind: evm, chain_id: 1, headers: {Authorization: "
        "'Bearer ${KEY_TOKEN}'}, endpoints: [{name: a, http: 'https://a.example.org/${KEY_TOKEN}'}]}"
    )

    made = load(tmp_path / "probes.yaml", environ={"KEY_TOKEN": "canary-of-the-test"})

    text = rules_text(made, [])
    assert "canary" not in text
    assert "example.org" not in text
