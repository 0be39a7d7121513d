"""A task while it runs: what its scraper sees, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

import attrs
import trio

from scrapeengine.decide.retry import backoff
from scrapeengine.errors import RetriesExhausted, TaskTimeout
from scrapeengine.model.checks import number
from scrapeengine.model.event import Event
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success
from scrapeengine.model.task import Http
from scrapeengine.model.urls import told
from scrapeengine.observe.log import task_logger
from scrapeengine.schedule import waiting as turns
from scrapeengine.schedule.lane import Lane, TaskRecord
from scrapeengine.tasks.signals import RetryTask, Signal, SkipTask, cleared, meaning

if TYPE_CHECKING:
    import httpx

    from scrapeengine.model.platform import Platform
    from scrapeengine.model.validators import Validator

__all__ = ["LiveTask", "TaskHttp", "TaskServices"]

R = TypeVar("R")


class TaskHttp(Http, Protocol):
    """The HTTP client of a task, as its task sees it."""

    @property
    def found(self) -> Mapping[str, Validator | None]:
        """What conditional requests have found, by URL; to be remembered if the task ends in `Success`."""
        ...

    @property
    def fresh_for(self) -> float:
        """For how many seconds, the platform says, what conditional requests have found is fresh."""
        ...


class TaskServices(Protocol):
    """What a task asks of its run."""

    def follow(self, task: LiveTask, event: Event) -> bool:
        """Add an event to the run."""
        ...

    async def remember(self, task: LiveTask, found: Mapping[str, Validator | None]) -> None:
        """Keep the validators that a task has found, which has ended in `Success`."""
        ...

    def http(self, task: LiveTask) -> TaskHttp:
        """Make the HTTP client of a task."""
        ...

    def draw(self) -> float:
        """Return a random number from 0 to 1."""
        ...

    async def in_thread(self, function: Callable[..., R], *args: Any) -> R:
        """Call a function in a worker thread."""
        ...

    async def turn(self, task: LiveTask, at: str | None, after: float, *, ahead: bool) -> None:
        """Wait for the turn of a request."""
        ...

    async def apart(self, task: LiveTask, until: trio.Event) -> None:
        """Park a task until an event is set."""
        ...

    def place(self, task: LiveTask, host: str) -> str | None:
        """Name the platform that serves a host; None if it is the task's own, or none does."""
        ...

    def visit(self, at: str) -> AbstractContextManager[Lane]:
        """Return another platform's lane, for as long as the context lasts."""
        ...

    async def rest(self, task: LiveTask, seconds: float) -> None:
        """Park a task before its scraper runs again."""
        ...

    def refused(self, task: LiveTask, at: str | None, sent: float, after: float | None) -> None:
        """Take note that a platform asks not to be called."""
        ...

    def slow_down(self, task: LiveTask, at: str | None, seconds: float) -> None:
        """Take note of what a platform's robots.txt asks for."""
        ...

    def wall(self, now: float) -> float:
        """Turn a time of the run's clock into Unix time."""
        ...


