"""Who may ask the live page for what. Pure: a decision on the words of one request.

A page on loopback is reached by every page that the same browser has open. What keeps these out:

- They do not know the token. It stands in the fragment of the page's address, which no browser sends anywhere; the
  page's own script takes it from there into a header. So no log, no `Referer` and no link has it.
- A request with that header is none that a foreign page may send without being asked first (CORS, Fetch standard 3.2),
  and nobody answers that question here.
- A foreign name that leads to this address (DNS rebinding) is no name that is served.
- What changes something is a POST of JSON, with the `Origin` of the page itself where there is one.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Mapping

import attrs

__all__ = ["LOOPBACK", "Access", "Denial", "host_name", "is_loopback", "names_of"]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@attrs.frozen
class Denial:
    """The answer to who may not ask."""

    status: int
    why: str


@attrs.frozen
class Access:
    """What is asked of each request."""

    token: str = attrs.field(repr=False)
    """Who has it may do all."""
    hosts: frozenset[str]
    """The names by which the page may be called beside those of loopback, in small letters, without ports."""

    def refusal(self, method: str, headers: Mapping[str, str], *, acts: bool, is_open: bool) -> Denial | None:  # noqa: PLR0911 - a line each
        """Say why a request is refused; None: it is not.

        Args:
            method: the request's.
            headers: the request's, by their names in small letters.
            acts: whether what is asked for changes something.
            is_open: whether everybody may have it: it says nothing of any run.
        """
        host = headers.get("host", "")
        if host_name(host) not in LOOPBACK | self.hosts:
            return Denial(403, "this name is not served here; give Dashboard(hosts=[…]) the name that you call it by")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in {f"http://{host.lower()}", f"https://{host.lower()}"}:
            return Denial(403, "another page has asked for this")
        if method != ("POST" if acts else "GET"):
            return Denial(405, f"this is for {'POST' if acts else 'GET'} alone")
        if is_open:
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
            return Denial(401, "the token is wrong, or there is none; it stands behind the # of the page's address")
        if acts and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Denial(415, "this takes JSON alone")
        return None


def names_of(hosts: object, name: str) -> frozenset[str]:
    """Return the names of hosts that a program has given, as `host_name` has them; else raise a `TypeError`.

    Ports, brackets and a dot at the end are allowed, and an IPv6 address without brackets.
    """
    found = tuple(hosts) if isinstance(hosts, Iterable) and not isinstance(hosts, str | bytes) else (None,)
    if not all(isinstance(each, str) for each in found):
        raise TypeError(f"{name} must be a list of names; write hosts=['scraper.example']")
    # One that is empty would let in who says none.
    return frozenset(host_name(f"[{each}]" if _is_bare(str(each)) else str(each)) for each in found) - {""}


def host_name(host: str) -> str:
    """Return the name in a `Host` header in small letters, without its port and the dot at its end.

    An IPv6 address is without its brackets, and each address in its shortest form.
    """
    host = host.strip().lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0].removesuffix(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def is_loopback(address: str) -> bool:
    """Say whether nobody but this machine reaches an address that somebody listens at."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped.is_loopback
    return found.is_loopback


def _is_bare(host: str) -> bool:
    """Say whether it is an IPv6 address without brackets: what stands behind its first colon is no port."""
    return host.count(":") > 1 and not host.strip().startswith("[")
