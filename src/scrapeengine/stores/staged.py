"""Large numbers of jobs come in by many short steps, and all at once: see `stores.rules.staging`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

import attrs
import trio

from scrapeengine.errors import StoreError, StoreFull
from scrapeengine.model.job import Known, NewJob
from scrapeengine.stores.backend import TableBackend
from scrapeengine.stores.rules import staging

__all__ = ["PART", "StagedJobs", "cut", "is_large", "never_room"]

PART = 250
"""The most jobs that come in by one step, of some milliseconds; fewer where they are large (`staging.SIZE`)."""
_RENEWED = 10.0
"""Seconds after which who waits for room says again that it lives."""


@attrs.frozen(eq=False, repr=False)
class StagedJobs:
    """Jobs that are to come in together."""

    backend: TableBackend
    jobs: Sequence[NewJob]
    replace: bool

    async def enqueue(self) -> list[Known]:
        """Bring them in. Checkpoint. If cancelled before all of them are in the store, none is; then it returns."""
        run = self.backend.run
        await self._check_room()
        number = await run(staging.begin)
        try:
            more = await self._put(number)
            taken = await self._take(number, more)
        except BaseException:
            # None of them is a job. What is left behind here is cleared away by others, once this owner is silent.
            with trio.CancelScope(shield=True), suppress(StoreError):
                await self._clear(number)
            raise
        answers: list[Known] = []
        # All of them are in the store now: whoever is cancelled here learns so, and what they have become.
        with trio.CancelScope(shield=True):
            for first, part in cut(self.jobs):
                rule = partial(staging.settle, number=number, first=first, jobs=part, taken=taken)
                answers += await run(rule)
            with suppress(StoreError):
                await self._clear(number)
        return answers

    async def _check_room(self) -> None:
        """Refuse what never has room, before any of it is staged. Checkpoint, or none."""
        most, keys = self.backend.policy.max_pending, set[tuple[str, str]]()
        if len(self.jobs) <= most:
            return
        for _, part in cut(self.jobs):
            await trio.lowlevel.checkpoint()
            keys.update((job.platform, job.id) for job in part)
            if len(keys) > most:
                raise StoreFull(never_room(len(keys), most))

    async def _put(self, number: int) -> int:
        """Stage them, and return how many more pending jobs they make."""
        more = set[tuple[str, str]]()
        for first, part in cut(self.jobs):
            rule = partial(staging.put, number=number, first=first, jobs=part, before=more)
            more |= await self.backend.run(rule)
        return len(more)

    async def _take(self, number: int, more: int) -> float:
        """Let all of them be in the store, once there is room; return when that was, by its `now`."""
        rule = partial(staging.take, number=number, more=more, size=len(self.jobs), replace=self.replace)
        while True:
            rung = self.backend.notifier.rung  # before the attempt: room that is made from here on rings it
            try:
                return await self.backend.run(rule)
            except StoreFull:
                if self.backend.policy.full == "raise":
                    raise
            with trio.move_on_after(min(_RENEWED, self.backend.look_again)):
                await rung.wait()

    async def _clear(self, number: int) -> None:
        while await self.backend.run(partial(staging.clear, number=number, n=PART)):
            pass


def is_large(jobs: Sequence[NewJob]) -> bool:
    """Say whether jobs are too many, or too large, to come in by one step."""
    return len(jobs) > PART or (len(jobs) > 1 and sum(len(job.payload) for job in jobs) > staging.SIZE)


def cut(jobs: Sequence[NewJob]) -> Iterator[tuple[int, Sequence[NewJob]]]:
    """Cut jobs into parts that come in by one step each; each part with the place of its first job."""
    first, size = 0, 0
    for place, job in enumerate(jobs):
        if place > first and (place - first >= PART or size + len(job.payload) > staging.SIZE):
            yield first, jobs[first:place]
            first, size = place, 0
        size += len(job.payload)
    if jobs:
        yield first, jobs[first:]


def never_room(distinct: int, most: int) -> str:
    """Say what to do with a batch that is larger than all that may be pending."""
    return f"a batch of at least {distinct:,} jobs never has room where {most:,} may be pending: cut it up"
