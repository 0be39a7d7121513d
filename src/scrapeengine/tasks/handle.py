"""The face of a task that its scraper sees: what `scrape(task)` is handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from scrapeengine.model.checks import number
from scrapeengine.model.event import Event
from scrapeengine.model.task import Http
from scrapeengine.model.urls import told
from scrapeengine.observe.log import task_logger
from scrapeengine.schedule.lane import TaskRecord
from scrapeengine.tasks.requesting import RequestingTask, RequestServices
from scrapeengine.tasks.signals import RetryTask, SkipTask

if TYPE_CHECKING:
    import httpx

    from scrapeengine.model.validators import Validator

__all__ = ["TaskHandle", "TaskHttp", "TaskProgress", "TaskServices"]

R = TypeVar("R")


class TaskHttp(Http, Protocol):
    """The HTTP client of a task, as its task sees it."""

    @property
    def found(self) -> Mapping[str, Validator | None]:
        """Validators that conditional requests have found, by URL; to be remembered if the task ends in `Success`."""
        ...

    @property
    def fresh_for(self) -> float:
        """For how many seconds, the platform says, what conditional requests have found is fresh."""
        ...


class TaskServices(RequestServices, Protocol):
    """The run as a task sees it: what a task may ask of it."""

    def http(self, task: RequestingTask) -> TaskHttp:
        """Make the HTTP client of a task."""
        ...

    def follow(self, record: TaskRecord, event: Event) -> bool:
        """Add an event to the run; whether it was new."""
        ...

    async def remember(self, record: TaskRecord, found: Mapping[str, Validator | None]) -> None:
        """Keep the validators that a task has found, which has ended in `Success`."""
        ...

    async def in_thread(self, function: Callable[..., R], *args: Any) -> R:
        """Call a function in a worker thread."""
        ...


class TaskProgress(Protocol):
    """The progress of a task."""

    attempt: int
    """Which run of the scraper this is."""
    said_fresh: float
    """For how many seconds what was scraped will not change, as the scraper says."""
    http: TaskHttp | None
    """The HTTP client; None: it has made no request."""


class TaskHandle:
    """One event on one platform, while it runs. Implements `scrapeengine.Task`, and is documented there."""

    __slots__ = ("_log", "_progress", "_record", "_services")

    def __init__(self, record: TaskRecord, services: TaskServices, progress: TaskProgress) -> None:
        self._record = record
        self._services = services
        self._progress = progress
        self._log: Any = None

    @property
    def event(self) -> Event:
        """The event to scrape."""
        return self._record.job.entry.event

    @property
    def platform(self) -> str:
        """The name of the platform to scrape it on."""
        return self._record.lane.queue.name

    @property
    def attempt(self) -> int:
        """Which run of the scraper this is, from 1."""
        return self._progress.attempt

    @property
    def http(self) -> Http:
        """The HTTP client, bound to the platform; made when it is asked for."""
        http = self._progress.http
        if http is None:
            http = self._progress.http = self._services.http(RequestingTask(self._record, self._services))
        return http

    @property
    def log(self) -> Any:
        """A structlog logger, bound to the event and the platform."""
        if self._log is None:
            self._log = task_logger(self.event, self.platform)
        return self._log

    def follow(self, event: Event) -> bool:
        """Add an event to the run; whether it was new."""
        if self._record.ended:
            raise RuntimeError("the task has ended; call task.follow while its scraper runs")
        return self._services.follow(self._record, event)

    def skip(self, reason: str, *, again_after: float | None = None) -> NoReturn:
        """End the task as `Skipped(reason)`."""
        if not isinstance(reason, str):
            raise TypeError(f"task.skip(reason) must be a str, got {told(reason)}; write task.skip('nothing there')")
        raise SkipTask(reason, None if again_after is None else number(again_after, "task.skip(again_after=…)"))

    def fresh_for(self, seconds: float) -> None:
        """Say that what was scraped will not change for some time."""
        self._progress.said_fresh = max(self._progress.said_fresh, number(seconds, "task.fresh_for(…)", zero=True))

    def skip_unchanged(self, response: httpx.Response) -> None:
        """End the task as `Skipped("unchanged")` if the answer is a 304."""
        if response.status_code == 304:
            self.skip("unchanged")

    def retry(self, after: float | None = None) -> NoReturn:
        """Give up this run of the scraper, and run it again later."""
        raise RetryTask(None if after is None else number(after, "task.retry(after=…)", zero=True))

    async def in_thread(self, function: Callable[..., R], /, *args: Any) -> R:
        """Run a function in a worker thread."""
        return await self._services.in_thread(function, *args)
