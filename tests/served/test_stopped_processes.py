"""A process that was stopped for longer than its lease starts nothing on what it was granted before, but asks anew."""

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.model.job import ShareGrant

LEASE = 3.0


class Granting:
    """A store in memory whose share is what it is told to grant; while it is silent nobody has an answer."""

    shared = True

    def __init__(self, store, slots):
        self.store = store
        self.slots = slots
        self.speaks = trio.Event()
        self.speaks.set()
        self.asked = []

    def __getattr__(self, name):
        """Pass all else on."""
        return getattr(self.store, name)

    async def share(self, owner, share_requests, lease):  # noqa: ARG002 - as a store has it
        """Grant what there is."""
        await trio.lowlevel.checkpoint()
        await self.speaks.wait()
        self.asked += share_requests.values()
        return {
            name: ShareGrant(slots=self.slots, times=(), closed_until=None, contended=True) for name in share_requests
        }


class Stopped:
    """A run of one platform that is stopped in the middle: what its tasks do stands in `done`, with the times."""

    def __init__(self):
        self.done = []
        self.running = 0

    async def work(self, _):
        """Take one second, and make no request."""
        self.running += 1
        self.done.append((trio.current_time(), "start"))
        try:
            await trio.sleep(1)
        finally:
            self.running -= 1

    async def ask(self, task):
        """Make ten requests."""
        for _ in range(10):
            await task.http.get("http://a.test/")

    async def answer(self, _):
        """Answer after a third of a second: some are on their way when a lease ends."""
        self.done.append((trio.current_time(), "request"))
        self.running += 1
        await trio.sleep(0.35)
        self.running -= 1
        return httpx.Response(200)

    async def play(self, scrape, then, *, clock=None):
        """Let it run for two seconds, have its slots end, and go on as `then` says.

        With a clock all stands still for longer than the lease, and the jobs' leases end too. Without, only who asks
        for slots has no answer.
        """
        platform = se.Platform("A", scrape, limit=4, transport=httpx.MockTransport(self.answer))
        engine = se.Engine([platform])
        async with se.open_store("memory:") as memory:
            store = Granting(memory, 4)
            await engine.enqueue(store, [se.Event(n) for n in range(100)])
            async with engine.serve(store, lease=LEASE) as run, trio.open_nursery() as nursery:
                nursery.start_soon(self.read, run)
                await trio.sleep(2.1)
                store.speaks = trio.Event()
                if clock is None:
                    await trio.sleep(LEASE)
                else:
                    clock.jump(2 * LEASE)
                assert self.done
                self.done.clear()
                await then(store)
                nursery.cancel_scope.cancel()

    async def read(self, run):
        """Read its outcomes."""
        async for _ in run:
            pass


@pytest.mark.parametrize("stands_still", [True, False])
@pytest.mark.parametrize("what", ["work", "ask"])
async def test_nothing_starts_on_slots_whose_lease_has_ended(autojump_clock, what, stands_still):
    """Neither a task nor a request of one that runs, until the store has answered anew, however long that takes."""
    stopped = Stopped()

    async def then(store):
        await trio.sleep(2)
        assert stopped.done == []
        store.slots = 2
        store.speaks.set()
        await trio.sleep(5)
        assert stopped.done

    await stopped.play(getattr(stopped, what), then, clock=autojump_clock if stands_still else None)


async def test_what_runs_on_an_ended_share_is_within_the_new_one_before_it_goes_on(autojump_clock):
    """Four tasks run when their slots have ended, and one slot is left to them: one request at a time goes out."""
    stopped = Stopped()
    most = 0

    async def then(store):
        nonlocal most
        store.asked.clear()
        store.slots = 1
        store.speaks.set()
        await trio.sleep(0.6)  # what was on its way when the slots ended was sent while they held
        for _ in range(100):
            most = max(most, stopped.running)
            await trio.sleep(0.05)
        assert len(stopped.done) >= 9
        # The first of them was asked before the slots had ended.
        assert max(share_request.held for share_request in store.asked[1:]) <= 1

    await stopped.play(stopped.ask, then)
    assert most == 1
