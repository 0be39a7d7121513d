"""Worlds for hypothesis: platforms, events and scripts. Times are quarters of a second, so that instants coincide."""

import attrs
from hypothesis import strategies as st

import scrapeengine as se
from support.world import World

quarters = st.integers(0, 12).map(lambda n: n / 4)
waits = st.integers(1, 12).map(lambda n: n / 4)

rates = st.builds(
    se.Rate,
    count=st.sampled_from([1, 2, 4, 10]),
    per=st.sampled_from([0.5, 1.0, 4.0]),
    burst=st.integers(1, 4),
)

costs = st.just(1) | st.integers(1, 7)

answers = st.one_of(
    st.just(200),
    st.sampled_from([404, 500, 503, "redirect"]),
    st.tuples(st.sampled_from([429, 503]), st.integers(0, 5)),
)

sleeps = st.tuples(st.just("sleep"), quarters)
requests = st.tuples(st.just("request"), quarters, answers)
troubles = st.one_of(
    st.tuples(st.just("raise"), st.sampled_from(["error", "group", "mixed", "panic", "panics"])),
    st.tuples(st.just("retry"), quarters),
    st.just(("skip",)),
)
stalls = st.tuples(st.just("stall"), waits)
abandonments = st.tuples(st.just("give up after"), quarters)


def scripts(*steps, longest=4):
    """Make a strategy of scripts of some kinds of steps."""
    return st.lists(st.one_of(*steps), max_size=longest)


@attrs.define
class Case:
    """One generated run."""

    limits: dict
    rates: dict
    events: list
    scripts: dict
    options: dict

    def build(self, **options):
        """Make its world and its engine, with more options than those of the case."""
        world = World(scripts=self.scripts)
        platforms = [
            world.platform(name, limit=limit, rate=self.rates.get(name)) for name, limit in self.limits.items()
        ]
        return world, world.engine(platforms, **self.options, **options)

    def tasks(self):
        """List the tasks as (event's id, platform)."""
        return [(event.id, name) for event in self.events for name in event.platforms or self.limits]


@st.composite
def cases(draw, *, steps, with_rates=True, most_events=14, event_limits=st.integers(1, 6), options=None):
    """Draw a run: up to three platforms, some events on some of them, a script for each task."""
    names = ["A", "B", "C"][: draw(st.integers(1, 3))]
    limits = {name: draw(st.integers(1, 4)) for name in names}
    paces = {name: draw(rates) for name in names if with_rates and draw(st.booleans())}
    events = [
        se.Event(
            f"e{number}",
            platforms=tuple(draw(st.sets(st.sampled_from(names), min_size=1))),
            priority=draw(st.sampled_from([0, 0, 0, 1, -1])),
        )
        for number in range(draw(st.integers(0, most_events)))
    ]
    told = {(event.id, name): draw(steps) for event in events for name in event.platforms}
    knobs = {"event_limit": draw(event_limits), "lookahead": draw(st.sampled_from([1, 3, 1000]))}
    return Case(limits, paces, events, told, knobs | (draw(options) if options is not None else {}))
