"""The HTTP client of one task: attempts, redirects, and what goes with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import trio

from scrapeengine.decide.retry import Again, GiveUp, NextStep, next_step
from scrapeengine.decide.retry_after import seconds_of
from scrapeengine.errors import PlatformClosed, RequestError, StatusError, TooManyRedirects
from scrapeengine.http.answers import Answer
from scrapeengine.http.call import Call, Prepared
from scrapeengine.http.exchange import Exchange, Reader, whole
from scrapeengine.http.keeping import Keeping
from scrapeengine.http.requests import redirected
from scrapeengine.http.seat import Seat
from scrapeengine.http.streaming import StreamedAnswer, streamed
from scrapeengine.http.turnstile import Turnstile
from scrapeengine.http.validators import fresh_for, offered
from scrapeengine.http.wire import Wire
from scrapeengine.model.checks import number
from scrapeengine.model.platform import Platform
from scrapeengine.model.validators import Validator

__all__ = ["TaskClient"]


@attrs.frozen
class _Way:
    """How a request is made, beside what it asks for."""

    read: Reader[Answer] | Reader[Answer | StreamedAnswer]
    """Reads what is wanted of the answer."""
    conditional: bool = False
    """Whether to ask only for what has changed."""
    most: float | None = None
    """The bytes that the body may have on the wire; None: what the platform's `Caps` say."""


_WHOLE = _Way(whole)
_CONDITIONAL = _Way(whole, conditional=True)


