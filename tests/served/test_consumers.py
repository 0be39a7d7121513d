"""From the store to the consumer: it gets each outcome at least once, and has had one when it asks for the next."""

import pytest
import trio

import scrapeengine as se
from support.serving import pending

LEASE = 1000.0
"""Longer than any test: what is had again within seconds was given back, and has not just come to its end."""


async def scrape(task):
    """Take a second."""
    await trio.sleep(1)
    return task.event.id


def engine(**options):
    """Make an engine, whose tasks take a second."""
    return se.Engine([se.Platform("A", scrape, limit=4)], **options)


async def enqueued(store, count):
    """Enqueue events."""
    await engine().enqueue(store, map(se.Event, range(count)))
    return [str(number) for number in range(count)]


async def read(store, *, until="idle", **options):
    """Read a run to its end; return the ids that it gave, in order, and its report."""
    async with engine().serve(store, until=until, lease=LEASE, **options) as run:
        ids = [outcome.event.id async for outcome in run]
    return ids, run.report


async def kept(store):
    """Count the outcomes that are kept, whoever has them in hand."""
    return len(store.store._store._backend._tables.outbox._kept)


async def test_what_was_read_to_the_end_is_had(autojump_clock, store):
    """Each once, and nothing is left for later."""
    ids = await enqueued(store, 20)
    found, report = await read(store)
    assert sorted(found, key=int) == ids
    assert (report.redelivered, report.unread) == (0, 0)
    assert await kept(store) == 0
    found, report = await read(store)
    assert (found, report.redelivered) == ([], 0)


@pytest.mark.parametrize("leave", ["break", "raise", "cancel"])
async def test_what_was_not_had_is_delivered_again_within_seconds(autojump_clock, store, leave):
    """What was in hand when the consumer left, too; what it had asked to go on from is not."""
    ids, found = await enqueued(store, 20), []
    with trio.CancelScope() as scope:
        try:
            async with engine().serve(store, lease=LEASE) as run:
                async for outcome in run:
                    found.append(outcome.event.id)
                    if len(found) < 7:
                        continue
                    if leave == "break":
                        break
                    if leave == "raise":
                        raise KeyError(leave)
                    scope.cancel()
                    await trio.sleep_forever()
        except KeyError:
            pass
    with trio.fail_after(30):
        again, report = await read(store, until="empty")
    assert sorted(found[:6] + again, key=int) == ids
    assert found[6] in again
    assert report.redelivered >= 1


async def test_what_a_process_had_in_hand_when_it_died(autojump_clock, store):
    """Another one delivers it, once the time that the first one had for it is over, and nothing that was had."""
    ids, found = await enqueued(store, 20), []
    with trio.move_on_after(3.5):
        async with engine().serve(store, lease=20) as run:
            async for outcome in run:
                found.append(outcome.event.id)
                if len(found) == 6:
                    await trio.sleep(0.5)  # what it has had so far is written by now
                    store.down |= {"defer", "release", "acknowledge", "complete", "renew"}
                    await trio.sleep_forever()
    store.down.clear()
    await trio.sleep(20)
    again, _ = await read(store, until="empty")
    assert sorted(found[:5] + again, key=int) == ids


async def test_another_run_of_the_process_has_what_one_did_not(autojump_clock, store):
    """While both serve the store nobody gets the other's; then what one has left, within seconds."""
    await enqueued(store, 4)
    found = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def slow():
            with trio.move_on_after(100):
                async with engine().serve(store, lease=10) as run:
                    async for outcome in run:
                        found.append(("slow", outcome.event.id))
                        await trio.sleep_forever()

        @nursery.start_soon
        async def other():
            await trio.sleep(5)
            async with se.Engine([se.Platform("B", scrape)]).serve(store, lease=10) as run:
                with trio.move_on_after(100):
                    async for outcome in run:
                        found.append(("other", trio.current_time() - begun, outcome.event.id))

        begun = trio.current_time()
    [first, *rest] = found
    assert first[0] == "slow"
    assert sorted(each[2] for each in rest) == ["0", "1", "2", "3"]
    assert all(99 <= each[1] <= 103 for each in rest)


