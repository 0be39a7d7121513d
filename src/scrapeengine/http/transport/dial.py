"""From a host and a port to a connected socket: happy eyeballs (RFC 8305) over addresses that were checked.

Rejected: `trio.open_tcp_stream`. It looks names up in trio's own threads, and connects to whatever they lead to.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from itertools import zip_longest
from typing import TypeVar

import httpx
import trio

from scrapeengine.http.transport.addresses import is_public
from scrapeengine.http.transport.failures import Blocked
from scrapeengine.http.transport.names import Address, Names
from scrapeengine.http.transport.words import of_system, small

__all__ = ["AllFailed", "Dialer", "interleaved", "race"]

_MOST = 32
"""The addresses of a name that are tried, at most: with a delay of 0.25 s, what begins in 8 s."""

_LITTLE_SAID = {
    errno.EHOSTUNREACH: 1,
    errno.ENETUNREACH: 2,
    errno.EADDRNOTAVAIL: 2,
    errno.EAFNOSUPPORT: 2,
}
"""Errors that say less of a server than of the way to it; and 2: of this machine, which may have no IPv6."""

C = TypeVar("C")
T = TypeVar("T")


class AllFailed(Exception):
    """No candidate of a race has connected."""

    def __init__(self, errors: Sequence[OSError]) -> None:
        super().__init__(f"{len(errors)} attempts failed")
        self.errors = tuple(errors)
        """In the order in which they came; at least one."""


class Dialer:
    """Connects to hosts."""

    def __init__(self, names: Names, *, delay: float = 0.25) -> None:
        """Make it.

        Args:
            names: what looks up names.
            delay: the seconds after which the next address of a name is tried beside those before it (RFC 8305,
                section 8, recommends 0.25).
        """
        self._names = names
        self._delay = delay

    async def dial(self, host: str, port: int, *, block_private: bool = False) -> socket.socket:
        """Connect to a host: to the first of its addresses that answers.

        Args:
            host: a name in ASCII, or an address; IPv6 without brackets.
            port: of TCP.
            block_private: connect to public addresses only. Of a name that leads to others too, those are left out:
                each is checked by itself, so that a name which changes its mind gains nothing.

        Returns:
            A non-blocking socket, the caller's to close.

        Raises:
            Blocked: none of its addresses is public.
            httpx.ConnectError: it has no address, or none that can be connected to.

        Checkpoint. If cancelled, no socket is open.
        """
        if not 0 < port < 65536:
            raise httpx.ConnectError(f"port {port} is none; ports go from 1 to 65535")
        addresses = await self._names.lookup(host, port)
        if block_private:
            addresses = [address for address in addresses if is_public(address.text)]
            if not addresses:
                raise Blocked(f"{host!r} has no public address, and only those may be connected to")
        try:
            return await race(interleaved(addresses)[:_MOST], _connect, self._delay, discard=socket.socket.close)
        except AllFailed as failed:
            raise httpx.ConnectError(_words(host, port, failed.errors)) from None


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Let the two families take turns, each in its order, the first one's first (RFC 8305, section 4)."""
    first = [address for address in addresses if address.family == addresses[0].family]
    other = [address for address in addresses if address.family != addresses[0].family]
    return [address for pair in zip_longest(first, other) for address in pair if address is not None]


async def race(
    candidates: Sequence[C], connect: Callable[[C], Awaitable[T]], delay: float, *, discard: Callable[[T], object]
) -> T:
    """Try one candidate after the other until one has connected; wait for no slow one (RFC 8305, section 5).

    The next one starts when one fails, or when none has for the time of the delay. The first to connect wins; the
    others are cancelled.

    Args:
        candidates: at least one; alone, it is tried without a nursery.
        connect: tries one; raises OSError. If cancelled, it leaves nothing open.
        delay: in seconds.
        discard: closes what a second winner has made, at once.

    Returns:
        What the first one to connect has made.

    Raises:
        AllFailed: none has connected.

    Checkpoint if `connect` does. If cancelled, nothing is open.
    """
    if len(candidates) == 1:
        try:
            return await connect(candidates[0])
        except OSError as error:
            raise AllFailed([error]) from None
    made: list[T] = []
    errors: list[OSError] = []
    failed = trio.Event()

    async def attempt(candidate: C) -> None:
        try:
            made.append(await connect(candidate))
        except OSError as error:
            errors.append(error)
            failed.set()
        else:
            nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            for candidate in candidates:
                failed = trio.Event()  # set by whichever fails next, however long ago that one was begun
                nursery.start_soon(attempt, candidate)
                with trio.move_on_after(delay):
                    await failed.wait()
        if not made:
            raise AllFailed(errors)
        return made.pop(0)
    finally:
        # Two may have connected in one turn of the loop, or one in that in which all is cancelled.
        for late in made:
            discard(late)


async def _connect(address: Address) -> socket.socket:
    """Connect to one address. Checkpoint, unless it fails at once. If cancelled, the socket is closed."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        await _establish(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _establish(sock: socket.socket, address: Address) -> None:
    sock.settimeout(0)
    # Else the second part of a request would wait until the server has acknowledged the first.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = sock.connect_ex(address.sockaddr)
    if code in (0, errno.EINPROGRESS):
        await trio.lowlevel.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _words(host: str, port: int, errors: Sequence[OSError]) -> str:
    """Say why, by the failure that tells most."""
    telling = min(errors, key=lambda error: _LITTLE_SAID.get(error.errno or 0, 0))
    tried = "" if len(errors) == 1 else f" ({len(errors)} addresses were tried)"
    return f"no connection to {host!r}, port {port}: {small(of_system(telling))}{tried}"
