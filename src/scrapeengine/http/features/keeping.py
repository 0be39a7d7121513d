"""HTTP state that an engine keeps between requests, and between its runs: cookies, robots.txt, validators."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import trio

from scrapeengine.errors import (
    AddressBlocked,
    CertificateError,
    RequestError,
    RobotsDisallowed,
    RobotsUnavailable,
    StoreError,
    UnsupportedEncoding,
)
from scrapeengine.http.features.cookie_access import Cookies
from scrapeengine.http.features.cookies import Jar
from scrapeengine.http.features.robots import MOST_BYTES, had
from scrapeengine.http.features.robots_cache import RobotsCache
from scrapeengine.http.features.validators import MemoryValidators, asked, fits
from scrapeengine.http.wire.answers import Response
from scrapeengine.http.wire.call import Call
from scrapeengine.http.wire.client_task import ClientTask
from scrapeengine.http.wire.connector import Connector
from scrapeengine.http.wire.exchange import Exchange, first
from scrapeengine.http.wire.requests import redirected
from scrapeengine.model.validators import Validator, Validators

__all__ = ["Keeping"]

_MOST_JARS = 1000
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since"})
_ROBOTS_REDIRECTS = 5
"""RFC 9309, section 2.3.1.2: at least five are followed."""


class Keeping:
    """Cookies by platform, robots.txt by origin, validators by URL. All are bounded, least recently used out first."""

    def __init__(self, validators: Validators | None = None) -> None:
        self.validators = MemoryValidators() if validators is None else validators
        self._robots = RobotsCache()
        self._jars: OrderedDict[str, Jar] = OrderedDict()

    def using(self, validators: Validators) -> Keeping:
        """Return one that has its validators elsewhere, and all else in common with this one."""
        other = copy.copy(self)
        other.validators = validators
        return other

    def cookies(self, platform: str, home: str | None, wall: Callable[[], float]) -> Cookies:
        """Hand out the cookies of a platform.

        Args:
            platform: its name.
            home: its own host, if it has one.
            wall: gives the Unix time.
        """
        return Cookies(lambda: self._jar(platform), wall, home, platform)

    # -- what goes out

    def dressed(self, task: ClientTask, call: Call) -> Call:
        """Return a call with the platform's cookies, if it has none of its own."""
        if any(name == b"cookie" for name, _ in call.headers):
            return call
        value = self._jar(task.platform_name).header(**_place(task, call))
        return call if value is None else call.also({b"cookie": value.encode("latin-1")})

    async def conditional(self, task: ClientTask, call: Call) -> tuple[Call, bool]:
        """Return a call that asks only for what has changed, and whether anything is known of its URL.

        It asks for all if that cannot be told: nothing is known, or of a request with other headers.

        Checkpoint as the validators have it.
        """
        try:
            known = await self.validators.recall(task.platform_name, call.url)
        except StoreError:  # said by who has the store, once for all that asks it
            return call, True
        except Exception as error:  # validators are the program's own; without them all is asked for
            task.log.warning("the validators of a URL could not be had", exc_info=error)
            return call, True
        if known is None:
            return call, False
        # The program's own conditions go before ours.
        if not fits(known, call.headers) or not _CONDITIONS.isdisjoint(dict(call.headers)):
            return call, True
        return call.also({name.lower().encode(): _bytes(text) for name, text in asked(known).items()}), True

    # -- what comes back

    def take_cookies(self, task: ClientTask, call: Call, headers: list[tuple[bytes, bytes]]) -> None:
        """Keep the cookies of an answer: a letter of theirs is a byte of it, whatever it stands for."""
        given = [value.decode("latin-1") for name, value in headers if name.lower() == b"set-cookie"]
        if given:
            self._jar(task.platform_name).take(given, **_place(task, call))

    async def remember(self, platform: str, found: Mapping[str, Validator | None]) -> None:
        """Keep the validators that a task has found. Checkpoint as they have it."""
        await self.validators.remember(platform, found)

    # -- what is allowed

    async def ask_robots(self, task: ClientTask, connector: Connector, call: Call) -> None:
        """Let a call pass if robots.txt does, and take its `Crawl-delay` to heart.

        Raises:
            RobotsDisallowed: it does not.
            RobotsUnavailable: it could not be had within the policy's patience.
            PlatformClosed: the platform is closed for longer than its policy's patience.

        Checkpoint where it has to be fetched: by one task, and the others are parked meanwhile, for it may be parked
        itself and need a slot of theirs. If cancelled, another one that waits for it fetches it.
        """
        origin = f"{call.origin.scheme}://{call.host}"
        known_as = task.platform.robots
        agent = known_as if isinstance(known_as, str) else _agent(call)

        async def fetch() -> tuple[int | None, bytes]:
            while True:
                status, body = await _fetched(task, connector, call)
                if had(status):
                    return status, body
                wait = self._robots.put_off(origin, task.wall(), task.platform.retry.patience)
                if wait is None:
                    return status, body
                again = round(max(wait, task.destination(call.host).closed_for()), 3)  # its Retry-After may be longer
                task.log.warning("robots.txt could not be had", origin=origin, status=status, again_in=again)
                await _put_off(task, call, wait)

        rules = await self._robots.rules(origin, fetch, task.wall, task.apart)
        there, delay = task.destination(call.host), rules.crawl_delay(agent)
        if delay is not None:
            there.slow_down(delay)
        if rules.lacking:
            text = f"robots.txt could not be had, and so forbids all for a minute: {rules.lacking}; wait longer for it "
            where = Exchange(task, connector, call, 1, there).where("build")
            raise RobotsUnavailable(f"{text}with Retry(patience=…)", **where)
        if not rules.allows(call.url, agent):
            raise RobotsDisallowed("robots.txt forbids it", **Exchange(task, connector, call, 1, there).where("build"))

    def _jar(self, platform: str) -> Jar:
        jar = self._jars.setdefault(platform, Jar())
        self._jars.move_to_end(platform)
        if len(self._jars) > _MOST_JARS:
            self._jars.popitem(last=False)
        return jar