async def test_each_of_several_readers_has_one_in_hand(autojump_clock, store):
    """One that goes on does not say that another has had what it still works on."""
    ids, had = await enqueued(store, 12), []
    with pytest.raises(ExceptionGroup) as group:
        async with engine().serve(store, lease=LEASE) as run, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def stuck():
                had.append((await anext(run)).event.id)
                await trio.sleep(10)
                raise KeyError

            @nursery.start_soon
            async def quick():
                await trio.sleep(2)
                async for outcome in run:
                    had.append(outcome.event.id)

    assert [type(each) for each in group.value.exceptions] == [KeyError]
    again, _ = await read(store)
    assert len(had) == len(ids)
    assert again == [had[0]]


async def test_a_consumer_beside_sinks_is_one_more(autojump_clock, store):
    """Once it reads: what it has not had comes to it again, and not to the sinks, which have had it."""
    ids, got, found = await enqueued(store, 8), [], []

    async def sink(batch):
        got.extend(outcome.event.id for outcome in batch)

    async with engine().serve(store, sinks=[sink], lease=LEASE) as run:
        async for outcome in run:
            found.append(outcome.event.id)
            if len(found) == 6:
                break
    assert len(got) >= 6
    before = list(got)
    again, report = await read(store, until="empty", sinks=[sink])
    assert sorted(found[:5] + again, key=int) == ids
    assert sorted(got, key=int) == ids
    assert got[: len(before)] == before
    assert report.unread == 0


async def test_with_sinks_nobody_need_read(autojump_clock, store):
    """The run goes on, however much there is; what sinks have had is not kept for anybody."""
    ids, got = await enqueued(store, 400), []

    async def sink(batch):
        got.extend(outcome.event.id for outcome in batch)

    async with engine(buffer=10).serve(store, sinks=[sink], lease=LEASE) as run:
        await trio.sleep(110)
        assert not pending(await store.stats())
    assert sorted(got, key=int) == ids
    assert (run.report.unread, run.report.undelivered) == (0, 0)
    assert (await read(store))[0] == []


async def test_who_begins_to_read_late_beside_sinks_has_what_comes_then(autojump_clock, store):
    """It is a consumer from its first question on."""
    await enqueued(store, 12)

    async def sink(batch):
        pass

    async with engine().serve(store, sinks=[sink], until="idle", lease=LEASE) as run:
        await trio.sleep(1.5)
        ids = [outcome.event.id async for outcome in run]
    assert len(ids) == 8
    assert (await read(store))[0] == []


@pytest.mark.parametrize("begin", ["at once", "after some"])
async def test_without_anybody_nothing_is_kept(autojump_clock, store, begin):
    """`wait` says that nobody reads; results are in the store."""
    await enqueued(store, 300)
    async with engine(buffer=10).serve(store, until="idle", lease=LEASE) as run:
        if begin == "after some":
            await trio.sleep(1.5)
        report = await run.wait()
    assert report.outcomes.succeeded == 300
    assert report.unread == 0
    assert await kept(store) == 0


async def test_who_waits_leaves_earlier_outcomes_to_others(autojump_clock, store):
    """They were kept for somebody: for who reads next, within seconds."""
    ids = await enqueued(store, 4)
    async with engine().serve(store, lease=LEASE):
        await trio.sleep(2)
    for seconds in (0, 1):
        async with engine().serve(store, until="idle", lease=LEASE) as run:
            await trio.sleep(seconds)
            await run.wait()
    with trio.fail_after(5):
        again, report = await read(store)
    assert (sorted(again), report.redelivered) == (ids, 4)


