"""Log lines about what may happen any number of times in a run: failures, retries, platforms that close and open.

Each kind (what has happened, on which platform, by which class of error) is told once a second at most, and then with
how many were left out. The first time that a class of error comes from a place in the program, it is a warning, with
its traceback where it is no trouble of a site's; all other failures are for those who look at infos.

All lines of the engine are listed in docs/guide.md.
"""

from __future__ import annotations

from typing import Any

import trio

from scrapeengine.decide.quota import Firsts, Quota, place_of
from scrapeengine.decide.texts import text_of
from scrapeengine.errors import PoisonousJob, RequestError
from scrapeengine.model.instrument import RetryDecided, TaskRetried
from scrapeengine.model.outcome import Failure
from scrapeengine.model.urls import named, shown
from scrapeengine.observe.log import write

__all__ = ["Lines"]

_LONGEST = 500
"""Letters of an error's text that are shown. The program's own may be a whole page."""


class Lines:
    """The lines of one run. It is an instrument, and hears of retries as any other; failures are told to it alone."""

    def __init__(self, declared: frozenset[str], default: str) -> None:
        """Make it.

        Args:
            declared: the platforms whose lines are kinds of their own.
            default: the name for all others: how many hosts there are, nobody knows.
        """
        self._declared = declared
        self._default = default
        self._quota = Quota()
        self._shown = Firsts()

    def failed(self, failure: Failure) -> None:
        """Tell of a task that has failed."""
        error = failure.error
        if isinstance(error, PoisonousJob):
            return  # who has set it aside has said so
        first = self._shown.see(place_of(error))
        # What a site has done is no bug of the program's, and its text says what was asked for.
        whole = first and not isinstance(error, RequestError) and (error.__traceback__ or error.__cause__)
        self.say(
            "a task has failed",
            failure.platform,
            error,
            level="warning" if first else "info",
            must=first,
            exc_info=error if whole else None,
            id=named(failure.event.id),
            attempts=failure.attempts,
        )

    def task_retried(self, details: TaskRetried) -> None:
        """Tell of a task whose scraper runs again."""
        self.say(
            "a task is tried again",
            details.platform,
            id=named(details.event.id),
            attempt=details.attempt,
            after=round(details.after, 3),
        )

    def retry_decided(self, details: RetryDecided) -> None:
        """Tell of a request that is made again."""
        self.say(
            "a request is tried again",
            details.platform,
            details.error,
            id=named(details.event.id),
            method=details.method,
            url=shown(details.url),
            attempt=details.attempt,
            after=round(details.after, 3),
        )

    def say(
        self,
        what: str,
        platform: str,
        error: BaseException | None = None,
        *,
        level: str = "info",
        must: bool = False,
        **fields: Any,
    ) -> None:
        """Log that something has happened on a platform, unless enough was said of its kind within the last second.

        Args:
            what: the line.
            platform: the platform's name.
            error: what has led to it.
            level: the level, by its name.
            must: whether it is said in any case.
            **fields: what else is to be said; what is None is left out.
        """
        home = platform if platform in self._declared else self._default
        kind = (what, home, None if error is None else type(error).__name__)
        left_out = self._quota.ask(kind, trio.current_time(), must=must)
        if left_out is None:
            return
        if error is not None:
            fields |= {"error": type(error).__name__, "reason": text_of(error)[:_LONGEST]}
        fields = {"platform": named(platform), **fields, "left_out": left_out or None}
        write(level, what, {name: value for name, value in fields.items() if value is not None})

    def end(self) -> None:
        """Tell what was left out after the last line of each kind, at the end of the run."""
        for kind, count in self._quota.left().items():
            what, platform, error = kind if isinstance(kind, tuple) else (None, None, None)
            fields = {"of": what, "platform": platform and named(platform), "error": error, "left_out": count}
            write("info", "more was left out", {name: value for name, value in fields.items() if value is not None})

    def __repr__(self) -> str:
        """Count the kinds of lines."""
        return f"<Lines, {self._quota!r}>"
