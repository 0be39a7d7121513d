"""Helpers for runs that serve a store."""

import trio

import scrapeengine as se

__all__ = ["serve_all", "states"]


async def serve_all(engine, store, *, count=None, **options):
    """Serve until `count` outcomes have come, or nothing is pending; return the outcomes and the report."""
    outcomes = []
    async with engine.serve(store, **options) as run, trio.open_nursery() as nursery:

        async def watch():
            while pending(await store.stats()):
                await trio.sleep(0.25)
            await run.stop(0)

        if count is None:
            nursery.start_soon(watch)
        async for outcome in run:
            outcomes.append(outcome)
            if len(outcomes) == count:
                await run.stop(0)
    return outcomes, run.report


def pending(stats):
    """Count what has not ended."""
    return sum(each.ready + each.delayed + each.leased for each in stats.values())


def states(jobs):
    """List states in words."""
    return [job.status.value if isinstance(job, se.StoredJob) else None for job in jobs]
