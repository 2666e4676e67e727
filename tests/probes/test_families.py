import subprocess
import sys

import pytest

from probes.families import (
    ALWAYS_TOLD,
    BLACKBOX,
    BLACKBOX_BY_NAME,
    FREE_LABELS,
    REFUSED_LABELS,
    SHARED,
    all_label_names,
    family_name,
)


@pytest.mark.parametrize(
    ("sample", "family"),
    [
        pytest.param("http_status_code", "probe_http_status_code", id="of blackbox_exporter"),
        pytest.param("failed_due_to_regex", "probe_failed_due_to_regex", id="of several kinds"),
        pytest.param("tcp_banner_bytes", "sonde_tcp_banner_bytes", id="ours"),
        pytest.param("probe_tls_verified", "sonde_probe_tls_verified", id="shared"),
        pytest.param("evm_gas_price", "evm_gas_price", id="a namespace of its own"),
    ],
)
def test_a_sample_takes_the_name_that_dashboards_know(sample: str, family: str) -> None:
    assert family_name(sample) == family


def test_every_compatible_family_is_a_gauge_with_a_name_of_its_own() -> None:
    assert {family.type for family in BLACKBOX} == {"gauge"}
    assert len(BLACKBOX_BY_NAME) == len(BLACKBOX)
    assert all(name.startswith("probe_") for name in BLACKBOX_BY_NAME)


def test_families_that_are_always_told_exist_and_have_no_labels() -> None:
    assert {BLACKBOX_BY_NAME[name].labels for name in ALWAYS_TOLD} == {()}


def test_taken_and_free_labels_are_told_apart() -> None:
    taken = all_label_names()

    assert not FREE_LABELS & taken.keys()
    assert not FREE_LABELS & REFUSED_LABELS
    assert {"probe", "kind", "target", "phase", "reason", "hop", "subject"} <= taken.keys()


def test_each_taken_label_names_a_family_that_has_it() -> None:
    for family in (*BLACKBOX, *SHARED):
        for label in family.labels:
            assert label in all_label_names()
    assert all_label_names()["hop"].startswith("sonde_probe_tls_")


def test_the_table_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys, probes.families;"
        "sys.exit(bool({'pydantic', 'prometheus_client', 'exporter'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
