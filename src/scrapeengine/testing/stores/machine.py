"""The stateful test: whatever is called, in whatever order, a store says what the model says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from typing import Any

import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from trio.testing import MockClock

from scrapeengine.errors import StoreFull
from scrapeengine.model.event import Event
from scrapeengine.model.job import Delivery, JobStatus, NewJob, ShareRequest, Ticket
from scrapeengine.model.policy import Rate
from scrapeengine.model.sink import Position
from scrapeengine.model.store import Store
from scrapeengine.model.urls import told
from scrapeengine.model.validators import Validator
from scrapeengine.stores.moment import Moment
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.testing.stores.loop import Loop, OpenedStore
from scrapeengine.testing.stores.model import StoreModel
from scrapeengine.testing.stores.scenes import StoreScenes, done, holds, job, same

__all__ = ["MAYBE_SPANS", "SPANS", "StoreMachine"]

IDS, PLATFORMS, OWNERS, URLS, SINKS = "abcdef", "pq", "xyz", "uv", "st"
SPANS = st.sampled_from([0.5, 1.0, 2.5, 7.0])
"""Seconds that a store can tell apart by any clock: halves are exact in Unix time too."""
MAYBE_SPANS = st.just(0.0) | SPANS
JOBS = st.builds(
    job,
    st.sampled_from(IDS),
    st.sampled_from(PLATFORMS),
    priority=st.sampled_from([0, 0, 1, -1, 2**63 - 1, -(2**63), 2**40]),
    delay=MAYBE_SPANS,
    cadence=st.none() | st.sampled_from(["c", "d"]),
    interval=st.none() | MAYBE_SPANS,
    payload=st.sampled_from(["1", "2"]),
)
ENDS = st.fixed_dictionaries(
    {
        "status": st.sampled_from([JobStatus.DONE, JobStatus.FAILED]),
        "result": st.sampled_from(["1", b"\xff", None]),
        "again": st.none() | MAYBE_SPANS,
        "between": st.none() | st.tuples(MAYBE_SPANS, MAYBE_SPANS),
        "keep": MAYBE_SPANS,
        "follow_ups": st.lists(JOBS, max_size=2).map(tuple),
        "url": st.sampled_from(URLS),
        "vary": st.sampled_from([None, "cookie 0123", "none at all"]),
        "outcome": st.sampled_from([None, "1", "2"]),
        "sinks": st.sampled_from([("s",), ("t",), ("s", "t")]),
        "ends": st.booleans(),
    }
)
"""How a job ends."""
ANY = st.lists(st.integers(0, 3) | st.integers(0, 99), max_size=4)
"""Some of the tickets that there have been, counted round; often the latest, which may be good."""


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to the model, and compares what they say.

    Tokens are the store's to choose, and so is the order among outcomes of one instant; else nothing is.

    Size: a rule for each call of the protocol.
    """

    def __init__(self, scenes: StoreScenes) -> None:
        super().__init__()
        self.scenes = scenes
        self.clock = MockClock()
        self.loop = Loop(self.clock, scenes.hangs_after)
        self.opened = OpenedStore()
        self.tickets: list[Ticket] = []
        self.model: StoreModel
        self._unix = 0.0

    @initialize(max_kept=st.integers(0, 4), max_pending=st.integers(1, 8), keep=st.sampled_from([0.0, 3.0, 60.0]))
    def open_it(self, **options: Any) -> None:
        """Open a store that is empty."""
        self.loop.run(self.opened.open, self.opening(options))
        self._unix = self.store_now() - self.clock.current_time()
        self.model = StoreModel(StorePolicy(**options), self.moment())

    # -- to be overridden where a test has more in hand than the store

    def opening(self, options: Mapping[str, Any]) -> AbstractAsyncContextManager[Store]:
        """Return an `async with` for the store."""
        return self.scenes.open(**options)

    def moment(self) -> Moment:
        """Return the present moment, by which the model goes: trio's, and Unix time as the store had it first."""
        return Moment(0, 0.0, 0.0, self._unix, self.clock.current_time())

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run(self.scenes.pass_time, self.clock, seconds)

    # -- both

    def ask(self, name: str, *args: Any, **values: Any) -> Any:
        """Call the store, and have the model's time set for the same call."""
        self.model.moment = self.moment()
        return self.loop.run(getattr(self.opened.store, name), *args, **values)

    def both(self, name: str, *args: Any, **values: Any) -> Any:
        """Call both, and compare what they say."""
        found = self.ask(name, *args, **values)
        same(found, getattr(self.model, name)(*args, **values), f"{name}{args!r} {values or ''}")
        return found

    def store_now(self) -> float:
        """Ask the store what time it is, once it has looked."""

        async def ask() -> float:
            await self.opened.store.position("p", "a")
            return self.opened.store.now()

        return self.loop.run(ask)

    def some(self, numbers: list[int]) -> list[Ticket]:
        """Pick tickets, old ones too."""
        return [self.tickets[-1 - number % len(self.tickets)] for number in numbers] if self.tickets else []

    # -- what happens

    @rule(seconds=SPANS)
    def time_passes(self, seconds: float) -> None:
        """Time passes."""
        self.pass_time(seconds)

    @rule(jobs=st.lists(JOBS, max_size=5), replace=st.booleans())
    def enqueue(self, jobs: Sequence[NewJob], *, replace: bool) -> None:
        """Jobs come, some of them known."""
        answers: list[object] = []
        for side in (partial(self.ask, "enqueue"), self.model.enqueue):
            try:
                answers.append(side(jobs, replace=replace))
            except StoreFull:
                answers.append(StoreFull)
        found, expected = answers
        same(found, expected, f"enqueue({jobs!r}, replace={replace})")

    @rule(
        platform=st.sampled_from(PLATFORMS),
        n=st.integers(0, 4),
        ids=st.none() | st.sets(st.sampled_from(IDS)),
        lease=SPANS,
    )
    def claim(self, platform: str, n: int, ids: Collection[str] | None, lease: float) -> None:
        """Jobs are claimed, any or certain ones."""
        found = self.ask("claim", platform, n, "me", lease, ids=ids)
        expected = self.model.claimable(platform, n, ids)
        why = f"claim({platform!r}, {n}, ids={told(ids)})"
        same([each.ticket.id for each in found], [each.id for each in expected], why)
        tokens = [each.ticket.token for each in found]
        before = {ticket.token for ticket in self.tickets}
        holds(len({*tokens, *before}) == len(tokens) + len(before), f"{why}: a token was used twice, of {tokens}")
        leased = [self.model.claim(each, lease, token) for each, token in zip(expected, tokens, strict=True)]
        same(found, leased, why)
        self.tickets += [each.ticket for each in found]

    @rule(until=st.none() | st.integers(0, 20))
    def due(self, until: int | None) -> None:
        """Jobs that are due become ready."""
        # A quarter: at the very instant of a due time rounding would decide.
        at = None if until is None else self.store_now() - 10 + until + 0.25
        same(sorted(self.ask("due", at)), self.model.due(at), f"due({at!r})")

    @rule(numbers=ANY, lease=SPANS)
    def renew(self, numbers: list[int], lease: float) -> None:
        """Leases are renewed, ended ones too."""
        self.both("renew", self.some(numbers), lease)

    @rule(numbers=ANY, delay=MAYBE_SPANS, died=st.booleans())
    def release(self, numbers: list[int], delay: float, died: bool) -> None:  # noqa: FBT001 - hypothesis gives it
        """Jobs are given back, or their scrapers end the process."""
        self.both("release", self.some(numbers), delay, died=died)

    @rule(numbers=ANY, values=ENDS)
    def complete(self, numbers: list[int], values: dict[str, Any]) -> None:
        """Jobs are completed, some twice, some too late."""
        self.end(self.some(numbers), **values)

    @rule(platform=st.sampled_from(PLATFORMS), n=st.integers(1, 2), lease=SPANS, times=st.integers(1, 2), values=ENDS)
    def work(self, platform: str, n: int, lease: float, times: int, values: dict[str, Any]) -> None:
        """Jobs are claimed and completed, and the reply may be lost, so that they are completed once more."""
        before = len(self.tickets)
        self.claim(platform, n, None, lease)
        self.end(self.tickets[before:] * times, **values)

    def end(self, tickets: list[Ticket], *, url: str, vary: str | None, **values: Any) -> None:
        """Complete jobs, each with the same that belongs to it."""
        found = None if vary == "none at all" else Validator(f'"{len(self.tickets)}"', vary=vary)
        completions = [done(ticket, validators={url: found}, deliver=1.0, **values) for ticket in tickets]
        self.both("complete", completions)

    @rule(platform=st.sampled_from(PLATFORMS), id=st.sampled_from(IDS))
    def cancel(self, platform: str, id: str) -> None:
        """A job is called off."""
        self.both("cancel", platform, id)

    @rule(
        platform=st.none() | st.sampled_from(PLATFORMS),
        status=st.none() | st.sampled_from(JobStatus) | st.sets(st.sampled_from(JobStatus)),
        after=st.none() | st.tuples(st.sampled_from(PLATFORMS), st.sampled_from(IDS)),
        limit=st.integers(1, 4),
    )
    def jobs(self, **values: Any) -> None:
        """A page of jobs is asked for."""
        self.both("jobs", **values)

    @rule(
        name=st.sampled_from(["retry", "forget"]),
        platform=st.none() | st.sampled_from(PLATFORMS),
        which=st.sampled_from(["all", "ids", "events"]),
        ids=st.sets(st.sampled_from(IDS)),
        platforms=st.sets(st.sampled_from(PLATFORMS)),
    )
    def redo(self, name: str, platform: str | None, which: str, ids: set[str], platforms: set[str]) -> None:
        """Jobs that have ended are run again, or forgotten."""
        values: dict[str, Any] = {"platform": platform}
        if which == "ids":
            values["ids"] = sorted(ids)
        elif which == "events":
            values["events"] = [Event(each, platforms=sorted(platforms)) for each in sorted(ids)]
        self.both(name, **values)

    @rule(platform=st.sampled_from(PLATFORMS), name=st.sampled_from(["pause", "resume"]))
    def pause(self, platform: str, name: str) -> None:
        """A platform is paused for all engines, or goes on."""
        self.both(name, platform)

    @rule(platform=st.sampled_from(PLATFORMS), seconds=SPANS, opens=st.booleans())
    def close(self, platform: str, seconds: float, *, opens: bool) -> None:
        """A platform is closed by hand, or reopened."""
        if opens:
            self.both("reopen", platform)
        else:
            self.both("close", platform, seconds)

    @rule(ids=st.none() | st.sets(st.sampled_from(IDS)))
    def hasten(self, ids: set[str] | None) -> None:
        """Jobs that recur are hastened."""
        self.both("hasten", ids)

    @rule(
        sink=st.sampled_from(SINKS),
        n=st.sampled_from([0, 1, 2, 100]),
        lease=SPANS,
        after=st.sampled_from([0.0, 10.0]),
        acknowledged=st.booleans(),
    )
    def deliver(self, sink: str, n: int, lease: float, after: float, *, acknowledged: bool) -> None:
        """Outcomes are handed out, by and by all of them, and acknowledged or not."""
        if after:
            self.pass_time(after)
        found = self.ask("undelivered", sink, n, lease)
        late = self.model.late(sink)
        times = {delivery: self.model.outbox[sink, delivery][0] for delivery in late}
        handed = [kept.delivery for kept in found]
        why = f"undelivered({sink!r}, {n}), where {late} are late"
        holds(set(handed) <= set(late) and len(set(handed)) == len(handed), f"{why}: got {handed}")
        same([times[delivery] for delivery in handed], [times[delivery] for delivery in late[:n]], why)
        same(found, [self.model.postpone(sink, delivery, lease) for delivery in handed], why)
        if acknowledged:
            self.both("acknowledge", sink, handed)

    def deliveries(self, numbers: list[int], sink: str, *, kept: bool) -> list[Delivery]:
        """Pick outcomes that a sink is to have, or of any jobs."""
        there = sorted(delivery for owed, delivery in self.model.outbox if owed == sink)
        if kept and there:
            return [there[number % len(there)] for number in numbers]
        return [Delivery(*ticket) for ticket in self.some(numbers)]

    @rule(numbers=ANY, sink=st.sampled_from(SINKS), seconds=MAYBE_SPANS, kept=st.booleans())
    def defer(self, numbers: list[int], sink: str, seconds: float, *, kept: bool) -> None:
        """Outcomes are to be handed out at another time, some of which nobody keeps."""
        self.both("defer", sink, self.deliveries(numbers, sink, kept=kept), seconds)

    @rule(
        numbers=ANY,
        sink=st.sampled_from(SINKS),
        position=st.none() | st.builds(Position, st.sampled_from("ab"), st.sampled_from("123")),
        kept=st.booleans(),
        times=st.integers(1, 2),
    )
    def acknowledge(self, numbers: list[int], sink: str, position: Position | None, times: int, *, kept: bool) -> None:
        """A sink says that it has had outcomes, and where it is; some are not its own, and it may say it twice."""
        deliveries = self.deliveries(numbers, sink, kept=kept)
        for _ in range(times):
            self.both("acknowledge", sink, deliveries, position)

    @rule(owner=st.sampled_from(OWNERS), lease=SPANS, give_back=st.booleans())
    def lock(self, owner: str, lease: float, *, give_back: bool) -> None:
        """A lock is taken, or given back."""
        if give_back:
            self.both("unlock", "l", owner)
        else:
            self.both("lock", "l", owner, lease)

    @rule(
        owner=st.sampled_from(OWNERS),
        platforms=st.sets(st.sampled_from(PLATFORMS)),
        lease=SPANS,
        limit=st.integers(0, 4),
        wanted=st.integers(0, 5),
        held=st.integers(0, 3),
        rates=st.sampled_from([(), *[(Rate(3),)] * 2, (Rate(1),), (Rate(6, burst=3),), (Rate(6), Rate(3, burst=3))]),
        cost=st.sampled_from([1, 1, 2, 4]),
        requests=st.integers(0, 3),
        anew=st.booleans(),
        keep=st.booleans(),
        closed=st.none() | st.integers(0, 20),
        openings=st.none() | st.integers(0, 2),
    )
    def share(self, owner: str, platforms: set[str], lease: float, closed: int | None, **values: Any) -> None:
        """An engine asks for its share."""
        until = None if closed is None else self.store_now() + closed + 0.25
        self.both("share", owner, {name: ShareRequest(**values, closed_until=until) for name in platforms}, lease)

    @rule()
    def stats(self) -> None:
        """Jobs are counted."""
        self.both("stats")

    # -- what always holds

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        """Each job, its position and what is known of its pages are the model's, and so is the time."""
        self.model.moment = self.moment()
        found = self.loop.run(all_of, self.opened.store)
        for (name, *args), answer in found.items():
            same(answer, getattr(self.model, name)(*args), f"{name}{tuple(args)!r}")
        same(self.store_now(), self.moment().shown(self.moment().now), "now()")

    def teardown(self) -> None:
        """Leave the store."""
        with ExitStack() as stack:
            stack.callback(self.loop.end)
            if hasattr(self, "model"):
                self.loop.run(self.opened.leave)


async def all_of(store: Store) -> dict[tuple[str, ...], object]:
    """Ask for everything that a store tells of single jobs and pages, all at once."""
    found: dict[tuple[str, ...], object] = {}

    async def ask(name: str, *args: str) -> None:
        found[name, *args] = await getattr(store, name)(*args)

    async with trio.open_nursery() as nursery:
        for platform in PLATFORMS:
            for each in IDS:
                nursery.start_soon(ask, "get", platform, each)
                nursery.start_soon(ask, "position", platform, each)
            for url in URLS:
                nursery.start_soon(ask, "recall", platform, url)
        for sink in SINKS:
            nursery.start_soon(ask, "positions", sink)
    return found
