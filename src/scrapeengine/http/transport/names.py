"""Name lookups: each name at most once at a time, in a few threads, and kept for a moment.

- A lookup belongs to nobody. Who wants its answer waits for it; being cancelled ends the wait and not the lookup, so
  that the next one who asks joins it and no name ever holds two threads. It is kept also if nobody waits any more.
- A thread that looks up a name cannot be interrupted, and a resolver that says nothing takes 10 s and more. A lookup
  counts among the `threads` for its first half second only, then among the slow ones, so that what waits in line waits
  for that long and not for 10 s. It is put there by who waits for it; at once when nobody does.
- What still waits in line when the last one who wanted it is cancelled leaves the line.

Invariants: a lookup is among `_searches` from when it is asked for until it is settled, or leaves the line. It is in
line until it is started, and counts from then until it is settled: in `_slow` if it says so itself, else in `_quick`.

Rejected: `trio.to_thread.run_sync` with a limiter and `abandon_on_cancel`. The thread runs on and its answer is thrown
away; each new try for a slow name then takes another thread, until all are taken by it.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - looking up the first name would import it in the middle of a run
import errno
import socket
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeAlias

import attrs
import httpx
import trio

from scrapeengine.http.transport.addresses import literal
from scrapeengine.http.transport.words import of_system

__all__ = ["Address", "Names", "Resolve"]

_KEPT = 30.0
"""Seconds for which an answer is kept; what the name server allows is not to be learned from the system."""
_SLOW = 0.5
"""Seconds after which a lookup is slow."""
_MOST_SLOW = 56
_MOST_KEPT = 1000
_LONGEST = 254
"""The characters that a name may have, the last dot included (RFC 1035, section 2.3.4)."""
_LONGEST_LABEL = 63


@attrs.frozen
class Address:
    """An address to connect to."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]
    """The argument of `socket.connect`: (address, port), and for IPv6 (address, port, flow, scope)."""

    @property
    def text(self) -> str:
        """The address as the system writes it, with its zone if it has one."""
        return str(self.sockaddr[0])

    def at(self, port: int) -> Address:
        """Return the same address with another port."""
        return Address(self.family, (self.sockaddr[0], port, *self.sockaddr[2:]))

    @classmethod
    def of(cls, text: str, port: int = 0) -> Address:
        """Make one of an address in text. No lookup.

        Raises:
            OSError: it is none, or its zone is no interface of this machine.
        """
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        [(family, _, _, _, sockaddr)] = socket.getaddrinfo(text, None, type=socket.SOCK_STREAM, flags=flags)
        return cls(family, sockaddr).at(port)


Resolve: TypeAlias = Callable[[str], Sequence[Address]]
"""Looks up a name, in a thread; the ports of what it returns do not matter. Raises OSError or ValueError."""


def _ask_the_system(host: str) -> list[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]


class _Outcome(Protocol):
    """The end of a thread, as trio hands it over."""

    def unwrap(self) -> Sequence[Address] | Exception: ...


@attrs.define(eq=False)
class _Search:
    """One lookup, from when it is asked for to its answer."""

    host: str
    found: tuple[Address, ...] = ()
    failed: str = ""
    """Why nothing was found, in words."""
    waiting: int = 0
    """The number of those who want the answer."""
    slow: bool = False
    started: trio.Event = attrs.field(factory=trio.Event)
    done: trio.Event = attrs.field(factory=trio.Event)


class _Kept:
    """Answers that are kept for a moment, least recently used out first."""

    def __init__(self) -> None:
        self._by_host: OrderedDict[str, tuple[float, tuple[Address, ...]]] = OrderedDict()
        """The time until which each is kept, and the addresses."""

    def __len__(self) -> int:
        return len(self._by_host)

    def get(self, host: str) -> tuple[Address, ...]:
        """Return the addresses of a host; none if they are not kept."""
        until, found = self._by_host.get(host, (0.0, ()))
        if not found:
            return ()
        if until <= trio.current_time():
            del self._by_host[host]
            return ()
        self._by_host.move_to_end(host)
        return found

    def put(self, host: str, found: tuple[Address, ...]) -> None:
        """Keep what was found, in place of what is kept of the host."""
        self._by_host[host] = (trio.current_time() + _KEPT, found)
        if len(self._by_host) > _MOST_KEPT:
            self._by_host.popitem(last=False)


