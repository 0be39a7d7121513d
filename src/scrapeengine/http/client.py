"""The HTTP client of one task: turns, deadlines, redirects, retries and errors around one wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

import httpx
import trio

from scrapeengine.decide.retry import GiveUp, NextStep, next_step
from scrapeengine.decide.retry_after import seconds_of
from scrapeengine.errors import AttemptTimeout, PlatformClosed, RequestError, StatusError, TooManyRedirects
from scrapeengine.http import requests
from scrapeengine.http.translate import tells_nothing, translated
from scrapeengine.http.wire import Wire
from scrapeengine.model.event import Event, shown
from scrapeengine.model.platform import Platform

__all__ = ["Seat", "TaskClient"]

_REDIRECTS = 10


class Seat(Protocol):
    """What the client needs of its task."""

    @property
    def event(self) -> Event:
        """The event."""
        ...

    @property
    def platform(self) -> str:
        """The platform's name."""
        ...

    @property
    def policy(self) -> Platform[Any]:
        """The platform's policy as it is now."""
        ...

    async def turn(self, after: float = 0.0) -> None:
        """Wait until `after` seconds have passed and a request may start; it must be sent without a checkpoint."""
        ...

    def refused(self, sent: float, after: float | None) -> None:
        """Take note that the platform asks not to be called."""
        ...

    def draw(self) -> float:
        """Return a random number from 0 to 1."""
        ...

    def wall(self, now: float) -> float:
        """Turn a trio time into Unix time."""
        ...


class TaskClient:
    """The HTTP client of one task. Implements `scrapeengine.model.task.Http`, and is documented there."""

    def __init__(self, seat: Seat, wire: Wire) -> None:
        self._seat = seat
        self._wire = wire
        self._one_at_a_time = trio.Lock()
        """A task holds one slot, so it has one request in flight."""

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> httpx.Response:
        """Make a GET request."""
        return await self.request("GET", url, params=params, headers=headers, check=check)

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | str | None = None,
        data: Mapping[str, Any] | None = None,
        json: Any = None,
        check: bool = True,
    ) -> httpx.Response:
        """Make a request and read its whole answer."""
        seat = self._seat
        body = {"content": content, "data": data, "json": json}
        request = requests.build(
            seat.policy, seat.event, method, url, platform=seat.platform, params=params, headers=headers, **body
        )
        async with self._one_at_a_time:
            return await self._attempts(request, check=check)

    async def _attempts(self, request: httpx.Request, *, check: bool) -> httpx.Response:
        """Try until an answer stands: a good one, or a failure that is not tried again."""
        attempt, after = 1, 0.0
        earlier: RequestError | None = None
        while True:
            try:
                response = await self._follow(request, attempt, after)
                if response.status_code < 400:
                    return response
                raise self._status_error(response, attempt)
            except PlatformClosed as closed:
                raise closed from earlier
            except RequestError as error:
                step = self._next_step(request, attempt, error)
                if isinstance(step, GiveUp):
                    if isinstance(error, StatusError) and not check:
                        return error.response
                    raise
                earlier, attempt, after = error, attempt + 1, step.after

    def _next_step(self, request: httpx.Request, attempt: int, error: RequestError) -> NextStep:
        failed = error.status if isinstance(error, StatusError) else error
        policy = self._seat.policy.retry
        return next_step(policy, attempt=attempt, method=request.method, failed=failed, draw=self._seat.draw)

    async def _follow(self, request: httpx.Request, attempt: int, after: float) -> httpx.Response:
        """Make one attempt, redirects included. Each hop takes its turn."""
        elapsed, hops = timedelta(), 0
        while True:
            await self._seat.turn(after)
            after = 0.0
            response = await self._exchange(request, attempt)
            elapsed += response.elapsed
            where = self._where(request, attempt, elapsed.total_seconds())
            onward = requests.redirected(request, response, where)
            if onward is None:
                response.elapsed = elapsed
                return response
            if hops == _REDIRECTS:
                raise TooManyRedirects(f"more than {_REDIRECTS} redirects", **where)
            request, hops = onward, hops + 1

    async def _exchange(self, request: httpx.Request, attempt: int) -> httpx.Response:
        """Send one request and read its answer, in the time that an attempt has."""
        sent = trio.current_time()
        limit = self._seat.policy.timeout.attempt
        with trio.move_on_after(limit):
            try:
                response = await self._carry(request, sent)
            except Exception as error:
                ours = translated(error, **self._where(request, attempt, trio.current_time() - sent))
                if tells_nothing(error):
                    raise ours from error
                raise ours from None
            response.elapsed = timedelta(seconds=trio.current_time() - sent)
            return response
        raise AttemptTimeout(f"no whole answer in {limit:g} s", **self._where(request, attempt, limit))

    async def _carry(self, request: httpx.Request, sent: float) -> httpx.Response:
        """Send one request, heed the head of its answer, whatever becomes of the rest, and read its body."""
        response = await self._wire.send(request)
        try:
            self._heed(response, sent)
            assert isinstance(response.stream, httpx.AsyncByteStream)
            body = b"".join([part async for part in response.stream])
        finally:
            await response.aclose()
        # Not `response.aread()`: where a body cannot be decoded, that leaves a generator to the garbage collector.
        whole = httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=httpx.ByteStream(body),
            request=request,
            extensions=response.extensions,
        )
        whole.read()
        return whole

    def _heed(self, response: httpx.Response, sent: float) -> None:
        """Close the platform if it says that it is asked too much."""
        asked = response.headers.get("Retry-After")
        if response.status_code == 429 or (response.status_code == 503 and asked is not None):
            wall = self._seat.wall(trio.current_time())
            self._seat.refused(sent, seconds_of(asked, response.headers.get("Date"), wall))

    def _status_error(self, response: httpx.Response, attempt: int) -> StatusError:
        return StatusError(response, **self._where(response.request, attempt, response.elapsed.total_seconds()))

    def _where(self, request: httpx.Request, attempt: int, seconds: float) -> dict[str, Any]:
        return {
            "platform": self._seat.platform,
            "method": request.method,
            "url": shown(str(request.url)),
            "attempt": attempt,
            "seconds": seconds,
        }
