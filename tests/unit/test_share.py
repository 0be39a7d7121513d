"""What engines get of a platform that they share: never too much in all, a fair part each, and nobody is left out."""

from __future__ import annotations

import math
from typing import TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.share import Hold, contended, grant, reserve, used
from scrapeengine.model.policy import Rate

RATES = st.builds(Rate, st.floats(0.1, 100), per=st.floats(0.1, 10), burst=st.integers(1, 6) | st.just(1))
COSTS = st.just(1) | st.integers(1, 8)


@attrs.define
class Engine:
    """One engine, and its line in the ledger."""

    wanted: int = 0
    held: int = 0
    granted: int = 0
    line: Hold = attrs.field(factory=lambda: Hold(0, 0, 0))


class Ledger:
    """Does with grants what a store does."""

    def __init__(self, limit: int, engines: int) -> None:
        self.limit = limit
        self.engines = [Engine() for _ in range(engines)]
        self.clock = 0.0

    def ask(self, engine: Engine) -> int:
        """Have an engine ask, and write down what it gets."""
        self.clock += 1
        served = self.clock if engine.line.line > 0 else engine.line.served
        mine = Hold(engine.line.slots, engine.wanted, engine.held, served)
        others = [other.line for other in self.engines if other is not engine]
        engine.granted = grant(self.limit, mine, others)
        engine.line = attrs.evolve(mine, slots=engine.granted)
        return engine.granted

    def start(self, engine: Engine, most: int) -> None:
        """Have an engine start tasks, within its grant."""
        engine.held += max(0, min(most, engine.granted - engine.held))

    @property
    def lines(self) -> int:
        """The sum of the lines."""
        return sum(engine.line.line for engine in self.engines)

    @property
    def held(self) -> int:
        """How many tasks run in all engines."""
        return sum(engine.held for engine in self.engines)


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "start", "end", "want", "limit"]), st.integers(0, 5), st.integers(0, 12)),
    max_size=120,
)


@given(st.integers(0, 8), st.integers(1, 6), STEPS)
def test_all_together_never_hold_more_than_the_limit(
    limit: int, engines: int, steps: list[tuple[str, int, int]]
) -> None:
    """Nor does the ledger promise it; where a limit was lowered, nothing grows until what runs has ended."""
    ledger = Ledger(limit, engines)
    bound = limit
    for what, index, number in steps:
        engine = ledger.engines[index % engines]
        match what:
            case "ask":
                ledger.ask(engine)
            case "start":
                ledger.start(engine, number)
            case "end":
                engine.held = max(0, engine.held - number)
            case "want":
                engine.wanted = number
            case _:
                ledger.limit = number
        bound = max(ledger.limit, min(bound, ledger.lines))
        assert ledger.held <= ledger.lines <= bound


@given(st.integers(0, 8), st.integers(1, 8), st.integers(1, 6), STEPS)
def test_a_lowered_limit_is_reached_as_tasks_end(
    lower: int, more: int, engines: int, steps: list[tuple[str, int, int]]
) -> None:
    """Once each has ended what it may not run, and asked."""
    ledger = Ledger(lower + more, engines)
    run(ledger, [step for step in steps if step[0] != "limit"])
    ledger.limit = lower
    for _ in range(3):
        for engine in ledger.engines:
            ledger.ask(engine)
            engine.held = min(engine.held, engine.granted)
    for engine in ledger.engines:
        ledger.ask(engine)
    assert ledger.lines <= lower


def run(ledger: Ledger, steps: list[tuple[str, int, int]]) -> None:
    """Take all the steps; the limit stays."""
    for what, index, number in steps:
        engine = ledger.engines[index % len(ledger.engines)]
        match what:
            case "ask":
                ledger.ask(engine)
            case "start":
                ledger.start(engine, number)
            case "end":
                engine.held = max(0, engine.held - number)
            case _:
                engine.wanted = number


