"""The HTTP client of one task: attempts, redirects, and what goes with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
import httpx

from scrapeengine.decide.retry import Again, GiveUp, NextStep, next_step
from scrapeengine.decide.retry_after import seconds_of
from scrapeengine.errors import PlatformClosed, ProtocolError, RequestError, StatusError, TooManyRedirects
from scrapeengine.http.client.streaming import StreamedAnswer, streamed
from scrapeengine.http.client.turnstile import Turnstile
from scrapeengine.http.features.keeping import Keeping
from scrapeengine.http.features.validators import fresh_for, offered
from scrapeengine.http.wire.answers import Response
from scrapeengine.http.wire.call import Call
from scrapeengine.http.wire.client_task import ClientTask, Destination
from scrapeengine.http.wire.connector import Connector
from scrapeengine.http.wire.exchange import Exchange, Reader, whole
from scrapeengine.http.wire.prepared import Prepared
from scrapeengine.http.wire.requests import redirected
from scrapeengine.http.wire.uploads import CallersError
from scrapeengine.model.checks import number
from scrapeengine.model.platform import Platform
from scrapeengine.model.task import Content, Files, Form, Params, RequestHeaders
from scrapeengine.model.validators import Validator

__all__ = ["TaskClient"]


@attrs.frozen
class _Way:
    """How a request is made, beside what it asks for."""

    read: Reader[Response | StreamedAnswer]
    """Reads what is wanted of the answer."""
    conditional: bool = False
    """Whether to ask only for what has changed."""
    most: float | None = None
    """The bytes that the body may have on the wire; None: what the platform's `Caps` say."""
    follow: bool = True
    """Whether redirects are followed."""


_WHOLE = _Way(whole)
_UNCHANGED = _Way(whole, conditional=True)
_AT_ONCE = Again(0.0)
_Given = dict[str, Any] | None
"""What a request has beside its method and URL, as `requests.build` takes it; None: nothing."""


