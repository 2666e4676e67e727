"""Mistakes in the shared keys of a group, and what they are told as."""

from typing import Any

import pytest
from pydantic import ValidationError

from probes.chain.settings import EndpointKeys, LagKeys, ThresholdKeys
from probes.kinds.evm import Evm


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"http": "10.0.0.5:8545"}, "begins with https:// or http://, got", id="bare"),
        pytest.param({"http": "ws://10.0.0.5"}, "begins with https:// or http://, got", id="ws"),
        pytest.param(
            {"http": "http://a", "ws": "tcp://a"}, "begins with wss:// or ws://, got", id="tcp"
        ),
    ],
)
def test_an_address_of_another_scheme_is_told_without_it(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as failure:
        EndpointKeys.model_validate({"name": "own"} | given)
    assert "10.0.0.5" not in failure.value.errors()[0]["msg"]


def test_credentials_stand_in_one_place() -> None:
    keys = {"name": "own", "http": "http://u:p@a", "auth": {"header": {"credentials": "x"}}}
    with pytest.raises(ValidationError, match="credentials in the URL or in auth, got both"):
        EndpointKeys.model_validate(keys)


def test_a_group_of_nobody_is_told_what_it_lacks() -> None:
    kind = Evm.model_validate({"chain": "it"})
    with pytest.raises(ValueError, match=r"want endpoints \(in chains\), or a target such as"):
        kind.check_target("ethereum")


def test_a_warning_behind_the_alarm_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match=r"want warn of at most down \(3\), got 9"):
        ThresholdKeys.model_validate({"lag": {"warn": 9, "down": 3}})


@pytest.mark.parametrize(
    "lag",
    [{"warn": 3, "down": 3}, {"warn": 9, "down": "off"}, {"warn": 900}, 1, "off"],
)
def test_limits_that_may_stand_together(lag: Any) -> None:
    assert isinstance(ThresholdKeys.model_validate({"lag": lag}).lag, LagKeys)
