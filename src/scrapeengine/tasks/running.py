"""One task's life: the runs of its scraper, and what becomes of them.

A task has three faces, each in a file of its own: the record that the scheduler keeps (`schedule/lane.py`), what its
scraper is handed (`tasks/handle.py`), and what its HTTP client asks (`tasks/requesting.py`). This is what holds them
together while the task runs.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import trio

from scrapeengine.decide.retry import backoff
from scrapeengine.errors import RetriesExhausted, TaskTimeout
from scrapeengine.model.instrument import TaskEntered, TaskRetried
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success
from scrapeengine.schedule.lane import TaskRecord
from scrapeengine.schedule.waiting import rest
from scrapeengine.tasks.emitting import Emitted, called
from scrapeengine.tasks.handle import TaskHandle, TaskHttp, TaskServices
from scrapeengine.tasks.signals import RetryTask, Signal, SkipTask, cleared, meaning

if TYPE_CHECKING:
    from scrapeengine.model.validators import Validator

__all__ = ["RunningTask"]


@attrs.define(eq=False, repr=False)
class RunningTask:
    """One event on one platform, from its start to its outcome."""

    record: TaskRecord
    services: TaskServices
    attempt: int = attrs.field(default=1, init=False)
    """Which run of the scraper this is."""
    emitted: Emitted | None = attrs.field(default=None, init=False)
    """What this run of the scraper has emitted; None: nothing."""
    said_fresh: float = attrs.field(default=0.0, init=False)
    """For how many seconds what was scraped will not change, as the scraper says."""
    http: TaskHttp | None = attrs.field(default=None, init=False)
    """The HTTP client; None: it has made no request."""

    @property
    def fresh(self) -> float:
        """For how many seconds what was scraped will not change: as the scraper says, or the platform."""
        return self.said_fresh if self.http is None else max(self.said_fresh, self.http.fresh_for)

    def run(self) -> Coroutine[Any, Any, Outcome[Any]]:
        """Run the scraper to its end. No coroutine function, and a frame less: it returns what is to be awaited.

        Raises what may end more than this task (`ended_by` says): `KeyboardInterrupt`, `SystemExit`, `GeneratorExit`,
        a group that holds one, and `trio.Cancelled`, from outside or by the scope that it runs in; and
        `PlatformClosed`, where it was to run again and would have to wait for too long.
        """
        self.record.begin()
        if self.services.instruments.task_entered:
            self._tell_entered()
        for each in self.record.followed:
            each.entered()
        return self._attempts(TaskHandle(self.record, self.services, self))

    def ended_by(self, error: BaseException) -> Outcome[Any] | None:
        """Say how it ended by what has left its scope; None: that ends more than the task."""
        failure = meaning(error)
        if failure is None:
            return None
        # A call of `task.retry` on the way out of a cancellation is too late.
        return self.cut_short() if isinstance(failure, RetryTask) else self._ended_by(failure)

    def cut_short(self) -> Outcome[Any]:
        """Say how it ended, cancelled by its scope: by the run, or by its deadline."""
        if self.record.stopped is not None:
            return Cancelled(reason=self.record.stopped, **self.times())
        lane = self.record.lane
        limit = lane.platform.timeout.task
        message = f"the task ran for more than its Timeout(task={limit:g}) on {lane.name!r}"
        return Failure(error=TaskTimeout(message), **self.times())

    def times(self) -> dict[str, Any]:
        """Return what all outcomes say, as of now."""
        now, record = trio.current_time(), self.record
        entry = record.job.entry
        parked = record.parked + (0.0 if record.parked_since is None else now - record.parked_since)
        return {
            "event": entry.event,
            "platform": record.lane.queue.name,
            "attempts": self.attempt,
            "queued": record.started - entry.accepted,
            "parked": parked,
            "ran": now - record.started - parked,
        }

    @trio.lowlevel.disable_ki_protection  # for what a scraper does
    async def _attempts(self, handle: TaskHandle) -> Outcome[Any]:
        """Run the scraper until it returns, fails, is skipped, or has no attempt left."""
        record = self.record
        while True:
            try:
                platform = record.lane.platform
                scrape: Any = platform.scrape
                value = await (called(scrape, handle) if platform.yields else scrape(handle))
                if self.http is not None and self.http.found:
                    await self._remember(handle, self.http.found)
                if self.emitted is not None:
                    return Success(value=value, items=tuple(self.emitted.items), **self.times())
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
            policy = record.lane.platform.retry
            attempt = self.attempt
            if attempt >= policy.attempts:
                message = f"task.retry on attempt {attempt} of {policy.attempts}; allow more with Retry(attempts=…)"
                return Failure(error=RetriesExhausted(message), **self.times())
            seconds = backoff(policy, attempt, self.services.draw) if after is None else after
            if self.services.instruments.task_retried:
                self._tell_retry(seconds)
            await rest(self.services.lanes.scheduler, record, seconds)
            self.attempt += 1
            self.emitted = None

    def _tell_entered(self) -> None:
        record, instruments = self.record, self.services.instruments
        event, platform = record.job.entry.event, record.lane.name
        details = TaskEntered(time=trio.current_time(), event=event, platform=platform)
        instruments.tell(instruments.task_entered, details)

    def _tell_retry(self, after: float) -> None:
        record, instruments = self.record, self.services.instruments
        event, platform = record.job.entry.event, record.lane.name
        details = TaskRetried(
            time=trio.current_time(), event=event, platform=platform, attempt=self.attempt, after=after
        )
        instruments.tell(instruments.task_retried, details)

    async def _remember(self, handle: TaskHandle, found: Mapping[str, Validator | None]) -> None:
        """Have the validators kept that the client has found. What goes wrong there is no business of the outcome."""
        try:
            await self.services.remember(self.record, found)
        except BaseException as error:  # validators are the program's own
            if not isinstance(meaning(error), Exception):
                raise
            handle.log.warning("the validators of a task could not be kept", exc_info=error)

    def _ended_by(self, ended: Exception | Signal) -> Outcome[Any]:
        if isinstance(ended, SkipTask):
            return Skipped(reason=ended.reason, again_after=ended.again_after, **self.times())
        assert isinstance(ended, Exception)
        items = () if self.emitted is None else tuple(self.emitted.items)
        return Failure(error=cleared(ended), items=items, **self.times())