async def test_a_round_without_sinks_keeps_nothing(autojump_clock, store):
    """Nobody could have it; with sinks alone nobody need read."""
    got = []

    async def sink(batch):
        got.extend(batch)

    await enqueued(store, 4)
    await engine().poll(store)
    assert await kept(store) == 0
    await engine().enqueue(store, map(se.Event, range(10, 300)))
    await engine(buffer=5).poll(store, sinks=[sink])
    assert len(got) == 290
    assert await kept(store) == 0


async def test_what_nobody_fetches_ends_with_keep(autojump_clock):
    """It does not fill the store for ever."""
    async with se.open_store("memory:", keep=100) as store:
        await engine().enqueue(store, map(se.Event, range(4)))
        async with engine().serve(store, lease=10):
            await trio.sleep(2)
        await trio.sleep(99)
        await engine().poll(store)
        assert len(await store.undelivered("", 9, 1)) == 4
        await trio.sleep(101)
        assert await store.undelivered("", 9, 1) == []


async def test_the_last_outcome_is_had_with_the_end_of_the_loop(autojump_clock, store):
    """Whatever the body does after that, and however long it takes."""
    await enqueued(store, 4)
    with pytest.raises(KeyError):
        async with engine().serve(store, until="idle", lease=LEASE) as run:
            async for _ in run:
                pass
            await trio.sleep(1)
            assert await kept(store) == 0
            raise KeyError
    assert (await read(store))[0] == []


@pytest.mark.parametrize("takes", [0, 0.001, 0.01])
async def test_one_write_acknowledges_many(autojump_clock, store, takes):
    """Not one for each outcome, however fast they are had: a hundred, or a tenth of a second's."""
    await engine().enqueue(store, map(se.Event, range(400)))
    quick = se.Engine([se.Platform("A", scrape, limit=100)])
    async with quick.serve(store, until="idle") as run:
        async for _ in run:
            await trio.sleep(takes)
    assert store.calls.count("acknowledge") <= 5 + 400 * takes / 0.1


async def test_a_slow_consumer_keeps_what_waits_for_it(autojump_clock, store):
    """Also after the last task has ended, for longer than a lease; another run gets none of it."""
    ids, found, others = await enqueued(store, 6), [], []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def other():
            with trio.move_on_after(500):
                async with se.Engine([se.Platform("B", scrape)]).serve(store, lease=10) as run:
                    others.extend([outcome async for outcome in run])

        async with engine().serve(store, until="idle", lease=10) as run:
            async for outcome in run:
                found.append(outcome.event.id)
                await trio.sleep(50)
    assert (sorted(found), others) == (ids, [])


async def test_a_slow_sink_keeps_what_it_was_not_given(autojump_clock, store):
    """The same for sinks, once all tasks have ended and the program waits for them."""
    ids, got, others = await enqueued(store, 6), [], []

    async def slow(batch):
        await trio.sleep(50)
        got.extend(outcome.event.id for outcome in batch)

    async def quick(batch):
        others.extend(batch)

    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def other():
            with trio.move_on_after(500):
                async with se.Engine([se.Platform("B", scrape)]).serve(store, sinks=[quick], lease=10) as run:
                    await run.wait()

        await engine().poll(store, sinks=[slow], lease=10)
    assert (sorted(got), others) == (ids, [])


async def test_an_outcome_that_is_had_while_a_look_is_on_its_way_is_not_delivered_again(autojump_clock, store):
    """A process that stood still for longer than its lease finds its own outcomes late, and has them already."""
    await enqueued(store, 1)
    found = []
    plain = store.store.undelivered

    async def late(sink, n, lease):
        kept = await plain(sink, n, lease)
        await trio.sleep(0.3)  # the answer takes its time
        return kept

    store.store.undelivered = late
    store.down |= {"defer"}  # so that nothing is renewed
    async with engine().serve(store, lease=2.2) as run:
        with trio.move_on_after(20):
            async for outcome in run:
                found.append(outcome.event.id)
                await trio.sleep(3.1)
    assert found == ["0"]
    assert run.report.redelivered == 0
