"""Two stores through the same calls, in memory and in a file that crashes: they never say different things.

The file's own sums are counted again at the end of each run, row by row.
"""

import shutil
import tempfile
import threading
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import apsw
import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from trio.testing import MockClock

from scrapeengine.errors import StoreFull
from scrapeengine.model.job import ShareRequest, Ticket
from scrapeengine.model.policy import Rate
from scrapeengine.model.validators import Validator
from scrapeengine.stores.sqlite.sums import BUCKET, path
from stores.harness import DONE, FAILED, done, job
from stores.machines import Machine

IDS, PLATFORMS, OWNERS = "abcdef", "pq", "xyz"
SPANS = st.sampled_from([0.5, 1.0, 2.5, 7.0])
MAYBE_SPANS = st.just(0.0) | SPANS
JOBS = st.builds(
    job,
    st.sampled_from(IDS),
    st.sampled_from(PLATFORMS),
    priority=st.sampled_from([0, 0, 1, -1, 2**63 - 1, -(2**63), 2**40]),
    delay=MAYBE_SPANS,
    cadence=st.none() | st.just("c"),
    payload=st.sampled_from(["1", "2"]),
)
STEPS = st.sampled_from([1.0, -1.0, 30.0, -30.0, 3600.0, -3600.0])
"""Of the wall clock. What is less than half a second may be seen by one store sooner than by the other."""
ANY = st.lists(st.integers(0, 99), max_size=4)
"""Which of the tickets that there have been, counted round."""


class Loop:
    """A trio loop in a thread, in which the stores are open from one rule to the next."""

    def __init__(self, clock: MockClock) -> None:
        tokens = SimpleQueue()
        self._over = trio.Event()

        async def main() -> None:
            tokens.put(trio.lowlevel.current_trio_token())
            await self._over.wait()

        self._thread = threading.Thread(target=partial(trio.run, main, clock=clock))
        self._thread.start()
        self._token = tokens.get()

    def run(self, call, *args):
        """Run a call in the loop, and return what it returns."""
        return trio.from_thread.run(call, *args, trio_token=self._token)

    def end(self) -> None:
        """End the loop."""
        trio.from_thread.run_sync(self._over.set, trio_token=self._token)
        self._thread.join()


class Opened:
    """A store that is opened and left by calls: its `async with` in a task of its own."""

    def __init__(self) -> None:
        self._opened, self._left, self._gone = trio.Event(), trio.Event(), trio.Event()

    async def _stay(self, machine: Machine, url: str, options: dict) -> None:
        async with AsyncExitStack() as stack:
            self.store = await stack.enter_async_context(machine.open(url, **options))
            self._opened.set()
            await self._left.wait()
        self._gone.set()

    async def open(self, machine: Machine, url: str, options: dict) -> None:
        """Open it."""
        trio.lowlevel.spawn_system_task(self._stay, machine, url, options)
        await self._opened.wait()

    async def leave(self) -> None:
        """Leave it."""
        self._left.set()
        await self._gone.wait()


