"""What an address may mean, and what the internet routes."""

import pytest

from probes.wire.forms import forms, is_public


@pytest.mark.parametrize(
    ("ip", "found"),
    [
        pytest.param("192.0.2.1", {"192.0.2.1"}, id="itself"),
        pytest.param("::ffff:192.0.2.1", {"192.0.2.1"}, id="mapped"),
        pytest.param("64:ff9b::192.0.2.1", {"64:ff9b::c000:201", "192.0.2.1"}, id="NAT64"),
        pytest.param("2002:c000:201::", {"2002:c000:201::", "192.0.2.1"}, id="6to4"),
        pytest.param("fe80::1%eth0", {"fe80::1"}, id="zone"),
        pytest.param("0.0.0.0", {"0.0.0.0", "127.0.0.1"}, id="this host"),
        pytest.param("::", {"::", "::1"}, id="this host v6"),
    ],
)
def test_an_address_may_mean_another_one(ip: str, found: set[str]) -> None:
    assert set(map(str, forms(ip))) == found


@pytest.mark.parametrize(
    ("ip", "public"),
    [
        pytest.param("8.8.8.8", True, id="v4"),
        pytest.param("2606:4700::1", True, id="v6"),
        pytest.param("64:ff9b::808:808", True, id="NAT64"),
        pytest.param("fec0::1", False, id="site-local"),
        pytest.param("5f00::1", False, id="segment routing"),
        pytest.param("3fff::1", False, id="documentation"),
        pytest.param("192.0.0.8", False, id="protocol assignments"),
        pytest.param("192.88.99.1", False, id="6to4 relay"),
        pytest.param("::ffff:0:10.0.0.1", False, id="SIIT private"),
        pytest.param("2606:4700::5efe:10.0.0.1", False, id="ISATAP private"),
    ],
)
def test_public_is_what_the_internet_routes(ip: str, *, public: bool) -> None:
    """The word of `ipaddress` differs between versions of Python."""
    assert is_public(ip) is public
