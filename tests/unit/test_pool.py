"""The pool against a naive model of it: a list of what rests, in the order in which it came to rest."""

from __future__ import annotations

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scrapeengine.http.transport.pool import Peak, Pool

ANY = st.integers(0, 99)
"""Which of those that there are, counted round."""
KEYS = st.sampled_from("abc")
SECONDS = st.sampled_from([0.5, 1.0, 2.0, 5.0])


@attrs.define(eq=False)
class Fake:
    """A connection, as far as a pool sees it."""

    key: str
    made: float
    quiet: bool = True
    closed: int = 0
    """How often it was closed."""

    def close(self) -> None:
        """Count it."""
        self.closed += 1


@attrs.frozen
class Rest:
    """What the model knows of a connection that rests."""

    key: str
    connection: Fake
    since: float


class PoolMachine(RuleBasedStateMachine):
    """Does to a pool what requests do, in any order, and compares it with the model."""

    @initialize(most=st.integers(0, 4), idle=SECONDS, lifetime=SECONDS | st.just(100.0))
    def begin(self, most: int, idle: float, lifetime: float) -> None:
        """Make a pool."""
        self.pool: Pool[str, Fake] = Pool(most=most, idle=idle, lifetime=lifetime)
        self.most, self.idle, self.lifetime = most, idle, lifetime
        self.now = 10.0
        self.resting: list[Rest] = []
        self.out: list[Fake] = []
        self.closed: list[Fake] = []

    # -- the model

    def drop(self, rest: Rest) -> None:
        """Close one that rests."""
        self.resting.remove(rest)
        self.closed.append(rest.connection)

    def drop_the_idle(self) -> None:
        """Close what has rested too long."""
        for rest in [rest for rest in self.resting if rest.since + self.idle <= self.now]:
            self.drop(rest)

    def taken(self, key: str) -> Fake | None:
        """Find what is to be taken: of those that are fit, the one that came to rest last; close those after it."""
        for rest in [rest for rest in reversed(self.resting) if rest.key == key]:
            connection = rest.connection
            if connection.quiet and self.now < connection.made + self.lifetime:
                self.resting.remove(rest)
                self.out.append(connection)
                return connection
            self.drop(rest)
        return None

    # -- what happens

    @rule(key=KEYS, age=st.sampled_from([0.0, 0.0, 1.0, 5.0]))
    def connect(self, key: str, age: float) -> None:
        """A connection is made; it may have been in use for long when it comes to the pool."""
        self.out.append(Fake(key, self.now - age))

    @rule(index=ANY)
    def put(self, index: int) -> None:
        """A connection comes to rest; if there are too many, the one that has rested longest is closed."""
        if not self.out:
            return
        connection = self.out.pop(index % len(self.out))
        self.pool.put(connection.key, connection, self.now)
        self.resting.append(Rest(connection.key, connection, self.now))
        if len(self.resting) > self.most:
            self.drop(self.resting[0])
        self.drop_the_idle()

    @rule(key=KEYS)
    def take(self, key: str) -> None:
        """A request wants one."""
        self.drop_the_idle()
        expected = self.taken(key)
        assert self.pool.take(key, self.now) is expected

    @rule(seconds=SECONDS | st.just(0.25))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(index=ANY)
    def disturb(self, index: int) -> None:
        """A server closes one that rests, or says something on it."""
        if self.resting:
            self.resting[index % len(self.resting)].connection.quiet = False

    @rule()
    def close(self) -> None:
        """All that rest are closed; the pool goes on."""
        self.pool.close()
        for rest in list(self.resting):
            self.drop(rest)

    # -- what always holds

    @invariant()
    def each_is_in_one_place(self) -> None:
        """Every connection rests, or is out, or was closed: once; none is lost, none is there twice."""
        if not hasattr(self, "pool"):
            return
        assert len(self.pool) == len(self.resting) <= self.most
        kept = [(connection, *since) for connection, since in self.pool._by_age.items()]
        assert kept == [(rest.connection, rest.key, rest.since) for rest in self.resting]
        by_key = {key: list(resting) for key, resting in self.pool._by_key.items()}
        keys = {rest.key for rest in self.resting}
        assert by_key == {key: [rest.connection for rest in self.resting if rest.key == key] for key in keys}
        assert {connection.closed for connection in self.closed} <= {1}
        assert {connection.closed for connection in [*self.out, *(rest.connection for rest in self.resting)]} <= {0}

    def teardown(self) -> None:
        """What is fit comes out, last in first out, and then nothing more."""
        if not hasattr(self, "pool"):
            return
        for key in "abc":
            while self.taken_now(key) is not None:
                self.each_is_in_one_place()
        self.each_is_in_one_place()
        assert len(self.pool) == 0

    def taken_now(self, key: str) -> Fake | None:
        """Take one, and compare."""
        self.drop_the_idle()
        expected = self.taken(key)
        assert self.pool.take(key, self.now) is expected
        return expected


