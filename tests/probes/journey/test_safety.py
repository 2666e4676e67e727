"""Ceilings for browsers and loads."""

import pytest
from pydantic import ValidationError

from probes.journey.safety import BrowserSafety, LoadSafety, TargetSafety


def test_the_ceilings_are_those_of_the_design() -> None:
    assert (BrowserSafety().max_parallel, BrowserSafety().min_free_memory) == (2, 750 * 2**20)


@pytest.mark.parametrize("number", [0, 65])
def test_the_number_of_browsers_is_bounded(number: int) -> None:
    with pytest.raises(ValidationError):
        BrowserSafety(max_parallel=number)


def test_ceilings_of_loads_are_those_of_the_design() -> None:
    it = LoadSafety()

    assert (it.max_users, it.max_rate, it.max_duration) == (500, 200.0, 900.0)
    assert (it.max_concurrent_runs, it.protected) == (1, ())
    assert TargetSafety().allow == ()


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("*.Staging.Example.org.", "*.staging.example.org"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("10.20.0.0/16", "10.20.0.0/16"),
        ("FE80::/10", "fe80::/10"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("*.Straße.example", "*.xn--strae-oqa.example"),
        ("::ffff:127.0.0.1", "127.0.0.1/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
    ],
)
def test_a_fence_is_kept_in_one_form(written: str, plain: str) -> None:
    assert TargetSafety.model_validate({"allow": [written]}).allow == (plain,)


EITHER = "want a host such as *.staging.example.org or a network such as 10.20.0.0/16"
NETWORK = "want a network such as 10.20.0.0/16, without bits behind the prefix"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("*", f"{EITHER}, got '*'"),
        ("a..b", f"{EITHER}, got 'a..b'"),
        ("127.1", f"{EITHER}, got '127.1'"),
        ("0x7f000001", f"{EITHER}, got '0x7f000001'"),
        ("*.127.0.0.1", f"{EITHER}, got '*.127.0.0.1'"),
        ("http://a/", f"{NETWORK}, got 'http://a/'"),
        ("10.20.0.1/16", f"{NETWORK}, got '10.20.0.1/16'"),
        ("0.0.0.0/0", "want the networks of your own, got '0.0.0.0/0': everybody's"),
    ],
)
def test_a_fence_around_everybody_is_none(written: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TargetSafety.model_validate({"allow": [written]})

    assert [it["msg"] for it in caught.value.errors()] == [f"Value error, {said}"]


def test_protected_hosts_are_names_and_addresses() -> None:
    it = LoadSafety.model_validate({"protected": ["Shop.example.org.", "::1"], "max_rate": "90/m"})

    assert (it.protected, it.max_rate) == (("shop.example.org", "::1"), 1.5)
    for bad in ({"protected": ["*.example.org"]}, {"max_rate": "0/s"}, {"max_users": 0}):
        with pytest.raises(ValidationError):
            LoadSafety.model_validate(bad)
