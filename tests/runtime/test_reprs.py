"""What a run is made of can be looked at: each part says in a line how much there is of what."""

import trio

import scrapeengine as se
from support.world import World


async def test_the_parts_of_a_run_count_themselves(autojump_clock):
    """In the middle of it, and shortly, however much waits."""
    world = World(default=[("sleep", 5)])
    engine = world.engine([world.platform("A", limit=3)], event_limit=5, lookahead=500)
    async with engine.stream(map(se.Event, range(1000))) as run:
        await trio.sleep(2.5)
        parts, backing = run._session.parts, run._session.backing
        lane = parts.scheduler.lanes["A"]
        assert repr(parts.scheduler) == "<Scheduler 1 lanes, 3 running, 0 parked, 3/5 events, 0 in line>"
        assert repr(parts.scheduler.agenda) == f"<Agenda {parts.scheduler.agenda.live} events live, 500 waiting>"
        assert repr(lane) == "<Lane 'A' 3/3 running, 0 parked, 500 waiting>"
        assert repr(lane.limit) == "<EffectiveLimit 3/3 taken, by its limit>"
        assert repr(lane.queue) == "<Queue 'A' open, 500 waiting>"
        assert repr(next(iter(lane.records))) == "<TaskRecord on 'A' running>"
        assert repr(next(iter(lane.records)).job) == "<Job on 'A' running>"
        assert repr(next(iter(lane.records)).job.entry) == "<Entry 1 of 1 jobs live, in progress>"
        assert repr(parts.outbox) == "<Outbox 0/100 waiting>"
        assert repr(parts.collector) == "<Collector of 0 sinks>"
        assert repr(parts.instruments) == "<Instruments 1>"  # that writes lines
        assert repr(parts.lines) == "<Lines, <Quota, 0 kinds>>"
        assert repr(run) == "<Run 0/503 tasks ended>"
        assert all(len(repr(part)) < 200 for part in (parts.lanes, parts.alarms, backing, parts.clients))
        await run.stop(0)


async def test_the_parts_of_a_served_run_count_themselves(autojump_clock):
    """Its leases, and what waits for the store."""
    world = World(default=[("sleep", 5)])
    engine = world.engine([world.platform("A", limit=2)])
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event(n) for n in range(10)])
        async with engine.serve(store) as run:
            await trio.sleep(1)
            backing = run._session.backing
            assert repr(backing._leases) == "<Leases 3 held, for 30 s>"
            assert repr(backing._writer) == "<Writer 0 ended, 0 to give back>"
            assert repr(backing._deliveries) == "<Deliveries 0 on their way, 0 to acknowledge>"
            assert repr(backing.jobs).startswith("<Claims for 1 ready platforms")
            await run.stop(0)
