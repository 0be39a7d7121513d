"""Which address a host means, and which addresses are public."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.http.transport.addresses import is_public, literal

LOCAL_4 = [
    # from the IANA IPv4 Special-Purpose Address Registry and the IPv4 Multicast Address Space Registry
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
]
LOCAL_6 = [
    # from the IANA IPv6 Special-Purpose Address Registry, and what RFC 4291 and its updates say of the rest
    "::/128",
    "::1/128",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]
WRAPPINGS = ["::ffff:0:0", "64:ff9b::"]
"""In which an address of IPv4 may stand, and is reached."""

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.31.196.1",  # AS112, globally reachable by the registry
    "192.52.193.1",  # AMT, likewise
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "192.175.48.1",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2000::",
    "2001:200::",
    "2001:4860:4860::8888",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::",
    "2003::",
    "2606:4700:4700::1111",
    "2620:4f:8000::1",  # AS112
    "2a00:1450:4001:800::200e",
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff:1000::",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]

LOCAL = [
    # addresses that sites are fond of, and neighbours of what is public
    "192.0.0.8",
    "192.0.0.9",  # a protocol's own, globally reachable by the registry; no web site is there
    "169.254.169.254",
    "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "4000::",
    "2001:1::1",
    "2002:808:808::1",
    "2002:7f00:1::1",
    "2001:0:808:808::1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::808:808",
    "64:ff9b::1:0:0",
    "::ffff:127.0.0.1",
    "::ffff:0:8.8.8.8",
    "::8.8.8.8",
    "::127.0.0.1",
    "fd00:ec2::254",
    "fe80::1%eth0",
    "2606:4700:4700::1111%eth0",
    "ff0e::1",
    # no addresses in the system's form
    "",
    "example.com",
    "2130706433",
    "8.8.8",
    "[::1]",
    "08.8.8.8",
    "::g",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_what_the_whole_internet_reaches_is_public(address: str) -> None:
    """Addresses of well-known servers are public, and those right beside what is reserved."""
    assert is_public(address)


@pytest.mark.parametrize("address", LOCAL)
def test_what_only_some_reach_is_not_public(address: str) -> None:
    """Addresses of machines near us are not, however they are written; nor is what is no address."""
    assert not is_public(address)


@pytest.mark.parametrize("network", LOCAL_4)
@pytest.mark.parametrize("wrapping", ["", *WRAPPINGS])
def test_reserved_blocks_of_ipv4_are_not_public_to_their_ends(network: str, wrapping: str) -> None:
    """First and last address of each block are not public, in IPv4 and wrapped in IPv6."""
    block = ipaddress.ip_network(network)
    for address in (block[0], block[-1]):
        assert not is_public(wrapped(int(address), wrapping))


@pytest.mark.parametrize("network", LOCAL_6)
def test_reserved_blocks_of_ipv6_are_not_public_to_their_ends(network: str) -> None:
    """First and last address of each block are not public."""
    block = ipaddress.ip_network(network)
    assert not is_public(str(block[0]))
    assert not is_public(str(block[-1]))


def wrapped(number: int, wrapping: str) -> str:
    """Write an address of IPv4, in IPv6 if asked."""
    if not wrapping:
        return str(ipaddress.IPv4Address(number))
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(wrapping)) + number))


@given(st.data())
def test_nothing_in_a_reserved_block_is_public(data: st.DataObject) -> None:
    """No address of any block of the registries is public, in whatever form the system may write it."""
    block = ipaddress.ip_network(data.draw(st.sampled_from(LOCAL_4 + LOCAL_6)))
    address = block[data.draw(st.integers(0, block.num_addresses - 1))]
    assert not is_public(str(address))
    assert not is_public(address.exploded)
    if isinstance(address, ipaddress.IPv4Address):
        assert not is_public(wrapped(int(address), data.draw(st.sampled_from(WRAPPINGS))))


@given(st.integers(0, 2**32 - 1))
def test_each_address_of_ipv4_is_public_if_no_block_has_it(number: int) -> None:
    """What stands in no block is public, and wrapped it is what it is alone."""
    address = ipaddress.IPv4Address(number)
    public = not any(address in ipaddress.ip_network(network) for network in LOCAL_4)
    assert is_public(str(address)) == public
    for wrapping in WRAPPINGS:
        assert is_public(wrapped(number, wrapping)) == public


@given(st.integers(0, 2**128 - 1))
def test_outside_of_global_unicast_only_wrapped_addresses_are_public(number: int) -> None:
    """In IPv6, what is not in 2000::/3 is public only where an address of IPv4 stands in it."""
    address = ipaddress.IPv6Address(number)
    if is_public(str(address)) and number >> 125 != 1:
        assert any(address in ipaddress.ip_network(f"{wrapping}/96") for wrapping in WRAPPINGS)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("127.65535", "127.0.255.255"),
        ("10.1.65535", "10.1.255.255"),
        ("1.16777215", "1.255.255.255"),
        ("0", "0.0.0.0"),
        ("00000000000000000000000000", "0.0.0.0"),
        ("4294967295", "255.255.255.255"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[2001:DB8:0::0:1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
    ],
)
def test_a_literal_is_the_address_that_the_system_takes_it_for(host: str, address: str) -> None:
    """Numbers in any base and any number of parts are addresses of IPv4."""
    assert literal(host) == address


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "example.com",
        "127.0.0.1.example.com",
        "4294967296",
        "256.0.0.1",
        "127.0.0.256",
        "127.0.65536",
        "1.16777216",
        "1.2.3.4.5",
        "127.0.0.1.",
        ".127.0.0.1",
        "127..1",
        "08",
        "0x",
        "0x.1",
        "0xg",
        "0b1",
        "+1",
        "-1",
        "1_000",
        " 127.0.0.1",
        "127.0.0.1 ",
        "１２７.0.0.1",
        "[127.0.0.1]",
        "[1]",
        "[]",
        "[::1",
        "::1]",
        ":::",
        "::g",
        "9" * 5000,
    ],
)
def test_anything_else_is_a_name(host: str) -> None:
    """What the system would look up, or refuse, is no address."""
    assert literal(host) is None


@given(st.lists(st.integers(0, 2**32 + 1) | st.integers(0, 300), min_size=1, max_size=5), st.data())
def test_numbers_mean_what_they_mean_to_the_system(numbers: list[int], data: st.DataObject) -> None:
    """Whatever numbers in whatever bases: `literal` and `inet_aton` agree."""
    formats = st.sampled_from(["{}", "0{:o}", "0x{:x}", "0X{:X}", "00{}"])
    agree(".".join(data.draw(formats).format(number) for number in numbers))


@given(st.text("0189afx.", max_size=12))
def test_what_looks_like_numbers_means_what_it_means_to_the_system(host: str) -> None:
    """Whatever digits and dots: `literal` and `inet_aton` agree."""
    agree(host)


def agree(host: str) -> None:
    """Compare with the system."""
    try:
        system = socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        system = None
    assert literal(host) == system


@given(st.text(max_size=20))
def test_any_text_is_an_address_or_a_name(host: str) -> None:
    """Nothing is raised; what comes out is an address in its usual form, which is a literal of itself."""
    address = literal(host)
    if address is not None:
        assert literal(address) == address
        assert str(ipaddress.ip_address(address)) == address
    assert is_public(host) in (True, False)
