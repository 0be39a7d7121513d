"""The backing of a run: where its jobs come from, and where their ends go.

There are two kinds, which have nothing in common but this protocol: a source of events that a program hands over
(`SourceBacking`), and a store (`StoreBacking`). All that is decided about who runs now is decided in the rooms that a
backing is given (`Parts`), so that all laws hold for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import attrs
import trio

from scrapeengine.decide.agenda import Job
from scrapeengine.deliver.collector import Collector
from scrapeengine.deliver.counters import Counters
from scrapeengine.deliver.outbox import Outbox
from scrapeengine.deliver.writing import Receipts
from scrapeengine.model.event import Event
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.validators import Validator
from scrapeengine.observe.instruments import Instruments
from scrapeengine.observe.lines import Lines
from scrapeengine.run.plan import Clients, Plan
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.schedule.gates import Gates
from scrapeengine.schedule.lane import Lane, TaskRecord
from scrapeengine.schedule.lanes import Lanes
from scrapeengine.schedule.scheduler import Scheduler
from scrapeengine.tasks.running import RunningTask

__all__ = ["Backing", "Ends", "JobSource", "Parts", "RunHooks", "Work"]


class JobSource(Protocol):
    """The source of a run's jobs."""

    error: BaseException | None
    """The exception that it has raised, for the consumer."""
    done: bool
    """Whether nothing comes any more."""

    async def run(self) -> None:
        """Bring jobs until there are no more, or until `stop`. Checkpoint."""
        ...

    def wake(self) -> None:
        """Look again whether there is room."""
        ...

    def stop(self) -> None:
        """Bring no more."""
        ...


class Ends(Protocol):
    """The place where the jobs of a run end, each once, whatever became of them. None of these blocks."""

    @property
    def waiting(self) -> int:
        """The number of outcomes that wait here, and are not in the outbox yet."""
        ...

    def finish(self, task: RunningTask, outcome: Outcome[Any]) -> None:
        """End a task that was started, and let others run in its place."""
        ...

    def give_up(self, job: Job, reason: str) -> None:
        """End a job that was never started, since the run ends."""
        ...

    def turn_away(self, job: Job, lane: Lane) -> None:
        """End a job that was never started, since its platform is closed for too long."""
        ...


class Backing(Protocol):
    """A source of jobs, the place where they end, and what goes with that.

    Size: most of it is what a run reports to its backing; a source heeds two of these, a store all.
    """

    @property
    def jobs(self) -> JobSource:
        """Where jobs come from."""
        ...

    @property
    def ends(self) -> Ends:
        """Where they end."""
        ...

    @property
    def settled(self) -> bool:
        """Whether what has ended is where it belongs, so that the run may end."""
        ...

    async def pending(self) -> Mapping[str, int] | None:
        """Count what is still to come, by platform, or as events of the source under the empty name.

        Checkpoint, or none.

        Returns:
            What is not accepted yet and, as far as is known, will be; None: nobody knows.

        Raises:
            StoreError: a store could not be asked.
        """
        ...

    def open(self, nursery: trio.Nursery) -> None:
        """Start what works beside the run."""
        ...

    async def close(self) -> None:
        """Leave nothing behind. Checkpoint; bounded in time, and not to be cancelled."""
        ...

    def follow(self, record: TaskRecord, event: Event) -> bool:
        """Add an event that a task has found; whether it is new."""
        ...

    async def remember(self, record: TaskRecord, found: Mapping[str, Validator | None]) -> None:
        """Keep the validators that a task has found, which has ended in `Success`."""
        ...

    def started(self, record: TaskRecord) -> None:
        """Hear that a task has started, so that its lane may have room for more."""
        ...

    def dry(self, lane: Lane) -> None:
        """Hear that a lane waits for a request that only others can book."""
        ...

    def stranded(self, record: TaskRecord) -> None:
        """Hear that a task was parked whose platform is paused."""
        ...

    def closed(self, lane: Lane) -> None:
        """Hear that a platform has closed."""
        ...

    def closed_by_hand(self, platform: str, seconds: float) -> None:
        """Hear that the program has closed a platform."""
        ...

    def reopened_by_hand(self, platform: str) -> None:
        """Hear that the program has ended the penalty of a platform."""
        ...

    @property
    def receipts(self) -> Receipts | None:
        """Who is to know what sinks and the consumer have had; None: outcomes are not kept until they are delivered."""
        ...

    def unwanted(self) -> None:
        """Hear that there is nobody who is to have outcomes."""
        ...

    def left(self) -> None:
        """Hear that the program has left the run, and that sinks have had all that there is for them."""
        ...

    def wake(self) -> None:
        """Look again for jobs and outcomes: there is room."""
        ...

    def retuned(self) -> None:
        """Hear that knobs have been turned."""
        ...

    def quiet(self) -> None:
        """Hear that the run was stopped and no task of it runs any more."""
        ...

    def ended(self) -> None:
        """Hear that nothing is left to do."""
        ...


class RunHooks(Protocol):
    """The run as its backing sees it. Not to be called before its `open`: until then the run is being built."""

    def check(self) -> None:
        """Look whether this was the last of it."""
        ...

    def taken(self) -> None:
        """Look whether there is room for more outcomes."""
        ...

    def moved(self) -> None:
        """Look again who takes outcomes too slowly, for those who listen."""
        ...

    def pause(self, platform: str) -> None:
        """Let nothing start on a platform until the program says otherwise: its limit is 0."""
        ...

    def closed_by_others(self, lane: Lane) -> None:
        """Let nobody wait for too long on a platform that others have closed."""
        ...

    def opened_by_others(self, lane: Lane) -> None:
        """Say that others have reopened a platform."""
        ...


@attrs.frozen(eq=False, repr=False)
class Parts:
    """The rooms of one run that a backing works with.

    Size: 10 attributes, all that is built before it.
    """

    plan: Plan
    alarms: Alarms
    scheduler: Scheduler
    lanes: Lanes
    counters: Counters
    lines: Lines
    outbox: Outbox[Any]
    collector: Collector[Any]
    clients: Clients
    instruments: Instruments


class Work(Protocol):
    """The work of a run: a source of events, or a store."""

    @property
    def share(self) -> float:
        """The number of a platform's tasks that may run before it is known what other engines leave."""
        ...

    async def check(self, plan: Plan) -> None:
        """Refuse what would lead nowhere, before the run begins. Checkpoint, or none."""
        ...

    def gates(self, plan: Plan) -> Gates:
        """Return the gates of the platforms, which outlive the run."""
        ...

    def backing(self, parts: Parts, hooks: RunHooks) -> Backing:
        """Make what is behind the run."""
        ...
