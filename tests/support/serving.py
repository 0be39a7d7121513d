"""Helpers for runs that serve a store."""

import attrs
import trio

import scrapeengine as se

__all__ = ["Flaky", "pending", "serve_all"]


@attrs.define(eq=False)
class Flaky:
    """A store of which some calls fail, for as long as they are named in `down`; it counts the calls."""

    store: object
    down: set = attrs.field(factory=set)
    calls: list = attrs.field(factory=list)
    refuses: str | None = None
    """The id of a job whose completion it takes for malformed."""

    def __getattr__(self, name):
        """Pass a call on."""
        value = getattr(self.store, name)
        if name in {"now", "shared", "starts", "closings"}:
            return value

        async def call(*args, **options):
            self.calls.append(name)
            if name in self.down:
                raise se.StoreError("the disk is full")
            if name == "complete" and self.refuses in {each.ticket.id for each in args[0]}:
                raise ValueError("there is something about it")
            return await value(*args, **options)

        return call


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