TestPool = PoolMachine.TestCase


def fill(pool: Pool[str, Fake], *keys: str) -> list[Fake]:
    """Let new connections rest, one each second."""
    made = [Fake(key, 0.0) for key in keys]
    for second, connection in enumerate(made):
        pool.put(connection.key, connection, float(second))
    return made


def test_the_last_one_goes_out_first() -> None:
    """Of one origin the one that was used last is used next, so that those not needed grow old."""
    pool: Pool[str, Fake] = Pool(most=9, idle=30.0, lifetime=600.0)
    first, second, other = fill(pool, "a", "a", "b")
    assert [pool.take("a", 3.0), pool.take("a", 3.0), pool.take("a", 3.0)] == [second, first, None]
    assert pool.take("b", 3.0) is other


def test_the_one_that_rested_longest_makes_room() -> None:
    """It is closed, wherever it leads."""
    pool: Pool[str, Fake] = Pool(most=2, idle=30.0, lifetime=600.0)
    made = fill(pool, "a", "b", "b")
    assert [connection.closed for connection in made] == [1, 0, 0]
    assert pool.take("a", 3.0) is None


def test_idle_and_lifetime_end_to_the_second() -> None:
    """A connection is used until just before its time is over."""
    for pool in (
        Pool[str, Fake](most=9, idle=30.0, lifetime=600.0),
        Pool[str, Fake](most=9, idle=600.0, lifetime=30.0),
    ):
        fill(pool, "a", "b")
        assert pool.take("a", 29.75) is not None
    for pool in (
        Pool[str, Fake](most=9, idle=30.0, lifetime=600.0),
        Pool[str, Fake](most=9, idle=600.0, lifetime=30.0),
    ):
        [connection] = fill(pool, "a")
        assert pool.take("a", 30.0) is None
        assert connection.closed == 1


def test_what_is_idle_is_closed_whoever_asks() -> None:
    """A request to one origin closes what has rested too long at another."""
    pool: Pool[str, Fake] = Pool(most=9, idle=30.0, lifetime=600.0)
    [connection] = fill(pool, "a")
    pool.take("b", 29.75)
    assert connection.closed == 0
    pool.take("b", 30.0)
    assert (connection.closed, len(pool)) == (1, 0)


def test_one_that_is_not_quiet_is_closed_and_the_next_one_taken() -> None:
    """What the server has closed, or spoken on, is not lent."""
    pool: Pool[str, Fake] = Pool(most=9, idle=30.0, lifetime=600.0)
    quiet, loud = fill(pool, "a", "a")
    loud.quiet = False
    assert pool.take("a", 2.0) is quiet
    assert (loud.closed, quiet.closed, len(pool)) == (1, 0, 0)


def test_a_peak_is_forgotten_after_a_span_or_two() -> None:
    """So that what rests follows limits that are lowered."""
    peak = Peak(10.0)
    assert [peak.seen(count, now) for now, count in [(0, 5), (9, 3), (10, 2), (19, 4), (20, 1), (29, 1), (30, 1)]] == [
        *(5, 5, 5, 5),
        *(4, 4, 1),
    ]
    assert peak.seen(2, 100.0) == 2


def test_a_pool_that_is_made_smaller_closes_what_is_too_many_when_the_next_comes() -> None:
    """Those that have rested longest."""
    pool: Pool[str, Fake] = Pool(most=4, idle=10.0, lifetime=10.0)
    fakes = [Fake("a", 0.0) for _ in range(5)]
    for fake in fakes[:4]:
        pool.put("a", fake, 0.0)
    pool.most = 2
    pool.put("a", fakes[4], 1.0)
    assert [fake.closed for fake in fakes] == [1, 1, 1, 0, 0]
