"""Where the tasks of a served run end: what the store is told of it, and what only this run has to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from scrapeengine.decide.agenda import Job
from scrapeengine.decide.cadence import History, Polled, cadence_from_json, next_due
from scrapeengine.decide.records import content_of, digest_of, error_text, outcome_text, payload_of, status_of
from scrapeengine.decide.routing import Routes
from scrapeengine.model.job import Completion, Content, NewJob
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success
from scrapeengine.runtime.books import Books, Ended
from scrapeengine.runtime.floor import Floor
from scrapeengine.runtime.hand import Hand, Held
from scrapeengine.runtime.lane import Lane
from scrapeengine.runtime.lanes import Lanes
from scrapeengine.runtime.outbox import Outbox
from scrapeengine.runtime.results import Results
from scrapeengine.runtime.tally import Tally
from scrapeengine.runtime.task import LiveTask

__all__ = ["StoredResults"]


class StoredResults(Results):
    """Takes tasks off the floor; their outcomes go into the store before they go on their way."""

    def __init__(
        self,
        floor: Floor,
        lanes: Lanes,
        tally: Tally,
        outbox: Outbox[Any],
        *,
        hand: Hand,
        books: Books,
        routes: Routes,
        draw: Callable[[], float],
        deliver_within: float | None,
        early: float,
        room: Callable[[str], None],
    ) -> None:
        """Make it.

        Args:
            floor: the run's.
            lanes: the run's.
            tally: the run's.
            outbox: the run's.
            hand: the run's jobs.
            books: what stores their ends.
            routes: the engine's platforms.
            draw: returns a random number from 0 to 1.
            early: seconds by which what recurs may be due sooner than its cadence says.
            room: called with the name of a platform whose lane has room again.
            deliver_within: seconds that sinks have for an outcome before it is delivered once more; None: no sinks.
        """
        super().__init__(floor, lanes, tally, outbox)
        self._hand = hand
        self._books = books
        self._routes = routes
        self._draw = draw
        self._deliver_within = deliver_within
        self._early = early
        self._room = room

    def finish(self, task: LiveTask, outcome: Outcome[Any]) -> None:
        """End a task: store its outcome, or give its job back if it was cancelled."""
        self._floor.end(task)
        held = self._hand.drop(task.job)
        if held.lost:
            self._tally.lost += 1
        elif isinstance(outcome, Cancelled):
            self._give_back(held)
        else:
            self._books.end(self._ended(held, outcome, task))
        self._floor.settle()
        self._room(task.lane.name)
        self._lanes.retire(task.lane)

    def cancel(self, job: Job, reason: str) -> None:
        """Give a job back that was never started, since the run ends."""
        del reason
        self._forget(job, 0.0)

    def turn_away(self, job: Job, lane: Lane) -> None:
        """Give a job back that was never started, until its platform opens."""
        self._forget(job, max(0.0, lane.gate.penalty.until - trio.current_time()))

    def lose(self, held: Held) -> None:
        """Let go of a job whose lease was lost."""
        if held.task is not None:
            held.task.cancel("its lease was lost")
            return
        self._tally.lost += 1
        self._hand.drop(held.job)
        self._floor.abandon(held.job)
        self._floor.settle()
        self._room(held.job.queue.name)
        self._lanes.retire(self._floor.lanes[held.job.queue.name])

    def _forget(self, job: Job, delay: float) -> None:
        held = self._hand.drop(job)
        self._floor.abandon(job)
        self._give_back(held, delay)
        self._lanes.retire(self._floor.lanes[job.queue.name])

    def _give_back(self, held: Held, delay: float = 0.0) -> None:
        self._tally.returned += 1
        self._books.give_back(held.ticket, delay)

    def _ended(self, held: Held, outcome: Outcome[Any], task: LiveTask) -> Ended:
        """Say what the store is told. A value that cannot be stored makes a failure of a success."""
        result: Content | None = None
        if isinstance(outcome, Success):
            try:
                result = content_of(outcome.value)
            except TypeError as error:
                outcome = Failure(error=error, **task.times())
        again, history = self._again(held, outcome, result, task)
        completion = Completion(
            ticket=held.ticket,
            status=status_of(outcome),
            result=result,
            error=_said(outcome),
            follow_ups=self._follow_ups(held),
            validators=dict(held.validators) if isinstance(outcome, Success) else {},
            again=again,
            history=history,
            keep=(isinstance(outcome, Skipped) and outcome.again_after) or 0.0,
            outcome=None if self._deliver_within is None else outcome_text(outcome),
            deliver=self._deliver_within or 0.0,
        )
        return Ended(outcome, completion)

    def _follow_ups(self, held: Held) -> tuple[NewJob, ...]:
        events = held.follow_ups.values()
        return tuple(
            NewJob(name, event.id, payload_of(event), event.priority)
            for event in events
            for name in self._routes.of(event).known
        )

    def _again(
        self, held: Held, outcome: Outcome[Any], result: Content | None, task: LiveTask
    ) -> tuple[float | None, str | None]:
        """Say in how many seconds a job that recurs is due again, and what to remember of it."""
        if held.claimed.cadence is None:
            return None, None
        history = History.from_json(held.claimed.history)
        digest = None if result is None else digest_of(result)
        asked = max(0.0, task.lane.gate.penalty.until - trio.current_time())
        polled = Polled.UNCHANGED
        match outcome:
            case Success():
                polled = Polled.UNCHANGED if digest == history.digest else Polled.CHANGED
            case Failure():
                polled = Polled.FAILED
            case Skipped(again_after=seconds):
                asked = max(asked, seconds or 0.0)
        cadence = cadence_from_json(held.claimed.cadence)
        after, wait = next_due(cadence, history, polled, hint=task.fresh, asked=asked, digest=digest, draw=self._draw)
        soonest = max(asked, min(task.fresh, cadence.maximum))
        return max(wait - self._early, min(wait, soonest), 0.0), after.to_json()


def _said(outcome: Outcome[Any]) -> str | None:
    match outcome:
        case Failure(error=error):
            return error_text(error)
        case Skipped(reason=reason):
            return reason
        case _:
            return None