@attrs.define(eq=False, repr=False)
class LiveTask(TaskRecord):
    """One event on one platform, while it runs. Implements `scrapeengine.Task`."""

    services: TaskServices
    attempt: int = attrs.field(default=1, init=False)
    stopped: str | None = attrs.field(default=None, init=False)
    """Why it was cancelled by the run; None if it was not."""
    fresh: float = attrs.field(default=0.0, init=False)
    """For how many seconds what it has scraped will not change."""
    _http: TaskHttp | None = attrs.field(default=None, init=False)
    _log: Any = attrs.field(default=None, init=False)

    @property
    def event(self) -> Event:
        """The event to scrape."""
        return self.job.entry.event

    @property
    def platform(self) -> str:
        """The name of the platform to scrape it on."""
        return self.lane.queue.name

    @property
    def policy(self) -> Platform[Any]:
        """The platform's policy as it is now."""
        return self.lane.policy

    @property
    def http(self) -> Http:
        """The HTTP client, bound to the platform."""
        if self._http is None:
            self._http = self.services.http(self)
        return self._http

    @property
    def log(self) -> Any:
        """A structlog logger, bound to the event and the platform."""
        if self._log is None:
            self._log = task_logger(self.event, self.platform)
        return self._log

    def follow(self, event: Event) -> bool:
        """Add an event to the run; whether it was new."""
        if self not in self.lane.records:
            raise RuntimeError("the task has ended; call task.follow while its scraper runs")
        return self.services.follow(self, event)

    def skip(self, reason: str, *, again_after: float | None = None) -> NoReturn:
        """End the task as `Skipped(reason)`."""
        if not isinstance(reason, str):
            raise TypeError(f"task.skip(reason) must be a str, got {told(reason)}; write task.skip('nothing there')")
        raise SkipTask(reason, None if again_after is None else number(again_after, "task.skip(again_after=…)"))

    def fresh_for(self, seconds: float) -> None:
        """Say that what was scraped will not change for some time."""
        self.fresh = max(self.fresh, number(seconds, "task.fresh_for(…)", zero=True))

    def skip_unchanged(self, response: httpx.Response) -> None:
        """End the task as `Skipped("unchanged")` if the answer is a 304."""
        if response.status_code == 304:
            self.skip("unchanged")

    def retry(self, after: float | None = None) -> NoReturn:
        """Give up this run of the scraper, and run it again later."""
        raise RetryTask(None if after is None else number(after, "task.retry(after=…)", zero=True))

    async def in_thread(self, function: Callable[..., R], /, *args: Any) -> R:
        """Run a function in a worker thread."""
        return await self.services.in_thread(function, *args)

    # -- for the HTTP client: `scrapeengine.http.wire.client_task.TaskRecord`

    def place(self, host: str) -> str | None:
        """Name the platform that serves a host; None if it is the task's own, or none does."""
        return None if host in {self.lane.home, self.lane.name} else self.services.place(self, host)

    def open(self, at: str | None) -> bool:
        """Say whether a platform is under no penalty."""
        if at is None:
            return not self.lane.gate.closed(trio.current_time())
        with self.services.visit(at) as there:
            return not there.gate.closed(trio.current_time())

    def go(self, at: str | None, *, first: bool) -> bool:
        """Start a request now, if it may."""
        if at is None:
            return turns.go(self, first=first)
        with self.services.visit(at) as there:
            return turns.go_abroad(self, there, first=first)

    async def turn(self, at: str | None, after: float = 0.0, *, ahead: bool = False) -> None:
        """Wait until a request is booked."""
        await self.services.turn(self, at, after, ahead=ahead)

    async def apart(self, until: trio.Event) -> None:
        """Wait for an event, parked."""
        await self.services.apart(self, until)

    def connecting(self) -> None:
        """Take note that the request that is booked has to be connected first."""
        if self.booked is not None:
            self.lane.gate.rate_limiter.excuse(self.booked)

    def refused(self, at: str | None, sent: float, after: float | None) -> None:
        """Close a platform, which asks not to be called."""
        self.services.refused(self, at, sent, after)

    def over_budget(self, places: Collection[str | None]) -> str:
        """Take a retry out of the budgets of platforms; if one has none left, say so in words, and take none."""
        now = trio.current_time()
        with ExitStack() as visits:
            lanes = [self.lane if at is None else visits.enter_context(self.services.visit(at)) for at in places]
            reasons = [reason for lane in lanes if (reason := lane.over_budget(now))]
            if not reasons:
                for lane in lanes:
                    lane.gate.budget.retry(now, lane.policy.retry.budget)
        return reasons[0] if reasons else ""

    def slow_down(self, at: str | None, seconds: float) -> None:
        """Take note of what a platform's robots.txt asks for."""
        self.services.slow_down(self, at, seconds)

    def draw(self) -> float:
        """Return a random number from 0 to 1; for the HTTP client."""
        return self.services.draw()

    def wall(self, now: float) -> float:
        """Turn a time of the run's clock into Unix time; for the HTTP client."""
        return self.services.wall(now)

    def cancel(self, reason: str) -> None:
        """Cancel the task, for a reason that its outcome will say; not once it has ended, and others have its scope."""
        if self.stopped is None and self in self.lane.records:
            self.stopped = reason
            self.scope.cancel()
            if self in self.lane.landing and self.wake is not None:
                self.lane.landing.remove(self)
                self.wake.set()

    async def run(self) -> Outcome[Any]:
        """Run the scraper to its end.

        Raises what may end more than this task (`ended_by` says): `KeyboardInterrupt`, `SystemExit`, `GeneratorExit`,
        a group that holds one, and `trio.Cancelled`, from outside or by the scope that it runs in; and
        `PlatformClosed`, where it was to run again and would have to wait for too long.
        """
        self.begin()
        try:
            return await self._attempts()
        finally:
            if self._http is not None:
                self.fresh = max(self.fresh, self._http.fresh_for)
            # It knows the task, and the task it: a cycle, which would have to wait for the collector.
            self._http = None

    def ended_by(self, error: BaseException) -> Outcome[Any] | None:
        """Say how it ended by what has left its scope; None: that ends more than the task."""
        failure = meaning(error)
        if failure is None:
            return None
        # A call of `task.retry` on the way out of a cancellation is too late.
        return self.cut_short() if isinstance(failure, RetryTask) else self._ended_by(failure)

    def cut_short(self) -> Outcome[Any]:
        """Say how it ended, cancelled by its scope: by the run, or by its deadline."""
        if self.stopped is not None:
            return Cancelled(reason=self.stopped, **self.times())
        limit = self.policy.timeout.task
        message = f"the task ran for more than its Timeout(task={limit:g}) on {self.platform!r}"
        return Failure(error=TaskTimeout(message), **self.times())

    async def _attempts(self) -> Outcome[Any]:
        """Run the scraper until it returns, fails, is skipped, or has no attempt left."""
        while True:
            try:
                value = await self.policy.scrape(self)
                await self._remember()
                return Success(value=value, **self.times())
            except BaseException as error:
                ended = meaning(error)
                if ended is None:
                    raise
                try:
                    if not isinstance(ended, RetryTask):
                        return self._ended_by(ended)
                    after = ended.after
                finally:
                    del ended  # its traceback knows this frame: a cycle, which would have to wait for the collector
            policy = self.policy.retry
            if self.attempt >= policy.attempts:
                message = (
                    f"task.retry on attempt {self.attempt} of {policy.attempts}; allow more with Retry(attempts=…)"
                )
                return Failure(error=RetriesExhausted(message), **self.times())
            await self.services.rest(self, backoff(policy, self.attempt, self.draw) if after is None else after)
            self.attempt += 1

    async def _remember(self) -> None:
        """Let the client remember what it found. What goes wrong there is no business of the outcome."""
        if self._http is None or not self._http.found:
            return
        try:
            await self.services.remember(self, self._http.found)
        except BaseException as error:  # validators are the program's own
            if not isinstance(meaning(error), Exception):
                raise
            self.log.warning("the validators of a task could not be kept", exc_info=error)

    def _ended_by(self, ended: Exception | Signal) -> Outcome[Any]:
        if isinstance(ended, SkipTask):
            return Skipped(reason=ended.reason, again_after=ended.again_after, **self.times())
        assert isinstance(ended, Exception)
        return Failure(error=cleared(ended), **self.times())

    def times(self) -> dict[str, Any]:
        """Return what all outcomes say, as of now."""
        now = trio.current_time()
        entry = self.job.entry
        parked = self.parked + (0.0 if self.parked_since is None else now - self.parked_since)
        return {
            "event": entry.event,
            "platform": self.lane.queue.name,
            "attempts": self.attempt,
            "queued": self.started - entry.accepted,
            "parked": parked,
            "ran": now - self.started - parked,
        }
