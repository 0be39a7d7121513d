"""What a scraper is handed. These are the shapes; the runtime and the HTTP client fill them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from scrapeengine.model.event import Event

__all__ = ["Http", "Task"]

R = TypeVar("R")


class Http(Protocol):
    """The HTTP client of one task: bound to its platform, its rate and its policies."""

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
        """Make a request and read its whole answer.

        Each request, each retry and each redirect takes its turn in the platform's rate, and waits while the platform
        is closed; while it waits the task is parked. A task makes one request at a time; another one waits for it.

        Args:
            method: the HTTP method.
            url: absolute, or relative to the platform's `base_url` (a platform without one: to the event's URL).
            params: what to add to the URL's query.
            headers: what to send beside the platform's own headers.
            content: the body, as it is.
            data: the body, as a form.
            json: the body, as JSON.
            check: raise `StatusError` for a 4xx or 5xx.

        Returns:
            The answer, its body read and decoded.

        Raises:
            StatusError: the answer is a 4xx or 5xx, and `check` is true.
            PlatformClosed: the platform is closed for longer than `Retry.patience`.
            RequestError: no answer came, and no retry is left. Its subclasses say why.

        Checkpoint. If cancelled, the request may or may not have reached the platform; what it held is closed.
        """
        ...

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> httpx.Response:
        """Make a GET request; otherwise as `request`."""
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
        """Add an event to the run.

        Returns:
            Whether it was new: false if its id is live, was followed before, or (under `dedupe=True`) was ever seen.

        Raises:
            AgendaFull: `max_pending` events wait already; the event was not taken.
            UnknownPlatform: the event names a platform that the engine does not have, or none at all.
            RuntimeError: the task has ended.
        """
        ...

    def skip(self, reason: str) -> NoReturn:
        """End the task as `Skipped(reason)`."""
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
