"""Stores in simulated time: the clock moves only when a test moves it, or, in memory, when all wait."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from trio.testing import MockClock

from scrapeengine.model.job import JobStatus
from scrapeengine.stores import open_store
from scrapeengine.testing.stores.scenes import claimed, done, job, order

__all__ = ["DONE", "FAILED", "SKIPPED", "claimed", "done", "job", "opened", "order", "run"]

DONE, SKIPPED, FAILED = JobStatus.DONE, JobStatus.SKIPPED, JobStatus.FAILED


def run(url: str, scenario: Callable[..., Awaitable[None]], **options: Any) -> None:
    """Open a store, and play a scenario with it and a clock that it moves itself."""
    clock = MockClock()

    async def main() -> None:
        async with open_store(url, **options) as store:
            await scenario(store, clock)

    trio.run(main, clock=clock)


async def opened(path: Any, **options: Any) -> Any:
    """Open a file and leave it."""
    async with open_store(f"sqlite:{path}", **options) as store:
        return await store.stats()