class Names:
    """Looks up names, and keeps the answers for 30 s, for 1,000 names at most. Failures are not kept.

    A name that is not kept waits at most behind those that stand in line before it, `threads` of which begin in each
    half second, however slow they are; until 56 slow ones are being looked up at the same time. Then `threads` at a
    time are left, slow or not, as long as those last.

    It serves one run of trio after the other, and forgets everything in between.
    """

    def __init__(self, *, resolve: Resolve = _ask_the_system, threads: int = 8) -> None:
        """Make it; no thread is started.

        Args:
            resolve: what looks up a name.
            threads: how many names are looked up at once, the slow ones not counted.
        """
        self._resolve = resolve
        self._threads = threads
        self._run: trio.lowlevel.TrioToken | None = None
        self._forget()

    async def lookup(self, host: str, port: int) -> list[Address]:
        """Find the addresses of a host, in the order in which the system would try them; at least one.

        Args:
            host: a name in ASCII, or an address in any form; what is no name, at no cost of a thread.
            port: goes into the addresses.

        Raises:
            httpx.ConnectError: it could not be found; the message says why.

        Checkpoint only if it has to wait. If cancelled, the lookup goes on as long as others wait for it, and if its
        thread runs already.
        """
        run = trio.lowlevel.current_trio_token()
        if run is not self._run:
            self._run = run
            self._forget()
        found = _literal(host) or self._kept.get(host)
        if not found:
            search = self._searches.get(host) or self._begin(host)
            await self._wait(search)
            if search.failed:
                raise httpx.ConnectError(f"the name {host!r} could not be resolved: {search.failed}")
            found = search.found
        return [address.at(port) for address in found]

    def __repr__(self) -> str:
        """Count the lookups."""
        return f"<Names {len(self._kept)} kept, {self._quick + self._slow} looked up, {len(self._line)} waiting>"

    def _forget(self) -> None:
        self._kept = _Kept()
        self._searches: dict[str, _Search] = {}
        self._line: deque[_Search] = deque()
        self._quick = self._slow = 0

    def _begin(self, host: str) -> _Search:
        search = self._searches[host] = _Search(host)
        self._line.append(search)
        self._start()
        return search

    def _start(self) -> None:
        """Give threads to those in line."""
        while self._line and self._quick < self._threads:
            search = self._line.popleft()
            search.started.set()  # those who wait count its half second from here, not from when it was asked for
            self._quick += 1
            try:
                self._look_up(search)
            except RuntimeError:
                self._settle(search, OSError(errno.EAGAIN, "the system gives no thread for it"))

    def _look_up(self, search: _Search) -> None:
        run = trio.lowlevel.current_trio_token()

        def deliver(answer: _Outcome) -> None:
            # In the thread. It must not raise, and nobody wants the answer if the run is over.
            with suppress(trio.RunFinishedError):
                run.run_sync_soon(self._end, search, answer.unwrap())

        name = f"scrapeengine looks up {search.host}"
        trio.lowlevel.start_thread_soon(partial(_tried, self._resolve, search.host), deliver, name)

    async def _wait(self, search: _Search) -> None:
        search.waiting += 1
        try:
            await search.started.wait()
            with trio.move_on_after(_SLOW):
                await search.done.wait()
                return
            self._take_for_slow(search)
            await search.done.wait()
        finally:
            search.waiting -= 1
            if not search.waiting:
                self._leave_alone(search)

    def _take_for_slow(self, search: _Search) -> None:
        if search.started.is_set() and not (search.done.is_set() or search.slow) and self._slow < _MOST_SLOW:
            search.slow = True
            self._quick -= 1
            self._slow += 1
            self._start()

    def _leave_alone(self, search: _Search) -> None:
        """Do without who waited for it: nobody does any more."""
        if search in self._line:
            self._line.remove(search)
            del self._searches[search.host]
        self._take_for_slow(search)

    def _end(self, search: _Search, found: Sequence[Address] | Exception) -> None:
        """Take the answer of a thread. Runs in the loop, and must not raise."""
        self._settle(search, found)
        self._start()

    def _settle(self, search: _Search, found: Sequence[Address] | Exception) -> None:
        # First it is no more to be joined, then it gives back its thread, and last those who wait look at it.
        del self._searches[search.host]
        if search.slow:
            self._slow -= 1
        else:
            self._quick -= 1
        if isinstance(found, Exception):
            search.failed = _words(found)
        elif not found:
            search.failed = "it has no address"
        else:
            search.found = tuple(dict.fromkeys(found))
            self._kept.put(search.host, search.found)
        search.done.set()


def _literal(host: str) -> tuple[Address, ...]:
    """Return the address that a host is, which needs no lookup; none if it is a name.

    Raises:
        httpx.ConnectError: it is neither.
    """
    address = literal(host)
    if address is not None:
        try:
            return (Address.of(address),)
        except OSError as error:
            raise httpx.ConnectError(f"there is no address {host!r} here: {_words(error)}") from None
    if not 0 < len(host) <= _LONGEST:
        raise httpx.ConnectError(f"a host name of {len(host)} characters; names have at most {_LONGEST}")
    if not all(0 < len(label) <= _LONGEST_LABEL for label in host.removesuffix(".").split(".")):
        what = "between its dots a name has 1 to 63 characters"
        raise httpx.ConnectError(f"the name {host!r} could not be resolved: {what}")
    return ()


def _tried(resolve: Resolve, host: str) -> Sequence[Address] | Exception:
    try:
        return resolve(host)
    except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
        return error


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return of_system(error)
    if isinstance(error, ValueError):
        return "it is no valid name"
    return "the lookup failed, and does not say why"
