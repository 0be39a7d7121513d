"""The task as its scraper sees it. These are the shapes; `tasks` and the HTTP client fill them."""

from __future__ import annotations

from collections.abc import AsyncIterable, Coroutine, Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias, TypedDict, TypeVar, Unpack

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    import httpx

    from scrapeengine.model.event import Event

__all__ = [
    "Content",
    "Files",
    "Form",
    "GetOptions",
    "HeadOptions",
    "Http",
    "Params",
    "PostOptions",
    "RequestHeaders",
    "RequestOptions",
    "StreamOptions",
    "Streamed",
    "Task",
]

R = TypeVar("R")

Params: TypeAlias = Mapping[str, Any] | Sequence[tuple[str, Any]]
"""Additions to a query: texts, numbers, True and False; a list is one pair for each of its values."""
RequestHeaders: TypeAlias = Mapping[str, str] | Mapping[str, bytes] | Sequence[tuple[str | bytes, str | bytes]]
"""Headers. Those of a mapping stand once; in pairs a name may stand several times. Texts are ASCII; else give bytes."""
Content: TypeAlias = bytes | str | IO[bytes] | AsyncIterable[bytes] | Iterable[bytes]
"""A body as it is: bytes, a text (as UTF-8), a file that is open in binary mode, or parts as they come."""
Form: TypeAlias = Mapping[str, Any] | Sequence[tuple[str, Any]]
"""The fields of a form."""
Files: TypeAlias = Mapping[str, Any] | Sequence[tuple[str, Any]]
"""Files of a form by their fields: bytes, a text, a file in binary mode, or (filename, one of these, content type)."""