class TaskClient:
    """The HTTP client of one task. Implements `scrapeengine.model.task.Http`, and is documented there."""

    def __init__(self, seat: Seat, means: Callable[[Platform[Any]], tuple[Prepared, Wire]], keeping: Keeping) -> None:
        """Make it.

        Args:
            seat: the task.
            means: returns what makes and what carries the requests of a policy.
            keeping: what the engine keeps between runs.
        """
        self._seat = seat
        self._means = means
        self._keeping = keeping
        self._turnstile = Turnstile()
        self._at: str | None = None
        """The platform that the last request went to; None: the task's own."""
        self.fresh_for = 0.0
        """For how many seconds what conditional requests have found is fresh, as the platform says."""
        self._found: dict[str, Validator] | None = None
        """What conditional requests have found, by URL."""

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        check: bool = True,
        conditional: bool = False,
    ) -> httpx.Response:
        """Make a GET request."""
        return await self.request("GET", url, params=params, headers=headers, check=check, conditional=conditional)

    async def head(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> httpx.Response:
        """Make a HEAD request."""
        return await self.request("HEAD", url, params=params, headers=headers, check=check)

    async def post(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | str | None = None,
        data: Mapping[str, Any] | None = None,
        json: Any = None,
        check: bool = True,
    ) -> httpx.Response:
        """Make a POST request."""
        return await self.request(
            "POST", url, params=params, headers=headers, content=content, data=data, json=json, check=check
        )

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
        conditional: bool = False,
    ) -> httpx.Response:
        """Make a request and read its whole answer."""
        call = self._call(method, url, params=params, headers=headers, content=content, data=data, json=json)
        if not self._turnstile.pass_now():
            await self._turnstile.wait()
        try:
            answer = await self._attempts(call, _CONDITIONAL if conditional else _WHOLE, check=check)
        finally:
            self._turnstile.leave()
        assert isinstance(answer, httpx.Response)
        return answer

    @asynccontextmanager
    async def stream(
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
        cap: float | None = None,
    ) -> AsyncIterator[StreamedAnswer]:
        """Make a request, and hand out its body as it comes."""
        call = self._call(method, url, params=params, headers=headers, content=content, data=data, json=json)
        if cap is not None:
            number(cap, "stream(cap=…)", endless=True)
        if not self._turnstile.pass_now():
            await self._turnstile.wait()
        try:
            got = await self._attempts(call, _Way(streamed(cap), most=cap), check=check)
            answer = got if isinstance(got, StreamedAnswer) else StreamedAnswer(None, None, got)
            try:
                yield answer
            finally:
                await answer.aclose()
        finally:
            self._turnstile.leave()

    @property
    def found(self) -> Mapping[str, Validator]:
        """What conditional requests have found, by URL."""
        return self._found or {}

    def _call(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        content: bytes | str | None,
        data: Mapping[str, Any] | None,
        json: Any,
    ) -> Call:
        """Make the call, from what is prepared if nothing is asked for but the URL."""
        seat = self._seat
        prepared, _ = self._means(seat.policy)
        bare = params is None and headers is None and content is None and data is None and json is None
        call = prepared.plain(seat.event, url) if bare and method == "GET" else None
        if call is None:
            given = {"params": params, "headers": headers, "content": content, "data": data, "json": json}
            call = prepared.call(seat.platform, seat.event, method, url, **given)
        return call

    async def _attempts(self, call: Call, way: _Way, *, check: bool) -> httpx.Response | StreamedAnswer:
        """Try until an answer stands: a good one, or a failure that is not tried again."""
        attempt, after = 1, 0.0
        earlier: RequestError | None = None
        while True:
            try:
                return await self._follow(call, way, attempt, after)
            except PlatformClosed as closed:
                raise closed from earlier
            except StatusError as error:
                asked = self._asked_for(error.response)
                step = self._next_step(call, attempt, error, error.status)
                if isinstance(step, GiveUp) or asked > self._seat.policy.retry.patience:
                    if check:
                        raise
                    return error.response
                earlier, after = error, max(step.after, asked)
            except RequestError as error:
                step = self._next_step(call, attempt, error, error)
                if isinstance(step, GiveUp):
                    raise
                earlier, after = error, step.after
            attempt += 1

    def _asked_for(self, response: httpx.Response) -> float:
        """Return the seconds that a failed answer asks to wait. A 429 or 503 has closed the platform for as long."""
        if response.status_code in {429, 503}:
            return 0.0
        seat = self._seat
        wall, date = seat.wall(trio.current_time()), response.headers.get("date")
        waits = (seconds_of(value, date, wall) for value in response.headers.get_list("retry-after"))
        return max((wait for wait in waits if wait is not None), default=0.0)

    def _next_step(self, call: Call, attempt: int, error: RequestError, failed: int | Exception) -> NextStep:
        """Decide what follows a failed attempt; a retry is taken out of the platform's budget."""
        seat = self._seat
        policy = seat.policy.retry
        step = next_step(policy, attempt=attempt, method=call.method, failed=failed, draw=seat.draw)
        # Of the platform that was asked first, and of the one that a redirect has led to.
        if isinstance(step, Again):
            error.untried = seat.over_budget({self._at: None, seat.place(call.host): None})
            if error.untried:
                return GiveUp()
        return step

    async def _follow(self, call: Call, way: _Way, attempt: int, after: float) -> Answer | StreamedAnswer:
        """Make one attempt, redirects included. Each hop takes its turn on the platform that it goes to."""
        seat = self._seat
        policy = seat.policy
        spent, hops = 0.0, 0
        while True:
            dressed = call
            if policy.robots or policy.cookies or way.conditional:
                dressed = await self._dressed(call, way, policy)
            exchange = Exchange(seat, self._means(policy)[1], dressed, attempt, seat.place(call.host), way.most)
            self._at = exchange.at
            answer = await exchange.run(way.read, after)
            spent += exchange.elapsed()
            if policy.cookies:
                self._keeping.take_cookies(seat, call, answer.headers)
            if isinstance(answer, StreamedAnswer):
                return answer
            answer.took(spent)
            if answer.status_code >= 300 and answer.status_code != 304:
                onward = self._onward(call, answer, hops, exchange.where() | {"phase": "", "seconds": spent})
                if onward is not None:
                    call, after, hops = onward, 0.0, hops + 1
                    continue
            if way.conditional:
                self._find(call, answer)
            return answer

    async def _dressed(self, call: Call, way: _Way, policy: Platform[Any]) -> Call:
        """Return a call as it goes out: allowed by robots.txt, with cookies and conditions."""
        seat, keeping = self._seat, self._keeping
        prepared, wire = self._means(policy)
        if policy.robots:
            await keeping.ask_robots(seat, wire, prepared, call)
        if policy.cookies:
            call = keeping.dressed(seat, call)
        return await keeping.conditional(seat, call) if way.conditional else call

    def _onward(self, call: Call, answer: Answer, hops: int, where: dict[str, Any]) -> Call | None:
        """Return the call that a redirect leads to; None if the answer stands.

        Raises:
            StatusError: it is a 4xx or 5xx.
            RedirectError: it leads to where we do not follow.
        """
        onward = redirected(call.request, answer, where)
        if onward is None:
            if answer.status_code >= 400:
                raise StatusError(answer, **where)
            return None
        policy = self._seat.policy
        if hops == policy.caps.redirects:
            raise TooManyRedirects(f"more than {hops} redirects; allow more with Caps(redirects=…)", **where)
        return self._means(policy)[0].adopt(self._seat.platform, onward)

    def _find(self, call: Call, answer: Answer) -> None:
        """Keep the validators of a good answer in mind until the task has ended, and for how long it is fresh."""
        if answer.status_code < 300 or answer.status_code == 304:
            self.fresh_for = max(self.fresh_for, fresh_for(answer.headers))
        found = offered(answer.headers)
        if found is not None and answer.status_code < 300:
            self._found = {**(self._found or {}), call.url: found}
