"""While an engine asks for its part of a platform, it runs no more than it has said."""

import pytest
import trio

import scrapeengine as se
from scrapeengine.model.job import ShareGrant
from support.serving import serve_all


class Shared:
    """A store in memory that is shared with others who want all of it, and that takes its time to say so."""

    shared = True

    def __init__(self, store, running):
        self.store = store
        self.running = running
        self.asked = []

    def __getattr__(self, name):
        """Pass all else on."""
        return getattr(self.store, name)

    async def share(self, owner, share_requests, lease):  # noqa: ARG002 - as a store has it
        """Grant three slots, and take note of the most tasks that ran meanwhile, beside what was said."""
        said = {name: share_request.held for name, share_request in share_requests.items()}
        most = 0
        for _ in range(10):
            await trio.sleep(0.01)
            most = max(most, len(self.running))
        if not any(share_request.keep for share_request in share_requests.values()):
            self.asked.append((said.get("A", 0), most))
        return {name: ShareGrant(slots=3, times=(), closed_until=None, contended=True) for name in share_requests}


async def test_nothing_starts_beyond_what_was_said(autojump_clock):
    """What a smaller share takes away is others' as soon as the store has decided, and so before the answer is here."""
    running = set()

    async def scrape(task):
        running.add(task.event.id)
        await trio.sleep(0.03 * (1 + int(task.event.id) % 5))
        running.discard(task.event.id)

    async with se.open_store("memory:") as store:
        shared = Shared(store, running)
        engine = se.Engine([se.Platform("A", scrape, limit=5)])
        for n in range(100):
            await engine.enqueue(shared, [se.Event(n)], delay=0.037 * n)
        await serve_all(engine, shared, count=100)
        asked = shared.asked
    assert len(asked) > 5
    assert [(held, most) for held, most in asked if most > held] == []


class Alone:
    """A store in memory that might be shared, and that nobody else works for; it counts what is given back."""

    shared = True

    def __init__(self, store):
        self.store = store
        self.given_back = 0

    def __getattr__(self, name):
        """Pass all else on."""
        return getattr(self.store, name)

    async def share(self, owner, share_requests, lease):  # noqa: ARG002 - as a store has it
        """Grant all that is wished for."""
        await trio.lowlevel.checkpoint()
        self.given_back += sum(
            share_request.wanted == share_request.held == 0 for share_request in share_requests.values()
        )
        return {
            name: ShareGrant(slots=share_request.wanted, times=(), closed_until=None, contended=False)
            for name, share_request in share_requests.items()
        }


async def test_a_lane_that_has_no_work_for_a_moment_keeps_its_slots(autojump_clock):
    """Else each job that comes alone waits for slots that nobody has taken; four times a second all is given back."""

    async def scrape(task):
        await trio.sleep(0.001)

    began = trio.current_time()
    async with se.open_store("memory:") as store:
        alone = Alone(store)
        engine = se.Engine([se.Platform("A", scrape, limit=5)])
        for n in range(100):
            await engine.enqueue(alone, [se.Event(n)], delay=0.03 * (n // 2) + 0.003 * (n % 2))
        await serve_all(engine, alone, count=100)
        given_back = alone.given_back
        seconds = trio.current_time() - began
    assert 1 <= given_back <= seconds / 0.25 + 1


class Ours:
    """A store in memory that engines of one process share, as they would a file."""

    shared = True

    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        """Pass all on."""
        return getattr(self.store, name)


@pytest.mark.parametrize("limit", [4, 1])
async def test_two_engines_have_a_fair_part_each(autojump_clock, limit):
    """Who came first asks between its turns too, whenever a job comes, and keeps no more for that than its part."""
    running, began, most = {1: set(), 2: set()}, {1: 0, 2: 0}, 0

    def engine(name):
        async def scrape(task):
            nonlocal most
            running[name].add(task.event.id)
            most = max(most, len(running[1]) + len(running[2]))
            began[name] += 1
            await trio.sleep(0.05)
            running[name].discard(task.event.id)

        return se.Engine([se.Platform("A", scrape, limit=limit)])

    async def serve(engine):
        async with engine.serve(store) as run:
            async for _ in run:
                pass

    async with se.open_store("memory:") as memory, trio.open_nursery() as nursery:
        store, first = Ours(memory), engine(1)
        await first.enqueue(store, [se.Event(n) for n in range(5000)])
        nursery.start_soon(serve, first)
        await trio.sleep(2)
        nursery.start_soon(serve, engine(2))
        await trio.sleep(2)
        began[1] = began[2] = 0
        await trio.sleep(4)
        nursery.cancel_scope.cancel()
    assert most == limit
    assert min(began.values()) >= 0.4 * sum(began.values())
    assert sum(began.values()) >= 0.8 * limit * 4 / 0.05 * (1 if limit > 1 else 0.4)