def _bytes(text: str) -> bytes:
    """Return the bytes of a validator's text: a letter for each, but in those of a program's own."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _place(task: ClientTask, call: Call) -> dict[str, Any]:
    path = call.target.partition(b"?")[0].decode("ascii")
    return {"scheme": call.origin.scheme, "host": call.origin.host, "path": path, "wall": task.wall()}


def _agent(call: Call) -> str:
    """Return the product token that a `User-Agent` begins with (RFC 9309, section 2.2.1)."""
    agent = next((value for name, value in call.headers if name == b"user-agent"), b"scrapeengine")
    return (agent.decode("latin-1").replace("/", " ").split() or ["scrapeengine"])[0]


async def _put_off(task: ClientTask, call: Call, seconds: float) -> None:
    """Let nobody ask the platform that serves a call's host for some time.

    A host that no platform serves counts on the task's own, which is not to blame, and stays open. So only those wait
    that need this host, as they do anyway, and who fetches for them waits here, parked.
    """
    there = task.destination(call.host)
    if task.is_served(call.host):
        there.refused(trio.current_time(), seconds)  # the next request waits until it opens
    else:
        await there.turn(seconds, cost=1)


async def _fetched(task: ClientTask, connector: Connector, call: Call) -> tuple[int | None, bytes]:
    """Get the robots.txt of a call's origin: its status and its first bytes, or None if no answer stands."""
    kept = [(name, value) for name, value in call.headers if name in {b"user-agent", b"accept-encoding"}]
    headers = ((b"host", call.host.encode("ascii")), *kept)
    onward: Call | None = Call.of("GET", call.origin, call.host, b"/robots.txt", headers)
    answer: Response | None = None
    for _ in range(_ROBOTS_REDIRECTS + 1):
        assert onward is not None
        hop = onward
        # Its own bytes are counted, not the connector's: what is compressed away was not parsed.
        exchange = Exchange(task, connector, hop, 1, task.destination(hop.host), math.inf)
        try:
            answer = await exchange.run(first(MOST_BYTES))
            onward = redirected(hop, answer, exchange.where("body"))
        except (AddressBlocked, CertificateError, UnsupportedEncoding):
            raise  # the request itself would fail like this
        except RequestError:
            return None, b""
        if onward is None:
            return answer.status_code, answer.content
    return None, b""