class StoreMachine(RuleBasedStateMachine):
    """Does the same to both stores, and compares what they say."""

    @initialize(max_kept=st.integers(0, 4), max_pending=st.integers(1, 8), keep=st.sampled_from([0.0, 3.0, 60.0]))
    def open_both(self, **options) -> None:
        """Open both stores, by one clock."""
        self.options = options
        self.folder = Path(tempfile.mkdtemp())
        self.files = 0
        self.clock = MockClock()
        self.machine = Machine(self.clock)
        self.loop = Loop(self.clock)
        self.memory, self.file = Opened(), Opened()
        self.tickets: list[Ticket] = []
        self.loop.run(self.memory.open, self.machine, "memory:", options)
        self.loop.run(self.file.open, self.machine, f"sqlite:{self.path}", options)

    @property
    def path(self) -> Path:
        """The file that is in use."""
        return self.folder / f"{self.files}.db"

    def both(self, name: str, *args, **values):
        """Call both stores, and return what both say."""
        answers = []
        for opened in (self.memory, self.file):
            try:
                answers.append(self.loop.run(partial(getattr(opened.store, name), *args, **values)))
            except StoreFull as error:
                answers.append(str(error))
        assert answers[0] == answers[1], name
        return answers[0]

    def now(self) -> float:
        """Ask what time it is, which both stores say."""
        memory, file = (self.loop.run(now_of, opened.store) for opened in (self.memory, self.file))
        assert memory == file
        return memory

    def some(self, numbers: list[int]) -> list[Ticket]:
        """Pick tickets, old ones too."""
        return [self.tickets[-1 - number % len(self.tickets)] for number in numbers] if self.tickets else []

    # -- what happens

    @rule(seconds=SPANS)
    def time_passes(self, seconds: float) -> None:
        """Time passes."""
        self.loop.run(trio.lowlevel.checkpoint)
        self.clock.jump(seconds)

    @rule(seconds=STEPS)
    def the_clock_is_set(self, seconds: float) -> None:
        """The wall clock is set."""
        self.machine.set_clock(seconds)

    @rule(seconds=STEPS.map(abs))
    def the_machine_sleeps(self, seconds: float) -> None:
        """All processes stand still."""
        self.machine.sleep(seconds)

    @rule(off=MAYBE_SPANS, wrong=st.just(0.0) | STEPS)
    def reboot(self, off: float, wrong: float) -> None:
        """The machine is off for a while, and its clock may be wrong then. The store in memory is told."""
        # The file knows of no moment but those at which something was written down.
        self.both("lock", "last", "me", 1)
        self.machine.reboot(off + wrong)
        self.memory.store._times.clock = self.machine.clock
        self.crash()
        self.both("stats")

    @rule()
    def crash(self) -> None:
        """The file is dropped as it is, its log unmerged, and opened again."""
        before = self.path
        self.files += 1
        for end in ("", "-wal"):
            shutil.copyfile(f"{before}{end}", f"{self.path}{end}")
        self.loop.run(self.file.leave)
        self.file = Opened()
        self.loop.run(self.file.open, self.machine, f"sqlite:{self.path}", self.options)

    @rule(jobs=st.lists(JOBS, max_size=5))
    def enqueue(self, jobs) -> None:
        """Jobs come, some of them known."""
        self.both("enqueue", jobs)

    @rule(platform=st.sampled_from(PLATFORMS), n=st.integers(0, 4), lease=SPANS)
    def claim(self, platform: str, n: int, lease: float) -> None:
        """Jobs are claimed."""
        self.tickets += [claimed.ticket for claimed in self.both("claim", platform, n, "me", lease)]

    @rule(platform=st.sampled_from(PLATFORMS), ids=st.sets(st.sampled_from(IDS)), lease=SPANS)
    def claim_some(self, platform: str, ids: set[str], lease: float) -> None:
        """Certain jobs are claimed."""
        self.tickets += [claimed.ticket for claimed in self.both("claim", platform, 3, "me", lease, ids=ids)]

    @rule(until=st.none() | st.integers(0, 20))
    def due(self, until: int | None) -> None:
        """What is due becomes ready."""
        self.both("due", until and self.now() - 10 + until)

    @rule(numbers=ANY, lease=SPANS)
    def renew(self, numbers: list[int], lease: float) -> None:
        """Leases are renewed, ended ones too."""
        self.both("renew", self.some(numbers), lease)

    @rule(numbers=ANY, delay=MAYBE_SPANS)
    def release(self, numbers: list[int], delay: float) -> None:
        """Jobs are given back."""
        self.both("release", self.some(numbers), delay)

    @rule(
        numbers=ANY,
        status=st.sampled_from([DONE, FAILED]),
        result=st.sampled_from(["1", b"\xff", None]),
        again=st.none() | MAYBE_SPANS,
        keep=MAYBE_SPANS,
        follow_ups=st.lists(JOBS, max_size=2),
        url=st.sampled_from("uv"),
        vary=st.sampled_from([None, "cookie 0123", "none at all"]),
        outcome=st.none() | st.just("o"),
    )
    def complete(self, numbers: list[int], status, follow_ups, url: str, vary, **values) -> None:
        """Jobs are completed, some twice, some too late."""
        found = None if vary == "none at all" else Validator(f'"{len(self.tickets)}"', vary=vary)
        given = {"follow_ups": tuple(follow_ups), "validators": {url: found}}
        self.both("complete", [done(ticket, status, **given, **values, deliver=1) for ticket in self.some(numbers)])

    @rule(platform=st.sampled_from(PLATFORMS), id=st.sampled_from(IDS))
    def cancel(self, platform: str, id: str) -> None:
        """A job is called off."""
        self.both("cancel", platform, id)

    @rule(ids=st.none() | st.sets(st.sampled_from(IDS)))
    def hasten(self, ids: set[str] | None) -> None:
        """What recurs is hastened."""
        self.both("hasten", ids)

    @rule(n=st.integers(0, 3), lease=SPANS, acknowledged=st.booleans())
    def deliver(self, n: int, lease: float, *, acknowledged: bool) -> None:
        """Outcomes are handed out, and acknowledged or not."""
        found = self.both("undelivered", n, lease)
        if acknowledged:
            self.both("acknowledge", [kept.delivery for kept in found])

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
        rate=st.none() | st.just(Rate(3)),
        requests=st.integers(0, 3),
        closed=st.none() | st.integers(0, 20),
    )
    def share(self, owner: str, platforms: set[str], lease: float, closed: int | None, **values) -> None:
        """An engine asks for its share."""
        until = None if closed is None else self.now() + closed
        self.both("share", owner, {name: ShareRequest(**values, closed_until=until) for name in platforms}, lease)

    @rule()
    def stats(self) -> None:
        """Jobs are counted."""
        self.both("stats")

    # -- what always holds

    @invariant()
    def both_have_the_same_jobs(self) -> None:
        """Each job, its position and what is known of its pages are the same in both, and so is the time."""
        assert self.loop.run(all_of, self.memory.store) == self.loop.run(all_of, self.file.store)
        assert self.now() == pytest.approx(self.machine.wall + self.clock.current_time(), abs=1e-5)

    def teardown(self) -> None:
        """All sums in the file are what its rows say, and nothing is left behind."""
        if not hasattr(self, "loop"):
            return
        self.both("stats")
        self.loop.run(self.memory.leave)
        self.loop.run(self.file.leave)
        self.loop.end()
        count_again(self.path)
        shutil.rmtree(self.folder)