@given(st.integers(1, 12), st.integers(1, 6), STEPS, st.data())
def test_each_gets_its_part_and_none_is_left_over(
    limit: int, engines: int, steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    """After any past, in any order: the floor of an even part or what it wants, and what one leaves others have."""
    ledger = Ledger(limit, engines)
    run(ledger, [step for step in steps if step[0] != "limit"])
    for engine in ledger.engines:
        engine.wanted = data.draw(st.integers(0, 15))
    for _ in range(4):
        for engine in data.draw(st.permutations(ledger.engines)):
            ledger.ask(engine)
            engine.held = min(engine.held, engine.granted, engine.wanted)
            ledger.start(engine, engine.wanted - engine.held)
    demand = sum(engine.wanted for engine in ledger.engines)
    if sum(engine.wanted > 0 for engine in ledger.engines) > limit:
        return  # slots go round: see below
    assert ledger.lines == ledger.held == min(limit, demand)
    for engine in ledger.engines:
        assert min(engine.wanted, limit // engines) <= engine.held <= engine.wanted
        assert all(engine.held >= min(engine.wanted, other.held - 1) for other in ledger.engines)


@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from([0, 1, 3]), st.data())
def test_slots_go_round_where_there_are_too_few(limit: int, more: int, length: int, data: st.DataObject) -> None:
    """However often some ask, each is served again and again; tasks may be short (ended at once) or outlast asks."""
    engines = limit + more
    ledger = Ledger(limit, engines)
    served, ends = [0] * engines, [0] * engines
    rounds = 2 * engines * (length + 3)
    asks = [data.draw(st.integers(1, 4)) for _ in range(engines)]
    for now in range(rounds):
        for index in [index for index, times in enumerate(asks) for _ in range(times)]:
            engine = ledger.engines[index]
            engine.wanted = 9
            if engine.held and ends[index] <= now:
                engine.held = 0
            if ledger.ask(engine) > engine.held:
                ledger.start(engine, 1)
                served[index] += 1
                ends[index] = now + length
    assert min(served) >= 2


@pytest.mark.parametrize("held", [0, 1])
def test_who_had_the_only_slot_gives_way(held: int) -> None:
    """Idle or busy: it may start nothing more while another waits with none."""
    waits, sated = Hold(0, 5, 0), Hold(0, 0, 0)
    assert grant(1, Hold(1, 5, held), [waits]) == 0
    assert grant(1, Hold(1, 5, held), [sated]) == 1
    assert grant(1, Hold(0, 5, 0), [attrs.evolve(waits, slots=1)]) == 0


def test_a_free_slot_is_kept_for_who_was_without_for_longest() -> None:
    """Who asks more often has no more of it."""
    early, late = Hold(0, 5, 0, served=1.0), Hold(0, 5, 0, served=2.0)
    assert grant(1, late, [early]) == 0
    assert grant(1, early, [late]) == 1
    assert grant(1, early, [early]) == 1


def test_it_is_contended_if_others_have_a_use_for_it_too() -> None:
    """Not if one does not want it oneself."""
    wants, runs, idle = Hold(0, 1, 0), Hold(1, 0, 1), Hold(2, 0, 0)
    assert contended(wants, [idle, runs])
    assert contended(runs, [wants])
    assert not contended(wants, [idle])
    assert not contended(idle, [wants])
    assert not contended(wants, [])


Request: TypeAlias = tuple[float, int]
"""A start time, and what it costs."""


def requests(times: tuple[float, ...], cost: int) -> list[Request]:
    """Return what was reserved, request by request."""
    assert all(times[at] == times[at - at % cost] for at in range(len(times)))
    return [(at, cost) for at in times[::cost]]


def flat(requests: list[Request]) -> list[float]:
    """Return the times of requests, as the ledger has them."""
    return [at for at, cost in sorted(requests) for _ in range(cost)]


def check(requests: list[Request], rates: list[Rate], *, rounding: float = 0.0) -> None:
    """Assert that requests conform to each rate."""
    requests = sorted(requests)
    for rate in rates:
        for first, (begin, _) in enumerate(requests):
            total = 0
            for end, cost in requests[first:]:
                total += cost
                most = max(rate.burst, cost) + (end - begin + rounding) * rate.count / rate.per
                assert total <= most * (1 + 1e-6)


@given(
    st.lists(RATES, min_size=1, max_size=3),
    st.floats(0, 100),
    st.lists(st.tuples(st.floats(0, 3), st.integers(-1, 8), COSTS), max_size=30),
)
def test_reserved_times_keep_to_all_rates_together(
    rates: list[Rate], start: float, calls: list[tuple[float, int, int]]
) -> None:
    """Whoever reserves them and when, whatever they cost; in order, none before now, as many as were asked for."""
    tats, now, known = dict[float, float](), start, list[Request]()
    for gap, n, cost in calls:
        now += gap * rates[0].interval
        new, tats = reserve(tats, now, rates, n, cost=cost)
        assert len(new) == max(0, n) * cost
        assert all(time >= now for time in new)
        known += requests(new, cost)
    assert flat(known) == [at for at, cost in known for _ in range(cost)]
    check(known, rates)


def test_reserved_times_are_no_later_than_they_must_be() -> None:
    """The burst at once, then one each interval; a pause earns the burst again, and no more."""
    rates = [Rate(2, burst=3)]
    times, tats = reserve({}, 10.0, rates, 5)
    assert times == (10.0, 10.0, 10.0, 10.5, 11.0)
    assert reserve(tats, 10.0, rates, 1)[0] == (11.5,)
    assert reserve(tats, 99.0, rates, 4)[0] == (99.0, 99.0, 99.0, 99.5)
    assert reserve(tats, 10.0, rates, 2, cost=2)[0] == (12.0, 12.0, 13.0, 13.0)
    assert reserve(tats, 10.0, rates, 2, cost=4)[0] == (12.5, 12.5, 12.5, 12.5, 14.5, 14.5, 14.5, 14.5)
    assert reserve({}, 10.0, [*rates, Rate.every(3)], 3)[0] == (10.0, 13.0, 16.0)


def test_none_is_put_before_what_is_taken_that_its_cost_would_not_leave_room_for() -> None:
    """At two it would leave room for one of two at four, and not for what comes half a second behind that."""
    taken = (4.0, 4.0, 4.5)
    assert reserve({1.0: 4.0}, 2.0, [Rate(1, burst=3)], 1, taken)[0] == (5.0,)


@given(
    st.lists(RATES, min_size=1, max_size=3),
    st.floats(0, 100),
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 3), st.integers(-1, 8), COSTS, st.booleans()), max_size=30),
)
def test_what_is_given_back_is_reserved_again_and_all_keeps_to_the_rates(
    rates: list[Rate], start: float, calls: list[tuple[int, float, int, int, bool]]
) -> None:
    """Whoever gives back what is still to come, and when; what is over counts as used."""
    tats = {rate.interval: -math.inf for rate in rates}
    now, over, engines = start, list[Request](), [list[Request](), list[Request](), list[Request]()]
    for index, gap, n, cost, anew in calls:
        now += gap * rates[0].interval
        past = [request for engine in engines for request in engine if request[0] < now]
        tats = {interval: used(tat, flat(past), interval) for interval, tat in tats.items()}
        over += past
        engines = [[request for request in engine if request[0] >= now] for engine in engines]
        if anew:
            engines[index] = []
        taken = [request for engine in engines for request in engine]
        new, _ = reserve(tats, now, rates, n, flat(taken), cost=cost)
        assert len(new) == max(0, n) * cost
        assert list(new) == sorted(new)
        assert all(time >= now for time in new)
        engines[index] += requests(new, cost)
        check([*over, *taken, *requests(new, cost)], rates, rounding=1e-5)


def test_what_others_have_reserved_at_a_slower_rate_is_left_where_it_is() -> None:
    """New times come as close to it as the new rate allows, on both sides."""
    times, _ = reserve({}, 0.0, [Rate(4)], 5, [0.6, 1.7])
    assert times == pytest.approx((0.0, 0.25, 0.85, 1.1, 1.35))
    times, _ = reserve({}, 0.0, [Rate(1)], 1, [0.5, 0.6])  # these are closer than this rate has it
    assert times == pytest.approx((2.5,))
