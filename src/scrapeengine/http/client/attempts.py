"""Attempts: how a call comes to its answer, each attempt with its redirects, and what goes along with them.

run ──> attempt 1 ──> hop, hop, …  ──> an answer stands
│                                 ^
└─(failed, decide.retry)─> attempt 2, after a while
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import attrs
import httpx
import trio

from scrapeengine.decide.retry import Again, GiveUp, NextStep, next_step
from scrapeengine.decide.retry_after import seconds_of
from scrapeengine.errors import PlatformClosed, ProtocolError, RequestError, StatusError, TooManyRedirects
from scrapeengine.http.client.streaming import StreamedAnswer
from scrapeengine.http.features.keeping import Keeping
from scrapeengine.http.features.validators import fresh_for, offered
from scrapeengine.http.wire.answers import Response
from scrapeengine.http.wire.call import Call
from scrapeengine.http.wire.client_task import ClientTask, Destination
from scrapeengine.http.wire.exchange import Exchange, Reader
from scrapeengine.http.wire.prepared import Means
from scrapeengine.http.wire.requests import redirected
from scrapeengine.model.instrument import RetryDecided
from scrapeengine.model.platform import Platform
from scrapeengine.model.urls import shown
from scrapeengine.model.validators import Validator

__all__ = ["Attempts", "Way"]

_AT_ONCE = Again(0.0)


@attrs.frozen
class Way:
    """The way in which a request is made, beside what it asks for."""

    read: Reader[Response | StreamedAnswer]
    """Reads what is wanted of the answer."""
    conditional: bool = False
    """Whether to ask only for what has changed."""
    most: float | None = None
    """The bytes that the body may have on the wire; None: what the platform's `Caps` say."""
    follow: bool = True
    """Whether redirects are followed."""
    check: bool = True
    """Whether a 4xx or 5xx is raised."""
    cost: int = 1
    """The requests that each attempt and each redirect counts as."""


class Attempts:
    """The attempts of one task's requests, and what its conditional ones have found."""

    __slots__ = ("_found", "_keeping", "_means", "_task", "_to", "fresh_for")

    def __init__(self, task: ClientTask, means: Means, keeping: Keeping) -> None:
        self._task = task
        self._means = means
        self._keeping = keeping
        self._to: Destination | None = None
        """Where the last request went."""
        self.fresh_for = 0.0
        """For how many seconds what conditional requests have found is fresh, as the platform says."""
        self._found: dict[str, Validator | None] | None = None

    @property
    def found(self) -> Mapping[str, Validator | None]:
        """Validators that conditional requests have found, by URL; None: that there are none any more."""
        return self._found or {}

    async def run(self, call: Call, way: Way) -> Response | StreamedAnswer:
        """Try until an answer stands: a good one, or a failure that is not tried again.

        Raises:
            StatusError: the answer is a 4xx or 5xx, and is to be raised.
            PlatformClosed: the platform is closed for longer than its policy's patience.
            RequestError: no answer came, and no retry is left.

        Checkpoint. If cancelled, what carried it is closed.
        """
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
                if isinstance(step, GiveUp) or asked > self._task.platform.retry.patience:
                    return _standing(error, check=way.check)
                earlier, next_try = error, Again(max(step.after, asked))
            except RequestError as error:
                step = self._next_step(call, attempt, error, error, malformed=malformed)
                if isinstance(step, GiveUp):
                    raise
                earlier, next_try = error, step
                malformed = malformed or isinstance(error, ProtocolError)
            if self._task.instruments.retry_decided:
                self._tell_retry(call, attempt, earlier, next_try.after)
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
        policy = task.platform.retry
        step = next_step(
            policy, attempt=attempt, method=call.method, failed=failed, draw=task.draw, malformed=malformed
        )
        if isinstance(step, GiveUp):
            return step
        if not call.renewable:
            error.add_note("not tried again: its body cannot be read anew")
            return GiveUp()
        # The budgets are those of the platform that was asked first, and of the one that a redirect has led to: both
        # have to have one left before either is touched.
        places = {to.name: to for to in (self._to, task.destination(call.host)) if to is not None}.values()
        error.untried = next((words for to in places if (words := to.over_budget())), "")
        if error.untried:
            return GiveUp()
        for to in places:
            to.retry()
        return step

    async def _follow(self, call: Call, way: Way, attempt: int, step: Again) -> Response | StreamedAnswer:
        """Make one attempt, redirects included. Each hop takes its turn on the platform that it goes to."""
        after = step.after
        task = self._task
        platform = task.platform
        spent = 0.0
        history: list[httpx.Response] = []
        follows = way.follow and platform.caps.redirects > 0
        while True:
            dressed, known = call, False
            if platform.robots or platform.cookies or way.conditional:
                dressed, known = await self._dressed(call, way, platform)
            self._to = to = task.destination(call.host)
            connector = self._means.of(platform)[1]
            exchange = Exchange(
                task, connector, dressed, attempt, to, way.most, follows=follows, fresh=step.fresh, cost=way.cost
            )
            answer = await exchange.run(way.read, after)
            spent += exchange.elapsed()
            if platform.cookies:
                self._keeping.take_cookies(task, call, answer.raw_headers)
            if isinstance(answer, StreamedAnswer):
                answer.history = history
                return answer
            answer.took(spent)
            if history:
                answer.history = history
            if answer.status_code >= 300 and answer.status_code != 304:
                where: dict[str, Any] = exchange.where("") | {"seconds": spent}
                # Of the call as it was asked for: cookies and conditions are those of one hop.
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

    async def _dressed(self, call: Call, way: Way, platform: Platform[Any]) -> tuple[Call, bool]:
        """Return a call as it goes out: allowed by robots.txt, with cookies and conditions; is its URL known?"""
        task, keeping = self._task, self._keeping
        if platform.robots:
            await keeping.ask_robots(task, self._means.of(platform)[1], call)
        if platform.cookies:
            call = keeping.dressed(task, call)
        return await keeping.conditional(task, call) if way.conditional and _is_whole(call) else (call, False)

    def _onward(self, call: Call, answer: Response, hops: int, where: dict[str, Any]) -> Call | None:
        """Return the call that a redirect leads to; None if the answer stands.

        Raises:
            RedirectError: it leads to where we do not follow.
        """
        onward = redirected(call, answer, where)
        most = self._task.platform.caps.redirects
        if onward is not None and hops >= most:
            raise TooManyRedirects(f"more than {hops} redirects; allow more with Caps(redirects=…)", **where)
        return onward

    def _find(self, call: Call, answer: Response, *, known: bool) -> None:
        """Keep the validators of a page in mind until the task has ended, and for how long it is fresh.

        A page that has none replaces what is known of the one before it: what was processed last counts.
        """
        if answer.status_code < 300 or answer.status_code == 304:
            self.fresh_for = max(self.fresh_for, fresh_for(answer.raw_headers))
        if answer.status_code == 200 and _is_whole(call):
            found = offered(answer.raw_headers, call.headers)
            if found is not None or known or call.url in self.found:
                self._found = {**(self._found or {}), call.url: found}

    def _tell_retry(self, call: Call, attempt: int, error: RequestError, after: float) -> None:
        task = self._task
        details = RetryDecided(
            time=trio.current_time(),
            event=task.event,
            platform=task.platform_name,
            method=call.method,
            url=shown(call.url),
            attempt=attempt,
            error=error,
            after=after,
        )
        task.instruments.tell(task.instruments.retry_decided, details)


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
