"""The HTTP client of one task: what its scraper calls, one request at a time.

task.http.get ──> call ──> turnstile ──> attempts ──> exchange ──> connector ──> connection
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Unpack

import httpx

from scrapeengine.http.client.attempts import Attempts, Way
from scrapeengine.http.client.streaming import StreamedAnswer, streamed
from scrapeengine.http.client.turnstile import Turnstile
from scrapeengine.http.features.keeping import Keeping
from scrapeengine.http.wire.answers import Response
from scrapeengine.http.wire.call import Call
from scrapeengine.http.wire.client_task import ClientTask
from scrapeengine.http.wire.exchange import whole
from scrapeengine.http.wire.prepared import Means
from scrapeengine.http.wire.uploads import CallersError
from scrapeengine.model.checks import number
from scrapeengine.model.checks import whole as whole_number
from scrapeengine.model.task import GetOptions, HeadOptions, PostOptions, RequestOptions, StreamOptions
from scrapeengine.model.validators import Validator

__all__ = ["TaskClient"]

_WHOLE = Way(whole)
_BUILDS = ("params", "headers", "content", "data", "files", "json")
"""The options that say what is asked for; the others say how."""
_FREE = "; it is how many requests it counts as in the platform's rate, and there is none for free"


class TaskClient:
    """The HTTP client of one task. Implements `scrapeengine.model.task.Http`, and is documented there."""

    __slots__ = ("_attempts", "_means", "_task", "_turnstile")

    def __init__(self, task: ClientTask, means: Means, keeping: Keeping) -> None:
        """Make it.

        Args:
            task: the task.
            means: makes and carries the requests of a platform.
            keeping: what the engine keeps between runs.
        """
        self._task = task
        self._means = means
        self._attempts = Attempts(task, means, keeping)
        self._turnstile = Turnstile()

    # These four are no coroutine functions, and return coroutines: a frame less for each request.

    def get(self, url: str | httpx.URL, **options: Unpack[GetOptions]) -> Coroutine[Any, Any, Response]:
        """Make a GET request."""
        if not options:
            return self._read("GET", url, None, _WHOLE)
        return self._read("GET", url, *_parted("get", options, GetOptions))

    def head(self, url: str | httpx.URL, **options: Unpack[HeadOptions]) -> Coroutine[Any, Any, Response]:
        """Make a HEAD request."""
        return self._read("HEAD", url, *_parted("head", options, HeadOptions))

    def post(self, url: str | httpx.URL, **options: Unpack[PostOptions]) -> Coroutine[Any, Any, Response]:
        """Make a POST request."""
        return self._read("POST", url, *_parted("post", options, PostOptions))

    def request(
        self, method: str, url: str | httpx.URL, **options: Unpack[RequestOptions]
    ) -> Coroutine[Any, Any, Response]:
        """Make a request and read its whole answer."""
        return self._read(method, url, *_parted("request", options, RequestOptions))

    @asynccontextmanager
    async def stream(
        self, method: str, url: str | httpx.URL, **options: Unpack[StreamOptions]
    ) -> AsyncIterator[StreamedAnswer]:
        """Make a request, and hand out its body as it comes."""
        given, way = _parted("stream", options, StreamOptions)
        call = self._call(method, url, given)
        if not self._turnstile.pass_now():
            await self._turnstile.wait()
        self._turnstile.stay()
        try:
            got = await self._begun(call, way)
            answer = got if isinstance(got, StreamedAnswer) else StreamedAnswer(got)
            try:
                yield answer
            finally:
                await answer.aclose()
        finally:
            self._turnstile.leave()

    @property
    def found(self) -> Mapping[str, Validator | None]:
        """Validators that conditional requests have found, by URL."""
        return self._attempts.found

    @property
    def fresh_for(self) -> float:
        """For how many seconds, the platform says, what conditional requests have found is fresh."""
        return self._attempts.fresh_for

    async def _read(self, method: str, url: str | httpx.URL, given: dict[str, Any] | None, way: Way) -> Response:
        """Make a request and read its whole answer."""
        call = self._call(method, url, given)
        if not self._turnstile.pass_now():
            await self._turnstile.wait()
        try:
            answer = await self._attempts.run(call, way)
        except CallersError as error:
            callers = error
        else:
            assert isinstance(answer, Response)
            return answer
        finally:
            self._turnstile.leave()
        # Outside of the handler, so that it leaves as it was raised, with nothing of ours as its context.
        raise callers.taken()

    async def _begun(self, call: Call, way: Way) -> Response | StreamedAnswer:
        """Make a request whose answer's body is read later."""
        try:
            return await self._attempts.run(call, way)
        except CallersError as error:
            callers = error
        raise callers.taken()

    def _call(self, method: str, url: str | httpx.URL, given: dict[str, Any] | None) -> Call:
        """Make the call, from what is prepared if nothing is asked for but the URL."""
        task = self._task
        prepared, _ = self._means.of(task.platform)
        if given is None and method == "GET" and isinstance(url, str):
            call = prepared.plain(task.event, url)
            if call is not None:
                return call
        return prepared.call(task.platform_name, task.event, method, url, **(given or {}))

    def __repr__(self) -> str:
        """Name the platform."""
        return f"<TaskClient {self._task.platform_name!r}>"


def _parted(function: str, options: Mapping[str, Any], known: type) -> tuple[dict[str, Any] | None, Way]:
    """Part what is asked for, beside the URL (None: nothing), from how it is asked.

    Raises:
        TypeError: there is no such option, or one is of the wrong type.
    """
    for name in options:
        if name not in known.__annotations__:
            names = ", ".join(known.__annotations__)
            raise TypeError(f"task.http.{function} takes no {name}=…; it takes {names}")
    cap = options.get("cap")
    if cap is not None:
        number(cap, "stream(cap=…)", endless=True)
    cost = whole_number(options.get("cost", 1), f"task.http.{function}(cost=…)", least=1, instead=_FREE)
    way = Way(
        streamed(cap) if function == "stream" else whole,
        conditional=options.get("conditional", False),
        most=cap,
        follow=options.get("follow_redirects", True),
        check=options.get("check", True),
        cost=cost,
    )
    return {name: options[name] for name in _BUILDS if name in options} or None, way