class TaskClient:
    """The HTTP client of one task. Implements `scrapeengine.model.task.Http`, and is documented there."""

    def __init__(
        self, task: ClientTask, means: Callable[[Platform[Any]], tuple[Prepared, Connector]], keeping: Keeping
    ) -> None:
        """Make it.

        Args:
            task: the task.
            means: returns what makes and what carries the requests of a policy.
            keeping: what the engine keeps between runs.
        """
        self._task = task
        self._means = means
        self._keeping = keeping
        self._turnstile = Turnstile()
        self._to: Destination | None = None
        """Where the last request went."""
        self.fresh_for = 0.0
        """For how many seconds what conditional requests have found is fresh, as the platform says."""
        self._found: dict[str, Validator | None] | None = None
        """What conditional requests have found, by URL; None: that there is nothing any more."""

    async def get(
        self,
        url: str | httpx.URL,
        *,
        params: Params | None = None,
        headers: RequestHeaders | None = None,
        check: bool = True,
        conditional: bool = False,
        follow_redirects: bool = True,
    ) -> httpx.Response:
        """Make a GET request."""
        given = None if params is None and headers is None else {"params": params, "headers": headers}
        way = (_UNCHANGED if conditional else _WHOLE) if follow_redirects else _Way(whole, conditional, follow=False)
        return await self._read("GET", url, given, way, check=check)

    async def head(
        self,
        url: str | httpx.URL,
        *,
        params: Params | None = None,
        headers: RequestHeaders | None = None,
        check: bool = True,
        follow_redirects: bool = True,
    ) -> httpx.Response:
        """Make a HEAD request."""
        way = _WHOLE if follow_redirects else _Way(whole, follow=False)
        return await self._read("HEAD", url, {"params": params, "headers": headers}, way, check=check)

    async def post(
        self,
        url: str | httpx.URL,
        *,
        params: Params | None = None,
        headers: RequestHeaders | None = None,
        content: Content | None = None,
        data: Form | None = None,
        files: Files | None = None,
        json: Any = None,
        check: bool = True,
        follow_redirects: bool = True,
    ) -> httpx.Response:
        """Make a POST request."""
        given = {"params": params, "headers": headers, "content": content, "data": data, "files": files, "json": json}
        way = _WHOLE if follow_redirects else _Way(whole, follow=False)
        return await self._read("POST", url, given, way, check=check)

    async def request(
        self,
        method: str,
        url: str | httpx.URL,
        *,
        params: Params | None = None,
        headers: RequestHeaders | None = None,
        content: Content | None = None,
        data: Form | None = None,
        files: Files | None = None,
        json: Any = None,
        check: bool = True,
        conditional: bool = False,
        follow_redirects: bool = True,
    ) -> httpx.Response:
        """Make a request and read its whole answer."""
        given = {"params": params, "headers": headers, "content": content, "data": data, "files": files, "json": json}
        return await self._read(method, url, given, _Way(whole, conditional, follow=follow_redirects), check=check)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str | httpx.URL,
        *,
        params: Params | None = None,
        headers: RequestHeaders | None = None,
        content: Content | None = None,
        data: Form | None = None,
        files: Files | None = None,
        json: Any = None,
        check: bool = True,
        cap: float | None = None,
        follow_redirects: bool = True,
    ) -> AsyncIterator[StreamedAnswer]:
        """Make a request, and hand out its body as it comes."""
        given = {"params": params, "headers": headers, "content": content, "data": data, "files": files, "json": json}
        if cap is not None:
            number(cap, "stream(cap=…)", endless=True)
        call = self._call(method, url, given)
        if not self._turnstile.pass_now():
            await self._turnstile.wait()
        try:
            got = await self._begun(call, _Way(streamed(cap), most=cap, follow=follow_redirects), check=check)
            answer = got if isinstance(got, StreamedAnswer) else StreamedAnswer(got)
            try:
                yield answer
            finally:
                await answer.aclose()
        finally:
            self._turnstile.leave()

    @property
    def found(self) -> Mapping[str, Validator | None]:
        """What conditional requests have found, by URL."""
        return self._found or {}

    async def _read(self, method: str, url: str | httpx.URL, given: _Given, way: _Way, *, check: bool) -> Response:
        """Make a request and read its whole answer."""
        call = self._call(method, url, given)
        if not self._turnstile.pass_now():
            await self._turnstile.wait()
        try:
            answer = await self._attempts(call, way, check=check)
        except CallersError as error:
            callers = error
        else:
            assert isinstance(answer, Response)
            return answer
        finally:
            self._turnstile.leave()
        raise callers.taken()

    async def _begun(self, call: Call, way: _Way, *, check: bool) -> Response | StreamedAnswer:
        """Make a request whose answer's body is read later."""
        try:
            return await self._attempts(call, way, check=check)
        except CallersError as error:
            callers = error
        raise callers.taken()

    def _call(self, method: str, url: str | httpx.URL, given: _Given) -> Call:
        """Make the call, from what is prepared if nothing is asked for but the URL."""
        task = self._task
        prepared, _ = self._means(task.policy)
        if given is None and isinstance(url, str):
            call = prepared.plain(task.event, url)
            if call is not None:
                return call
        return prepared.call(task.platform, task.event, method, url, **(given or {}))

    async def _attempts(self, call: Call, way: _Way, *, check: bool) -> Response | StreamedAnswer:
        """Try until an answer stands: a good one, or a failure that is not tried again."""
        attempt, next_try = 1, _AT_ONCE
        earlier: RequestError | None = None
        malformed = False
        while True:
            try:
                return await self._follow(call, way, attempt, next_try)
            except PlatformClosed as closed:
                raise closed from earlier
            except StatusError as error:
                asked = self._asked_for(error.response)
                step = self._next_step(call, attempt, error, error.status, malformed=malformed)
                if isinstance(step, GiveUp) or asked > self._task.policy.retry.patience:
                    return _standing(error, check=check)
                earlier, next_try = error, Again(max(step.after, asked))
            except RequestError as error:
                step = self._next_step(call, attempt, error, error, malformed=malformed)
                if isinstance(step, GiveUp):
                    raise
                earlier, next_try = error, step
                malformed = malformed or isinstance(error, ProtocolError)
            attempt += 1

    def _asked_for(self, response: httpx.Response) -> float:
        """Return the seconds that a failed answer asks to wait. A 429 or 503 has closed the platform for as long."""
        if response.status_code in {429, 503}:
            return 0.0
        task = self._task
        wall, date = task.wall(), response.headers.get("date")
        waits = (seconds_of(value, date, wall) for value in response.headers.get_list("retry-after"))
        return max((wait for wait in waits if wait is not None), default=0.0)

    def _next_step(
        self, call: Call, attempt: int, error: RequestError, failed: int | Exception, *, malformed: bool
    ) -> NextStep:
        """Decide what follows a failed attempt; a retry is taken out of the platform's budget."""
        task = self._task
        policy = task.policy.retry
        step = next_step(
            policy, attempt=attempt, method=call.method, failed=failed, draw=task.draw, malformed=malformed
        )
        # Of the platform that was asked first, and of the one that a redirect has led to.
        if isinstance(step, Again):
            if not call.renewable:
                error.add_note("not tried again: its body cannot be read anew")
                return GiveUp()
            places = {to.name: to for to in (self._to, task.destination(call.host)) if to is not None}.values()
            error.untried = next((words for to in places if (words := to.over_budget())), "")
            if error.untried:
                return GiveUp()
            for to in places:
                to.retry()
        return step

    async def _follow(self, call: Call, way: _Way, attempt: int, step: Again) -> Response | StreamedAnswer:
        """Make one attempt, redirects included. Each hop takes its turn on the platform that it goes to."""
        after = step.after
        task = self._task
        policy = task.policy
        spent = 0.0
        history: list[httpx.Response] = []
        follows = way.follow and policy.caps.redirects > 0
        while True:
            dressed, known = call, False
            if policy.robots or policy.cookies or way.conditional:
                dressed, known = await self._dressed(call, way, policy)
            self._to = to = task.destination(call.host)
            connector = self._means(policy)[1]
            exchange = Exchange(task, connector, dressed, attempt, to, way.most, follows=follows, fresh=step.fresh)
            answer = await exchange.run(way.read, after)
            spent += exchange.elapsed()
            if policy.cookies:
                self._keeping.take_cookies(task, call, answer.raw_headers)
            if isinstance(answer, StreamedAnswer):
                answer.history = history
                return answer
            answer.took(spent)
            if history:
                answer.history = history
            if answer.status_code >= 300 and answer.status_code != 304:
                where: dict[str, Any] = exchange.where("") | {"seconds": spent}
                onward = self._onward(call, answer, len(history), where) if follows else None
                if onward is not None:
                    history = [*history, answer]
                    call, after = onward, 0.0
                    continue
                if answer.status_code >= 400:
                    raise StatusError(answer, **where)
            if way.conditional:
                self._find(dressed, answer, known=known)
            return answer

    async def _dressed(self, call: Call, way: _Way, policy: Platform[Any]) -> tuple[Call, bool]:
        """Return a call as it goes out: allowed by robots.txt, with cookies and conditions; is its URL known?"""
        task, keeping = self._task, self._keeping
        if policy.robots:
            await keeping.ask_robots(task, self._means(policy)[1], call)
        if policy.cookies:
            call = keeping.dressed(task, call)
        return await keeping.conditional(task, call) if way.conditional and _is_whole(call) else (call, False)

    def _onward(self, call: Call, answer: Response, hops: int, where: dict[str, Any]) -> Call | None:
        """Return the call that a redirect leads to; None if the answer stands.

        Raises:
            RedirectError: it leads to where we do not follow.
        """
        onward = redirected(call, answer, where)
        most = self._task.policy.caps.redirects
        if onward is not None and hops >= most:
            raise TooManyRedirects(f"more than {hops} redirects; allow more with Caps(redirects=…)", **where)
        return onward

    def _find(self, call: Call, answer: Response, *, known: bool) -> None:
        """Keep the validators of a page in mind until the task has ended, and for how long it is fresh.

        A page that has none replaces what is known of the one before it: what was processed last counts.
        """
        if answer.status_code < 300 or answer.status_code == 304:
            self.fresh_for = max(self.fresh_for, fresh_for(answer.headers))
        if answer.status_code == 200 and _is_whole(call):
            found = offered(answer.headers, call.headers)
            if found is not None or known or call.url in self.found:
                self._found = {**(self._found or {}), call.url: found}


def _is_whole(call: Call) -> bool:
    """Say whether a call asks for a whole page: what others get tells nothing of whether that has changed."""
    return call.method == "GET" and call.first(b"range") is None


def _standing(error: StatusError, *, check: bool) -> Response:
    """Return the answer behind a bad status, or raise it. One whose body cannot be read is no answer to be returned."""
    answer = cast("Response", error.response)
    if answer.unreadable is not None:
        if not check:
            raise answer.unreadable from None
        error.add_note(f"its body is not there: {answer.unreadable.args[0]}")
    if check:
        raise error
    return answer
