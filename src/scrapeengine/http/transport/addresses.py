"""Addresses: which one a host literal means, and whether it is public.

A site can name its own network's machines, and ours, in many ways: by names that lead there, by numbers (`2130706433`
is 127.0.0.1), by addresses of IPv6 that stand for those of IPv4. So what is judged is always the address that is
connected to, in the one form in which the system is given it.

The networks below are those that the special-purpose registries of IANA do not call globally reachable (RFC 6890,
RFC 8190, and what was registered since). Of a block that is reserved as a whole, the few addresses in it that are
reachable count as reserved too: those of protocols (192.0.0.9, 2001:1::1), at which there are no web sites.

Rejected: `ipaddress.is_global`. Python 3.11's takes 192.0.0.8, 64:ff9b:1::/48, 3fff::/20, multicast and site-local
addresses for public, and 64:ff9b::/96 and 2002::/16 whatever they lead to.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = ["is_public", "literal"]

_RESERVED_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network (RFC 791); Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # shared by the customers of a carrier (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122)
        "169.254.0.0/16",  # link-local (RFC 3927), and the metadata of clouds
        "172.16.0.0/12",  # private (RFC 1918)
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
        "192.168.0.0/16",  # private (RFC 1918)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved (RFC 1112), and broadcast (RFC 919)
    )
)

_UNICAST_6 = IPv6Network("2000::/3")
"""All that is public in IPv6 is in here (RFC 4291, section 2.4): neither loopback nor local nor multicast is."""

_RESERVED_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments (RFC 2928): Teredo, ORCHID, benchmarking, …
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 (RFC 3056, RFC 7526): addresses of IPv4, whose routers nobody runs any more
        "3fff::/20",  # documentation (RFC 9637)
    )
)

_WRAPPED_4 = (
    IPv6Network("::ffff:0:0/96"),  # IPv4-mapped (RFC 4291): the system connects by IPv4
    IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052): how networks without IPv4 reach it
)
"""Networks in which the last 32 bits are an address of IPv4, and are what is reached."""

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")


def literal(host: str) -> str | None:
    """Return the address that a host literal means, in its usual form.

    Args:
        host: an address of IPv4 in any form of `inet_aton` (`127.0.0.1`, `127.1`, `0x7f000001`, `017700000001`,
            `2130706433`), which is what systems take for one, or of IPv6, with or without brackets or zone.

    Returns:
        The address; None if the host is a name.
    """
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            return None
    if ":" in host:
        try:
            return str(IPv6Address(host))
        except ValueError:
            return None
    number = _number_of(host)
    return None if number is None else str(IPv4Address(number))


def is_public(address: str) -> bool:
    """Say whether an address is one that the whole internet can reach, and of one machine only.

    Args:
        address: as the system writes it: `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`.

    Returns:
        False too for addresses with a zone, which are local whatever they are, and for what is no address. A network
        that translates to IPv4 under a prefix of its own (RFC 6052, section 2.2) cannot be told from any other.
    """
    try:
        if ":" not in address:
            return _is_public_4(IPv4Address(address))
        parsed = IPv6Address(address)
    except ValueError:
        return False
    if parsed.scope_id is not None:
        return False
    if any(parsed in network for network in _WRAPPED_4):
        return _is_public_4(IPv4Address(int(parsed) & 0xFFFFFFFF))
    return parsed in _UNICAST_6 and not any(parsed in network for network in _RESERVED_6)


def _is_public_4(address: IPv4Address) -> bool:
    return not any(address in network for network in _RESERVED_4)


def _number_of(host: str) -> int | None:
    """Read one to four numbers as `inet_aton` does: the last one fills what the others leave of the 32 bits."""
    *first, last = parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [_value(part) for part in first]
        rest = _value(last)
    except ValueError:
        return None
    free = 32 - 8 * len(numbers)
    if max(numbers, default=0) > 255 or rest >= 1 << free:
        return None
    for at, number in enumerate(numbers):
        rest |= number << (24 - 8 * at)
    return rest


def _value(text: str) -> int:
    """Read a number as C does: `0x…` is hexadecimal, `0…` is octal."""
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text, 8 if text[0] == "0" else 10)
