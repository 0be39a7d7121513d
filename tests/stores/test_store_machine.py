"""The stateful test of the kit with more in hand: wrong clocks, machines that sleep and boot, files that crash.

A file's own sums are counted again at the end of each run, row by row.
"""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import apsw
from hypothesis import strategies as st
from hypothesis.stateful import rule

from scrapeengine.stores import staged
from scrapeengine.stores.moment import is_of, later, restarted
from scrapeengine.stores.sqlite.schema import RECURRING
from scrapeengine.stores.sqlite.sums import BUCKET, path
from scrapeengine.testing.stores import StoreMachine, StoreScenes
from scrapeengine.testing.stores.machine import ANY, JOBS, MAYBE_SPANS, PLATFORMS, OpenedStore
from stores.machines import Machine

STEPS = st.sampled_from([1.0, -1.0, 30.0, -30.0, 3600.0, -3600.0])
"""Of the wall clock. What is less than half a second may be seen sooner or later."""


class OnAMachine(StoreMachine):
    """A store on a machine with clocks to set; the model goes by moments that are made as the store makes them."""

    def __init__(self):
        super().__init__(StoreScenes())
        self.machine = Machine(self.clock)
        self.now = None

    def moment(self):
        """Return the present moment, after the last one."""
        reading = self.machine.clock.read()
        before = self.now or self.opened.store._times.moment
        known = is_of(before, reading)
        self.now = later(before, reading) if known else restarted(before, reading)
        if not known:
            self.model.moment = self.now
            self.model.restart(before.asleep)
        return self.now

    def pass_time(self, seconds):
        """Let time pass by all clocks."""
        self.loop.run(self.scenes.pass_time, self.clock, seconds)

    @rule(seconds=STEPS)
    def the_clock_is_set(self, seconds):
        """The wall clock is set."""
        self.machine.set_clock(seconds)

    @rule(seconds=STEPS.map(abs))
    def the_machine_sleeps(self, seconds):
        """All processes stand still."""
        self.machine.sleep(seconds)

    @rule(off=MAYBE_SPANS, wrong=st.just(0.0) | STEPS)
    def reboot(self, off, wrong):
        """The machine is off for a while, and its clock may be wrong then."""
        self.claim("p", 1, None, 1000.0)
        # A file knows of no moment but those at which something was written down.
        self.both("lock", "last", "me", 1)
        self.machine.reboot(off + wrong)
        self.booted()
        self.both("stats")

    def booted(self):
        """Let the store in memory read the clock of another boot."""
        self.opened.store._times.clock = self.machine.clock


class InMemory(OnAMachine):
    """A store in memory, which a reboot does not end: it is told of it."""

    def opening(self, options):
        """Open it."""
        return self.machine.open("memory:", **options)


class InAFile(OnAMachine):
    """A store in a file, which may crash at any time, and does at each reboot."""

    def opening(self, options):
        """Open the file, a new one at first."""
        if not hasattr(self, "folder"):
            self.folder, self.files, self.options = Path(tempfile.mkdtemp()), 0, options
        return self.machine.open(f"sqlite:{self.path}", **options)

    @property
    def path(self):
        """The file that is in use."""
        return self.folder / f"{self.files}.db"

    @rule(numbers=ANY, ended=ANY)
    def crash(self, numbers, ended):
        """The file is dropped as it is, its log unmerged, and opened again; all that was held is free.

        Some scrapers ran then, and others had.
        """
        starts, running = self.opened.store.starts, {ticket.token for ticket in self.some(numbers)}
        over = {ticket.token for ticket in self.some(ended)}
        for token in sorted(running):
            starts.begin(token)
        for token in sorted(over):
            starts.end(token)
        before = self.path
        self.files += 1
        for end in ("", "-wal"):
            shutil.copyfile(f"{before}{end}", f"{self.path}{end}")
        Path(f"{self.path}-live").mkdir()
        for file in Path(f"{before}-live").glob("*.runs"):
            shutil.copyfile(file, f"{self.path}-live/{file.name}")
        self.loop.run(self.opened.leave)
        self.opened = OpenedStore()
        self.loop.run(self.opened.open, self.opening(self.options))
        self.model.moment = self.moment()
        self.model.die(running - over)

    @rule(n=st.integers(1, 3), platform=st.sampled_from(PLATFORMS))
    def kills_its_process(self, n, platform):
        """Scrapers run, and the process dies."""
        before = len(self.tickets)
        self.claim(platform, n, None, 7.0)
        if count := len(self.tickets) - before:
            self.crash(list(range(count)), [])

    def booted(self):
        """A reboot is a crash, by no fault of what ran."""
        self.crash([0, 1, 2], [])

    def teardown(self):
        """All sums in the file are what its rows say, and nothing is left behind."""
        super().teardown()
        if hasattr(self, "folder"):
            count_again(self.path)
            shutil.rmtree(self.folder)


def count_again(file):
    """Compare the sums in a file with its rows."""
    db = apsw.Connection(str(file))
    rows = db.execute("SELECT platform, status, priority, seq, cadence FROM jobs").fetchall()
    counts, ranks = Counter(), Counter()
    for platform, status, priority, seq, cadence in rows:
        counts[platform, status] += 1
        counts[platform, RECURRING] += status < 3 and cadence is not None
        if status == 0:
            ranks.update((platform, *node) for node in path(priority, seq // BUCKET))
    assert {tuple(key): n for *key, n in db.execute("SELECT * FROM counts")} == +counts
    assert {tuple(key): n for *key, n in db.execute("SELECT * FROM ranks")} == ranks
    numbers = dict(db.execute("SELECT * FROM numbers").fetchall())
    assert numbers.get("pending", 0) == sum(status <= 2 for _, status, *_ in rows)
    assert numbers.get("ended", 0) == sum(status > 2 for _, status, *_ in rows)
    suspects = db.execute("SELECT count(*) FROM jobs WHERE deaths IN (1, 2, 3)").fetchall()[0][0]
    assert numbers.get("suspects", 0) == suspects
    assert numbers.get("pages", 0) == db.execute("SELECT count(*) FROM pages").fetchall()[0][0]
    texts, jobs = (db.execute(f"SELECT number FROM {table} ORDER BY 1").fetchall() for table in ("texts", "jobs"))
    assert texts == jobs
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


class InParts(InAFile):
    """A store in a file, to which even a few jobs come in parts."""

    def enqueue(self, jobs, *, replace):
        """Have them come two by two."""
        before, staged.PART = staged.PART, 2
        try:
            super().enqueue(jobs, replace=replace)
        finally:
            staged.PART = before

    enqueue = rule(jobs=st.lists(JOBS, min_size=3, max_size=7), replace=st.booleans())(enqueue)


TestInParts = InParts.TestCase
TestInMemory = InMemory.TestCase
TestInAFile = InAFile.TestCase
