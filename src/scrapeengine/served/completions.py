"""Completions: what the store is told of a task that has ended. Pure, but for the run's clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from scrapeengine.decide.cadence import History, Polled, cadence_from_json, next_due
from scrapeengine.decide.records import (
    NotJson,
    digest_of,
    error_text,
    items_of,
    kept_of,
    outcome_text,
    status_of,
)
from scrapeengine.decide.texts import written
from scrapeengine.errors import PoisonousJob, StoreError
from scrapeengine.model.event import Event
from scrapeengine.model.job import Claimed, Completion, Content, JobStatus
from scrapeengine.model.outcome import Failure, Outcome, Skipped, Success
from scrapeengine.served.deliveries import Deliveries
from scrapeengine.served.leases import Held
from scrapeengine.served.writer import EndedJob
from scrapeengine.tasks.running import RunningTask

__all__ = ["Completions"]

_UNREADABLE_AGAIN = 86_400.0
"""Seconds after which a recurring job is tried again, where its payload or what its task has left cannot be read."""
_LONGEST = 1e9
"""The seconds, some thirty years, that nothing waits longer than."""


@attrs.frozen(eq=False, repr=False)
class Completions:
    """Writes the completions of one run."""

    encode: Callable[[Any], Any] | None
    """Makes something that JSON has of what it does not have."""
    draw: Callable[[], float]
    """Returns a random number from 0 to 1."""
    deliveries: Deliveries
    """Say whether outcomes are kept, and how long until they are delivered once more."""
    early: float = 0.0
    """Seconds by which what recurs may be due sooner than its cadence says."""

    def of(self, held: Held, outcome: Outcome[Any], task: RunningTask, now: float) -> EndedJob:
        """Say what the store is told. What cannot be written down makes a failure of whatever it was.

        Raises:
            NotJson: the scraper returns what no store can keep: all its tasks would fail like this one.
        """
        try:
            return self._told(held, outcome, task, now)
        except NotJson:
            raise
        except Exception as error:  # noqa: BLE001 - what a task has left must not end the run
            failure = Failure(error=error, **task.times())
            within = self.deliveries.within
            told = Completion(
                ticket=held.ticket,
                status=JobStatus.FAILED,
                error=error_text(error),
                again=_UNREADABLE_AGAIN,
                outcome=None if within is None else outcome_text(failure, held.claimed.payload, None),
                sinks=self.deliveries.takers(),
                deliver=within or 0.0,
            )
            return EndedJob(failure, told)

    def poisonous(self, claimed: Claimed, event: Event) -> EndedJob:
        """Say how a job ends that is not run any more, for processes have died of it."""
        error = PoisonousJob(
            f"{claimed.deaths} processes have died while its scraper ran, or were ended by it, the last ones with no "
            f"other suspect, so it was set aside; see what it does, then run it again with store.retry(ids=[…])",
            deaths=claimed.deaths,
        )
        return self._aside(claimed, event, claimed.payload, error)

    def damaged(self, claimed: Claimed) -> EndedJob:
        """Say how a job ends that the store has not kept as it was."""
        return self._aside(claimed, _unnamed(claimed), "{}", StoreError(claimed.damage or ""))

    def unreadable(self, claimed: Claimed, error: Exception) -> EndedJob:
        """Say how a job ends that nobody can work on, for nobody can read it."""
        said = f"its payload cannot be read: {error}"
        return self._aside(claimed, _unnamed(claimed), "{}", error, said, again=_UNREADABLE_AGAIN)

    def _aside(
        self,
        claimed: Claimed,
        event: Event,
        payload: str,
        error: Exception,
        said: str | None = None,
        again: float | None = None,
    ) -> EndedJob:
        """Say how a job ends that was not run.

        Args:
            claimed: the job.
            event: what it is taken for.
            payload: of this event.
            error: why.
            said: the same in words; None: as the error says.
            again: seconds until it is tried again, if it recurs; None: never.
        """
        ticket, within = claimed.ticket, self.deliveries.within
        failure = Failure(event=event, platform=ticket.platform, error=error)
        completion = Completion(
            ticket=ticket,
            status=JobStatus.FAILED,
            error=said or error_text(error),
            again=again,
            ends=again is None,
            outcome=None if within is None else outcome_text(failure, payload, None),
            sinks=self.deliveries.takers(),
            deliver=within or 0.0,
        )
        return EndedJob(failure, completion)

    def _told(self, held: Held, outcome: Outcome[Any], task: RunningTask, now: float) -> EndedJob:
        result: Content | None = None
        if isinstance(outcome, Success):
            # What goes out now is what would be delivered again after a crash.
            result, value = kept_of(outcome.value, self.encode)
            if value is not outcome.value:
                outcome = attrs.evolve(outcome, value=value)
        if outcome.items:
            outcome = attrs.evolve(outcome, items=items_of(outcome.items, self.encode))
        again, between, history = self._again(held, outcome, result, task, now)
        within = self.deliveries.within
        completion = Completion(
            ticket=held.ticket,
            status=status_of(outcome),
            result=result,
            error=_said(outcome),
            follow_ups=tuple(job for jobs in held.follow_ups.values() for job in jobs.values()),
            validators=dict(held.validators) if isinstance(outcome, Success) else {},
            again=again,
            between=between,
            history=history,
            keep=min(_LONGEST, (isinstance(outcome, Skipped) and outcome.again_after) or 0.0),
            outcome=None if within is None else outcome_text(outcome, held.claimed.payload, result),
            sinks=self.deliveries.takers(),
            deliver=within or 0.0,
        )
        return EndedJob(outcome, completion, suspect=held.claimed.deaths > 0)

    def _again(
        self, held: Held, outcome: Outcome[Any], result: Content | None, task: RunningTask, now: float
    ) -> tuple[float | None, tuple[float, float] | None, str | None]:
        """Say in how many seconds a job that recurs is due again, between which bounds, and what to remember of it."""
        if held.claimed.cadence is None:
            return None, None, None
        history = History.from_json(held.claimed.history)
        digest = None if result is None else digest_of(result)
        asked = max(0.0, task.record.lane.gate.penalty.until - now)
        polled = Polled.UNCHANGED
        match outcome:
            case Success():
                polled = Polled.UNCHANGED if digest == history.digest else Polled.CHANGED
            case Failure():
                polled = Polled.FAILED
            case Skipped(again_after=seconds):
                asked = max(asked, seconds or 0.0)
        cadence, fresh = task.record.lane.platform.cadence or cadence_from_json(held.claimed.cadence), task.fresh
        after, wait = next_due(cadence, history, polled, hint=fresh, asked=asked, digest=digest, draw=self.draw)
        soonest = max(asked, min(fresh, cadence.max_interval))
        again = min(_LONGEST, max(wait - self.early, min(wait, soonest), 0.0))
        between = None if asked > cadence.max_interval else (asked, min(_LONGEST, cadence.max_interval))
        return again, between, after.to_json()


def _unnamed(claimed: Claimed) -> Event:
    """Make an event of a job of which no more is known than its id."""
    return Event(claimed.ticket.id or "(no id)")


def _said(outcome: Outcome[Any]) -> str | None:
    match outcome:
        case Failure(error=error):
            return error_text(error)
        case Skipped(reason=reason):
            return written(reason)
        case _:
            return None
