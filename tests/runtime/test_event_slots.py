"""The line before event slots: they go round, and who comes late is not sent to its end."""

from itertools import pairwise

import hypothesis.strategies as st
import trio
from hypothesis import given

import scrapeengine as se
from scrapeengine.decide.gate import Gate
from scrapeengine.schedule.event_slots import EventSlotQueue
from scrapeengine.schedule.lane import Lane


async def scrape(task):
    """Scrape nothing."""


def make_lanes(count):
    """Make lanes."""
    return [Lane.of(str(number), se.Platform(str(number), scrape), Gate.of(())) for number in range(count)]


def test_slots_go_round():
    """Lanes that always wait have their turns in the order in which they joined."""
    lanes, line, turns = make_lanes(3), EventSlotQueue(), []
    for lane in lanes:
        line.join(lane)
    for _ in range(9):
        lane = line.next()
        line.turn(lane)
        line.join(lane)
        turns.append(lane.name)
    assert turns == ["0", "1", "2"] * 3


@given(st.lists(st.tuples(st.sampled_from(["join", "next", "leave", "turn"]), st.integers(0, 4)), max_size=200))
def test_who_waits_is_passed_by_each_other_lane_at_most_once(steps):
    """Whatever lanes do: who stays in line has its turn, and those that are in it are counted."""
    lanes, line = make_lanes(5), EventSlotQueue()
    waiting = {}  # by each lane that waits, how often each other had a turn since
    for what, number in steps:
        lane = lanes[number]
        if what == "join":
            line.join(lane)
            waiting.setdefault(lane, dict.fromkeys(lanes, 0))
        elif what == "leave":
            line.leave(lane)
            waiting.pop(lane, None)
        elif what == "next" and waiting:
            lane = line.next()
            assert lane in waiting
            del waiting[lane]
            line.turn(lane)
            for passed in waiting.values():
                passed[lane] += 1
                assert passed[lane] <= 1
        elif lane not in waiting and not waiting:
            line.turn(lane)  # past an empty line
        assert len(line) == len(waiting)


def test_who_left_is_not_kept():
    """The line holds no more than twice those that wait, and a few."""
    line = EventSlotQueue()
    for lane in make_lanes(1000):
        line.join(lane)
        line.leave(lane)
        assert len(line._heap) <= 17


async def test_a_rate_that_opens_late_in_the_round_is_not_sent_to_the_end(autojump_clock):
    """A host that wants 2 s between requests loses at most the time until a slot is free, each time."""
    starts = []

    async def work(task):
        if task.platform == "polite":
            starts.append(trio.current_time())
        await trio.sleep(0.5)

    busy = [se.Platform(f"busy {number}", work) for number in range(6)]
    polite = se.Platform("polite", work, rate=se.Rate.every(2))
    events = [se.Event(f"{name} {number}", platforms=[name]) for number in range(20) for name in names(busy)]
    own = [se.Event(f"polite {number}", platforms=["polite"]) for number in range(5)]
    await se.Engine([polite, *busy], event_limit=2, lookahead=1000).run([*own, *events])
    assert all(2.0 <= later - before <= 2.5 for before, later in pairwise(starts))
    assert len(starts) == 5


def names(platforms):
    """Name platforms."""
    return [platform.name for platform in platforms]
