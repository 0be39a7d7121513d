"""Behaviours: jobs are looked through, run again and forgotten, and platforms closed and paused by hand."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
import trio.testing

from scrapeengine.errors import StoreFull
from scrapeengine.model.event import Event
from scrapeengine.model.job import JobStatus, Reply, ShareGrant, ShareRequest, StoredJob
from scrapeengine.model.store import Store
from scrapeengine.testing.stores.scenes import (
    Passes,
    StoreScenes,
    behaviour,
    claimed,
    done,
    holds,
    job,
    known,
    order,
    refused,
    same,
)

__all__ = ["AgainScenes", "ClosingScenes", "ReplacingScenes"]

OK, ALREADY, LOST = Reply
DONE, SKIPPED, FAILED, CANCELLED = JobStatus.DONE, JobStatus.SKIPPED, JobStatus.FAILED, JobStatus.CANCELLED


class AgainScenes(StoreScenes):
    """What is in a store can be seen; what has fallen short runs again, and what has ended can be forgotten."""

    @behaviour(keep=10)
    async def test_jobs_are_listed_by_platform_and_id(self, store: Store, passes: Passes) -> None:
        """A page at a time, each job once; of one platform or all, with one status or several or any."""
        await store.enqueue([job(str(number)) for number in range(5)] + [job("x", "a"), job("", "q", delay=5)])
        tickets = await claimed(store, 3)
        await store.complete([done(tickets[0], result="1"), done(tickets[1], FAILED, error="why")])
        every = [("a", "x"), *(("p", str(number)) for number in range(5)), ("q", "")]
        for limit in (1, 2, 3, 100):
            same([each.key for each in await _pages(store, limit)], every, f"jobs(limit={limit}), a page at a time")
        same(await store.jobs(platform="p", limit=1), [await known(store, "p", "0")])
        same(_ids(await store.jobs(platform="p", after=("p", "3"))), ["4"])
        same(_ids(await store.jobs(platform="p", after=("q", ""))), [])
        same(_ids(await store.jobs(platform="p", after=("a", "z"))), ["0", "1", "2", "3", "4"])
        same([each.key for each in await store.jobs(after=("p", "35"))], [("p", "4"), ("q", "")])
        same(_ids(await store.jobs(status=FAILED)), ["1"])
        same(_ids(await store.jobs(status=[FAILED, DONE, JobStatus.LEASED])), ["0", "1", "2"])
        same(_ids(await store.jobs(status=JobStatus.READY, after=("p", "3"), limit=1)), ["4"])
        same(_ids(await store.jobs(status=JobStatus.DELAYED)), [""])
        same(_ids(await store.jobs(status=[])), [])
        await passes(10)
        same(_ids(await store.jobs(platform="p", limit=2)), ["2", "3"], "what is not known any more is in no page")

    @behaviour()
    async def test_what_fell_short_runs_again(self, store: Store, passes: Passes) -> None:
        """All of it, or that of a platform, by id or by event; nothing that is done, skipped or pending."""
        ends = {"done": DONE, "skipped": SKIPPED, "failed": FAILED}
        await store.enqueue([job(each, platform) for each in [*ends, "off", "left"] for platform in "pq"])
        for platform in "pq":
            tickets = await claimed(store, 3, platform)
            await store.complete([done(each, ends[each.id], error="why") for each in tickets])
            await store.cancel(platform, "off")
        await passes(3)
        same(await store.retry(platform="q", ids=["failed", "done", "left", "none"]), 1)
        same(await store.retry(platform="q", ids=["failed"]), 0, "it runs already")
        again = await known(store, "q", "failed")
        same((again.status, again.attempts, again.enqueued, again.error), (JobStatus.READY, 0, store.now(), "why"))
        same(await order(store, "q"), ["left", "failed"], "it stands behind what was there")
        same(await store.retry(events=[Event("off", platforms=["q"]), Event("failed")]), 2)
        same(await store.retry(), 1)
        same(await order(store), ["left", "failed", "off"])
        await passes(100_000)
        same((await known(store, "p", "failed")).status, JobStatus.READY, "it is pending, and so is not forgotten")
        (ticket, *_) = await claimed(store, ids=["failed"])
        same(await store.complete([done(ticket)]), [OK])
        same((await known(store, "p", "failed")).status, DONE)

    @behaviour(max_pending=1)
    async def test_what_recurs_and_was_cancelled_recurs_again(self, store: Store) -> None:
        """With its cadence and its history; beyond `max_pending` too, as what is followed does."""
        await store.enqueue([job("a", cadence="c")])
        (ticket,) = await claimed(store)
        await store.complete([done(ticket, history="h", again=60)])
        await store.cancel("p", "a")
        await store.enqueue([job("b")])
        same(await store.retry(ids=["a"]), 1)
        (again,) = await store.claim("p", 1, "me", 10, ids=["a"])
        same((again.cadence, again.history, again.attempts), ("c", "h", 1))
        same(await store.complete([done(ticket)]), [ALREADY])

    @behaviour()
    async def test_what_has_ended_can_be_forgotten(self, store: Store) -> None:
        """Its id is new again then; what is pending stays."""
        await store.enqueue([job(each) for each in "abcd"] + [job("a", "q")])
        a, b, _ = await claimed(store, 3)
        await store.complete([done(a, keep=1000, outcome="1"), done(b, FAILED)])
        await store.cancel("p", "d")
        same(await store.forget(ids=["a", "c"], platform="p"), 1)
        same([await store.get("p", "a"), (await known(store, "p", "c")).status], [None, JobStatus.LEASED])
        same([each.new for each in await store.enqueue([job("a"), job("c")])], [True, False])
        same(await store.forget(platform="q"), 0)
        same(await store.forget(), 2)
        same(_ids(await store.jobs(platform="p")), ["a", "c"])
        same([each.outcome for each in await store.undelivered("", 9, 5)], ["1"], "what it left for sinks is theirs")

    @behaviour(max_kept=10_000)
    async def test_any_number_runs_again_and_is_forgotten(self, store: Store) -> None:
        """Many are done in parts, and none of them twice."""
        await store.enqueue([job(f"{number:04}", "pq"[number % 2]) for number in range(450)])
        for platform in "pq":
            tickets = await claimed(store, 1000, platform)
            await store.complete([done(each, FAILED) for each in tickets])
        same(await store.retry(platform="p"), 225)
        same(await store.retry(), 225)
        same((await store.stats())["p"].ready, 225)
        for platform in "pq":
            await store.complete([done(each, SKIPPED) for each in await claimed(store, 1000, platform)])
        same(await store.retry(), 0)
        same(await store.forget(ids=[f"{number:04}" for number in range(300)]), 300)
        same(await store.forget(), 150)
        same(await store.stats(), {})


class ReplacingScenes(StoreScenes):
    """What is enqueued once more runs again if it fell short, and replaces what is pending if it should."""

    @pytest.mark.parametrize("status", [FAILED, CANCELLED])
    @behaviour(max_pending=2)
    async def test_what_fell_short_runs_again_when_it_is_enqueued(
        self, store: Store, passes: Passes, status: Any
    ) -> None:
        """As a new job, with its new data; it needs room as one, and its old completion is still known."""
        await store.enqueue([job("a", cadence="c"), job("b")])
        (a,) = await claimed(store, ids=["a"])
        await store.cancel("p", "a")
        if status is FAILED:
            await store.enqueue([job("a", payload="0")])
            (a,) = await claimed(store, ids=["a"])
            await store.complete([done(a, FAILED, error="why", keep=1000)])
        await passes(5)
        await refused(store.enqueue([job("a"), job("c")]), StoreFull)
        same((await known(store, "p", "a")).status, status, "nothing of it has happened")
        first, second = await store.enqueue([job("a", payload="2", priority=3, delay=1), job("a", payload="3")])
        same((first.new, second.new), (True, False))
        stored = await known(store, "p", "a")
        same((stored.status, stored.payload, stored.priority), (JobStatus.DELAYED, "2", 3))
        same((stored.error, stored.attempts, stored.recurs, stored.enqueued), (None, 0, False, store.now()))
        same(await store.complete([done(a, FAILED)]), [ALREADY if status is FAILED else LOST])
        await passes(1)
        await store.due()
        same([ticket.id for ticket in await claimed(store)], ["a", "b"])

    @behaviour()
    async def test_what_is_followed_and_known_is_left(self, store: Store) -> None:
        """Failed or not: many pages lead to one that is not there."""
        await store.enqueue([job("a"), job("b"), job("gone")])
        tickets = {ticket.id: ticket for ticket in await claimed(store)}
        await store.complete([done(tickets["gone"], FAILED)])
        found = (job("gone"), job("a", payload="2"))
        await store.complete([done(tickets["b"], follow_ups=found)])
        same((await known(store, "p", "gone")).status, FAILED)
        same((await known(store, "p", "a")).payload, "{}")

    @behaviour()
    async def test_a_pending_job_is_replaced(self, store: Store, passes: Passes) -> None:
        """Its data, priority and due time are the new ones, its place is as before; what is leased goes on."""
        await store.enqueue([job("a"), job("b", delay=50), job("c", cadence="c"), job("d")])
        (ticket,) = await claimed(store, ids=["d"])
        replies = await store.enqueue(
            [job("a", payload="1"), job("b", payload="2"), job("c", payload="3", delay=5), job("d", payload="4")],
            replace=True,
        )
        same([(each.new, each.replaced) for each in replies], [(False, True)] * 3 + [(False, False)])
        same([each.job.payload for each in replies], ["1", "2", "3", "{}"])
        same(
            (replies[2].job.status, replies[2].job.due, replies[2].job.recurs),
            (JobStatus.DELAYED, store.now() + 5, True),
        )
        same(await order(store), ["a", "b"])
        await store.enqueue([job("b", payload="2", priority=1)], replace=True)
        same((await known(store, "p", "b")).priority, 1)
        same(await order(store), ["b", "a"])
        same([await store.position("p", each) for each in "ab"], [1, 0])
        same(await store.complete([done(ticket)]), [OK])
        await passes(5)
        await store.due()
        (found,) = await store.claim("p", 1, "me", 10, ids=["c"])
        same((found.payload, found.cadence), ("3", "c"))

    @behaviour()
    async def test_a_shorter_cadence_takes_effect_at_once(self, store: Store, passes: Passes) -> None:
        """What waits is due when its interval has passed, and no later than it was; after a long time, now."""
        await store.enqueue(
            [job(each, cadence="c") for each in "abc"] + [job("d", delay=90), job("e", delay=90, cadence="c")]
        )
        await store.complete([done(each, again=1000) for each in await claimed(store)])
        await passes(30)
        await store.enqueue([job("a", cadence="d", interval=60), job("b", cadence="d", interval=10)])
        await store.enqueue([job("c", cadence="c", interval=10), job("d", cadence="d", interval=10)])
        await store.enqueue([job("e", cadence="d", interval=10)])
        now = store.now()
        dues = [(await known(store, "p", each)).due for each in "abcde"]
        same(dues, [now + 30, None, now + 970.002, now + 60, now + 60])
        await store.enqueue([job("a", cadence="e", interval=500)])
        same((await known(store, "p", "a")).due, now + 30)

    @behaviour()
    async def test_a_cadence_that_changes_in_somebodys_hand_takes_effect(self, store: Store, passes: Passes) -> None:
        """Who has it in hand does not know of it: it is due when the interval has passed, whatever they say."""
        await store.enqueue([job("a", cadence="c"), job("b", cadence="c")])
        a, b = await claimed(store)
        await store.enqueue([job(each, cadence="d", interval=60) for each in "ab"])
        await store.complete([done(a, again=1000), done(b, again=5)])
        now = store.now()
        same([(await known(store, "p", each)).due for each in "ab"], [now + 60, now + 5])
        await passes(60)
        await store.due()
        (a,) = await claimed(store, ids=["a"])
        await store.complete([done(a, again=1000)])
        same((await known(store, "p", "a")).due, now + 1060)

    @behaviour(keep=100)
    async def test_what_is_done_recurs_once_it_has_a_cadence(self, store: Store, passes: Passes) -> None:
        """From then on: when the interval has passed since it was done, or now; its result stays so long."""
        await store.enqueue([job("a"), job("b")])
        a, b = await claimed(store)
        await store.complete([done(a, result="1"), done(b, SKIPPED)])
        await passes(10)
        replies = await store.enqueue([job("a", cadence="c", interval=60), job("b", cadence="c", interval=5)])
        same([each.new for each in replies], [False, False])
        same([(each.job.status, each.job.due, each.job.recurs) for each in replies], [
            (JobStatus.DELAYED, store.now() + 50, True), (JobStatus.READY, None, True),
        ])  # fmt: skip
        same(replies[0].job.result, "1")
        await passes(1000)
        same(await store.due(), ["p"])
        same([each.attempts for each in await store.claim("p", 9, "me", 10)], [1, 1])


class ClosingScenes(StoreScenes):
    """A platform is closed by hand, and reopened, and all who share it hear of it."""

    @behaviour()
    async def test_a_platform_is_closed_by_hand(self, store: Store, passes: Passes) -> None:
        """For so long at least, and no other one."""
        await store.close("p", 10)
        same((await _heard(store, "p")).closed_until, store.now() + 10)
        same((await _heard(store, "q")).closed_until, None)
        await store.close("p", 5)
        same((await _heard(store, "p")).closed_until, store.now() + 10)
        await store.close("p", 20)
        await passes(19)
        same((await _heard(store, "p")).closed_until, store.now() + 1)
        await passes(1)
        same((await _heard(store, "p")).closed_until, None)

    @behaviour()
    async def test_what_is_closed_or_reopened_is_counted(self, store: Store) -> None:
        """Where engines do not share the store, and so would not hear of it."""
        counts = [store.closings]
        await store.close("p", 10)
        counts.append(store.closings)
        await store.reopen("q")
        counts.append(store.closings)
        same(sorted(counts), counts)
        same(len(set(counts)), 1 if store.shared and not any(counts) else 3)

    @behaviour()
    async def test_what_was_known_of_a_penalty_is_over_when_it_is_reopened(self, store: Store) -> None:
        """Who has not heard of that cannot close it again; a new penalty of who has heard of it can."""
        until = store.now() + 1e6
        before = await _heard(store, "p", closed_until=until)
        same(before.closed_until, until)
        await store.reopen("p")
        late = await _heard(store, "p", closed_until=until, openings=before.openings)
        same((late.closed_until, late.openings), (None, before.openings + 1))
        await store.close("p", 5)
        same((await _heard(store, "p", openings=late.openings)).closed_until, store.now() + 5)
        new = await _heard(store, "p", closed_until=until, openings=late.openings)
        same(new.closed_until, until)
        await store.reopen("q")
        same((await _heard(store, "p")).closed_until, until)

    @behaviour()
    async def test_what_was_given_back_until_the_end_of_a_penalty_is_ready(self, store: Store) -> None:
        """What was delayed from the beginning, or is on another platform, stays so."""
        await store.enqueue([job("a"), job("b", delay=50), job("a", "q")])
        tickets = await claimed(store) + await claimed(store, platform="q")
        await store.release(tickets, 1e6)
        await store.reopen("p")
        same(await order(store), ["a"])
        same((await known(store, "p", "b")).status, JobStatus.DELAYED)
        same((await known(store, "q", "a")).status, JobStatus.DELAYED)

    @behaviour()
    async def test_a_platform_is_paused_until_it_is_resumed(self, store: Store, passes: Passes) -> None:
        """Nobody gets a slot there, whoever had some, however much time passes; no other platform is concerned."""
        asked = ShareRequest(limit=3, wanted=3, held=0, rates=(), requests=0)
        same((await store.share("me", {"p": asked}, 5))["p"].slots, 3)
        await store.pause("p")
        await store.pause("p")
        for request in (asked, attrs.evolve(asked, held=2, keep=True)):
            grants = await store.share("me", {"p": request, "q": asked}, 5)
            same((grants["p"].slots, grants["p"].paused), (0, True))
            same((grants["q"].slots, grants["q"].paused), (3, False))
        await passes(1e6)
        for _ in range(2):
            holds((await _heard(store, "p")).paused, "a pause lasts until it is ended")
            await store.reopen("p")
        await store.resume("p")
        grant = (await store.share("me", {"p": attrs.evolve(asked, keep=True)}, 5))["p"]
        same((grant.slots, grant.paused), (3, False))

    @behaviour()
    async def test_what_is_paused_or_closed_is_counted_with_the_jobs(self, store: Store, passes: Passes) -> None:
        """Also where there are none; what is open again is not."""
        await store.enqueue([job("a")])
        await store.pause("p")
        await store.pause("q")
        await store.close("r", 10)
        await passes(4)
        counted = await store.stats()
        same({name: (each.ready, each.paused, each.closed) for name, each in counted.items()}, {
            "p": (1, True, 0), "q": (0, True, 0), "r": (0, False, 6),
        })  # fmt: skip
        await store.resume("p")
        await store.resume("q")
        await passes(6)
        counted = await store.stats()
        same({name: (each.paused, each.closed) for name, each in counted.items()}, {"p": (False, 0)})

    @behaviour()
    async def test_who_waits_looks_again_when_a_platform_is_paused_or_resumed(self, store: Store) -> None:
        """So an engine that has nothing in hand hears of it."""
        await store.enqueue([job("a")])
        for call in (store.pause, store.resume):
            await store.due()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.wait, 1e9)
                await trio.testing.wait_all_tasks_blocked()
                await call("p")


async def _pages(store: Store, limit: int) -> list[StoredJob]:
    found: list[StoredJob] = []
    while page := await store.jobs(after=found[-1].key if found else None, limit=limit):
        found += page
    return found


def _ids(jobs: list[StoredJob]) -> list[str]:
    return [each.id for each in jobs]


async def _heard(
    store: Store, platform: str, closed_until: float | None = None, openings: int | None = None
) -> ShareGrant:
    """Ask for nothing, and hear whether the platform is closed."""
    nothing = ShareRequest(
        limit=1, wanted=0, held=0, rates=(), requests=0, closed_until=closed_until, openings=openings
    )
    return (await store.share("me", {platform: nothing}, 5))[platform]