class Streamed(Protocol):
    """The answer to a streamed request: its head is there, its body comes as it is read, once."""

    @property
    def status_code(self) -> int:
        """The status."""
        ...

    @property
    def headers(self) -> httpx.Headers:
        """The headers."""
        ...

    @property
    def url(self) -> httpx.URL:
        """Where the answer came from, redirects followed; without user and password."""
        ...

    @property
    def history(self) -> list[httpx.Response]:
        """The redirects that were followed, in their order; their bodies were not read."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the body, decoded, in parts of at most about 64 KiB.

        Raises:
            BodyTooLarge: the cap is exceeded.
            TransportError: the body broke off, could not be decoded, or nothing came for `Timeout.attempt` seconds.
        """
        ...

    async def save(self, path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> int:
        """Write the body to a file, which is there whole or not at all; others cannot read it (mode 0600).

        The name may be any that the file system takes. A symbolic link of that name is replaced, and not followed.

        Returns:
            How many bytes were written.

        Raises:
            OSError: the file cannot be written. What can be seen of that before the body is read is raised before.
            RuntimeError: a part was read already, or the stream was left; the file is as it was.
            RequestError: as for the iterator.

        Checkpoint. If cancelled, or if it fails, an earlier file of that name is as it was, and nothing is left.
        """
        ...


class HeadOptions(TypedDict, total=False):
    """Options of a request; each method of `Http` says which of these it takes."""

    params: Params | None
    """Additions to the URL's query, of which nothing is changed."""
    headers: RequestHeaders | None
    """Headers to send beside the platform's own; they replace those of the same name."""
    check: bool
    """Raise `StatusError` for a 4xx or 5xx: true, if it is not said."""
    follow_redirects: bool
    """Follow redirects, as many as `Caps(redirects=…)` says: true, if it is not said; else the answer is the redirect,
    its body read. `response.history` has those that were followed."""
    cost: int
    """The requests that it counts as in the rates of the platform that it goes to: 1, if it is not said. Each attempt
    and each redirect of it counts as many. `limit` and `Retry.budget` count it as one."""


class GetOptions(HeadOptions, total=False):
    """Options of a GET request."""

    conditional: bool
    """Ask only for what has changed since a task that asked for this URL ended in `Success`. If nothing has, the answer
    is a 304 without a body; see `Task.skip_unchanged`. Only GET can be, and not for a part (`Range`); of others all is
    asked for."""


class PostOptions(HeadOptions, total=False):
    """Options of a request with a body; the body is one of these."""

    content: Content | None
    """The body, as it is. A file is read off the event loop, from where it stands, and parts as they come; that is part
    of the attempt, and in its time. It is tried again only if it can be read anew: a file that can seek, an iterable
    that is no iterator. Its length is sent where it is known."""
    data: Form | None
    """The body, as a form."""
    files: Files | None
    """The body, as a form with files in it; the fields of `data` go before them."""
    json: Any
    """The body, as JSON."""


class RequestOptions(GetOptions, PostOptions, total=False):
    """Options of a request with any method."""


class StreamOptions(PostOptions, total=False):
    """Options of a streamed request."""

    cap: float | None
    """The bytes that the body may have, on the wire and decoded, in place of the platform's `Caps`."""


class Http(Protocol):
    """The HTTP client of one task: bound to its platform, its rate and its policies."""

    def request(
        self, method: str, url: str | httpx.URL, **options: Unpack[RequestOptions]
    ) -> Coroutine[Any, Any, httpx.Response]:
        """Make a request and read its whole answer.

        Each request, each retry and each redirect takes its turn in the rate of the platform that it goes to, and
        waits while that is closed; while it waits the task is parked. A task makes one request at a time; another one
        waits for it. Inside `async with task.http.stream(…)` it would wait for itself, and is refused: of the same
        coroutine, or of a nursery that was opened in there.

        Args:
            method: the HTTP method.
            url: absolute, or relative to the platform's `base_url` (a platform without one: to the event's URL).
            **options: `params`, `headers`, `content`, `data`, `files`, `json`, `check`, `conditional`,
                `follow_redirects` and `cost`, as `RequestOptions` has them.

        Returns:
            The answer, its body read and decoded.

        Raises:
            StatusError: the answer is a 4xx or 5xx, and `check` is true.
            PlatformClosed: the platform is closed for longer than `Retry.patience`.
            RequestError: no answer came, and no retry is left. Its subclasses say why.
            TypeError: there is no such option, or an argument is of the wrong type; says what to write.
            Exception: what a generator or a file of the caller's own has raised, as it is.

        Checkpoint. If cancelled, the request may or may not have reached the platform; what it held is closed.
        """
        ...

    def get(self, url: str | httpx.URL, **options: Unpack[GetOptions]) -> Coroutine[Any, Any, httpx.Response]:
        """Make a GET request; otherwise as `request`."""
        ...

    def head(self, url: str | httpx.URL, **options: Unpack[HeadOptions]) -> Coroutine[Any, Any, httpx.Response]:
        """Make a HEAD request; otherwise as `request`."""
        ...

    def post(self, url: str | httpx.URL, **options: Unpack[PostOptions]) -> Coroutine[Any, Any, httpx.Response]:
        """Make a POST request; otherwise as `request`. It is retried only where `Retry.methods` has POST."""
        ...

    def stream(
        self, method: str, url: str | httpx.URL, **options: Unpack[StreamOptions]
    ) -> AbstractAsyncContextManager[Streamed]:
        """Make a request, and hand out its body as it comes, for bodies that are too large to hold.

        Retries, redirects and `Timeout.attempt` are for what comes up to the head of the answer. After that no part of
        the body may take longer than `Timeout.attempt`, and the whole is under `Timeout.task`.

        Args:
            method: as for `request`.
            url: as for `request`.
            **options: as for `request`, but for `conditional`; and `cap`, as `StreamOptions` has it.

        Returns:
            An async context manager of a `Streamed`. Leaving it closes the answer, read or not.
        """
        ...


class Task(Protocol):
    """One event on one platform, while it runs: what the scraper is handed."""

    @property
    def event(self) -> Event:
        """The event to scrape."""
        ...

    @property
    def platform(self) -> str:
        """The name of the platform to scrape it on."""
        ...

    @property
    def attempt(self) -> int:
        """Which run of the scraper this is, from 1; more than 1 only after `retry`."""
        ...

    @property
    def http(self) -> Http:
        """The HTTP client, bound to the platform."""
        ...

    @property
    def log(self) -> Any:
        """A structlog logger, bound to the event and the platform."""
        ...

    def follow(self, event: Event) -> bool:
        """Add an event to the run. In a run that serves a store it is stored with the end of this task.

        Returns:
            Whether it was new on a platform at least: there its id is not live, was not followed before, nor (under
            `dedupe=True`) ever seen.
            A store says so only when the task ends; until then an event is new unless this task has followed it.

        Raises:
            AgendaFull: `max_pending` events wait already; the event was not taken.
            UnknownPlatform: the event names a platform that the engine does not have, or none at all.
            RuntimeError: the task has ended.
        """
        ...

    def emit(self, item: Any) -> None:
        """Add an item to the outcome of the task, for a page that has many: `outcome.items`, in their order.

        They are there with the outcome, all of them: a run of the scraper that is given up has emitted none, nor has a
        task that is skipped or cancelled. Sinks write a row for each. A scraper may be an async generator, too: what it
        yields is emitted.

        Args:
            item: with a store or a file what JSON has, or what `encode=` makes of it.

        Raises:
            ItemsFull: it would be more than `Caps(items=…, items_bytes=…)`; the item was not taken.
            RuntimeError: the task has ended.
        """
        ...

    def skip(self, reason: str, *, again_after: float | None = None) -> NoReturn:
        """End the task as `Skipped(reason)`.

        Args:
            reason: what the outcome says.
            again_after: seconds for which the event need not be asked for again on this platform: until then it ends
                as `Skipped` for the same reason without being started, in this run and the engine's later ones; with
                a store, in any run on that. What recurs there is not due before.
        """
        ...

    def fresh_for(self, seconds: float) -> None:
        """Say that what was scraped will not change for some time (an RSS `ttl`): it need not be polled before.

        A hint, for events that recur: it only postpones, at most to the cadence's maximum. `Cache-Control: max-age` of
        conditional requests is heeded without it.
        """
        ...

    def skip_unchanged(self, response: httpx.Response) -> None:
        """End the task as `Skipped("unchanged")` if the answer to a conditional request is a 304; else do nothing."""
        ...

    def retry(self, after: float | None = None) -> NoReturn:
        """Give up this run of the scraper, and run it again once `after` seconds have passed (default: by backoff).

        Until then the task is parked: it holds no slot. After the last attempt of the platform's `Retry` the task
        ends as `Failure(RetriesExhausted)`.
        """
        ...

    async def in_thread(self, function: Callable[..., R], /, *args: Any) -> R:
        """Run a function that is bound by the CPU, or blocks, in a worker thread; few run at once.

        The task keeps its slot meanwhile. Checkpoint. If cancelled, the function runs on to its end, its result is
        dropped, and a run that ends before it does logs its name.
        """
        ...