async def all_of(store) -> dict:
    """Ask for everything that a store tells of single jobs and pages, all at once."""
    found = {}

    async def ask(call, *names) -> None:
        found[call.__name__, *names] = await call(*names)

    async with trio.open_nursery() as nursery:
        for platform in PLATFORMS:
            for id in IDS:
                nursery.start_soon(ask, store.get, platform, id)
                nursery.start_soon(ask, store.position, platform, id)
            for url in "uv":
                nursery.start_soon(ask, store.recall, platform, url)
    return found


async def now_of(store) -> float:
    """Ask what time it is, once the store has looked."""
    await store.position("p", "a")
    return store.now()


def count_again(file: Path) -> None:
    """Compare the sums in a file with its rows."""
    db = apsw.Connection(str(file))
    rows = db.execute("SELECT platform, status, priority, seq FROM jobs").fetchall()
    counts, ranks = Counter(), Counter()
    for platform, status, priority, seq in rows:
        counts[platform, status] += 1
        if status == 0:
            ranks.update((platform, *node) for node in path(priority, seq // BUCKET))
    assert {tuple(key): n for *key, n in db.execute("SELECT * FROM counts")} == counts
    assert {tuple(key): n for *key, n in db.execute("SELECT * FROM ranks")} == ranks
    numbers = dict(db.execute("SELECT * FROM numbers").fetchall())
    assert numbers.get("pending", 0) == sum(status <= 2 for _, status, _, _ in rows)
    assert numbers.get("ended", 0) == sum(status > 2 for _, status, _, _ in rows)
    assert numbers.get("pages", 0) == db.execute("SELECT count(*) FROM pages").fetchall()[0][0]
    texts, jobs = (db.execute(f"SELECT number FROM {table} ORDER BY 1").fetchall() for table in ("texts", "jobs"))
    assert texts == jobs
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


TestStores = StoreMachine.TestCase
