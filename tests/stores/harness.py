"""Stores in simulated time: the clock moves only when a test moves it, or, in memory, when all wait."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from trio.testing import MockClock

from scrapeengine.model.job import Completion, JobStatus, NewJob, Ticket
from scrapeengine.stores import open_store

DONE, SKIPPED, FAILED = JobStatus.DONE, JobStatus.SKIPPED, JobStatus.FAILED


def run(url: str, scenario: Callable[..., Awaitable[None]], **options: Any) -> None:
    """Open a store, and play a scenario with it and a clock that it moves itself."""
    clock = MockClock()

    async def main() -> None:
        async with open_store(url, **options) as store:
            await scenario(store, clock)

    trio.run(main, clock=clock)


def job(id: str, platform: str = "p", **values: Any) -> NewJob:
    """Make a job."""
    return NewJob(platform, id, values.pop("payload", "{}"), **values)


def done(ticket: Ticket, status: JobStatus = DONE, **values: Any) -> Completion:
    """Make a completion."""
    return Completion(ticket=ticket, status=status, **values)


async def claimed(store: Any, n: int = 100, platform: str = "p", lease: float = 10.0, **values: Any) -> list[Ticket]:
    """Claim jobs, and return their tickets."""
    return [each.ticket for each in await store.claim(platform, n, "me", lease, **values)]


async def opened(path: Any, **options: Any) -> Any:
    """Open a file and leave it."""
    async with open_store(f"sqlite:{path}", **options) as store:
        return await store.stats()


async def order(store: Any, platform: str = "p") -> list[str]:
    """List the ready jobs in the order in which they are claimed, and give them back."""
    tickets = await claimed(store, 1000, platform)
    await store.release(tickets)
    return [ticket.id for ticket in tickets]
