"""Name lookups: joined, kept, in few threads, and never in the way of one another for long."""

from __future__ import annotations

import functools
import socket
import threading
from collections import Counter

import attrs
import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.http.transport.names import Address, Names

HERE = [Address.of("127.0.0.1")]


@attrs.define(eq=False)
class Server:
    """A name server in whose hands it is when it answers. Each answer is 127.0.0.1, if it is not told otherwise."""

    slow: tuple = ("slow",)
    """How the names begin that are answered when `go` is set."""
    errors: list = attrs.field(factory=list)
    """What is raised, one after the other, before there is an answer."""
    asked: Counter = attrs.field(factory=Counter)
    inside: int = 0
    most_inside: int = 0
    go: threading.Event = attrs.field(factory=threading.Event)
    begun: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def resolve(self, host):
        """Answer, in a thread."""
        with self.lock:
            self.asked[host] += 1
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            error = self.errors.pop(0) if self.errors else None
        self.begun.release()
        if host.startswith(self.slow):
            assert self.go.wait(30)
        with self.lock:
            self.inside -= 1
        if error is not None:
            raise error
        return HERE


@pytest.fixture
async def server():
    """Make a name server, and let all threads go in the end."""
    server = Server()
    yield server
    server.go.set()


async def settled():
    """Wait until all tasks wait for something."""
    await trio.testing.wait_all_tasks_blocked()


LITERALS = {
    "127.0.0.1": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "0x7f.1": "127.0.0.1",
    "0": "0.0.0.0",
    "::1": "::1",
    "[::1]": "::1",
}


@pytest.mark.parametrize("host", LITERALS)
async def test_an_address_is_no_name(mock_clock, server, host):
    """Addresses in any form are returned without a thread, and without a checkpoint."""
    with trio.CancelScope() as scope:
        scope.cancel()
        [address] = await Names(resolve=server.resolve).lookup(host, 80)
    assert not scope.cancelled_caught
    assert address.text == LITERALS[host]
    assert address.sockaddr[1] == 80
    assert address.family == (socket.AF_INET6 if ":" in host else socket.AF_INET)
    assert not server.asked


async def test_an_address_that_is_not_there_is_an_error_of_the_connection(mock_clock, server):
    """A zone that is no interface of this machine cannot be connected to."""
    with pytest.raises(httpx.ConnectError, match="there is no address 'fe80::1%nosuch0' here: "):
        await Names(resolve=server.resolve).lookup("fe80::1%nosuch0", 80)


async def test_the_system_knows_localhost():
    """Without a resolver of one's own it is the system that is asked, each address counts once, and has its port."""
    addresses = await Names().lookup("localhost", 8080)
    assert len(set(addresses)) == len(addresses)
    assert {address.sockaddr[1] for address in addresses} == {8080}
    assert {address.text for address in addresses} <= {"127.0.0.1", "::1"}


async def test_an_answer_is_kept_for_half_a_minute(mock_clock, server):
    """For 30 s the name is not looked up again, whatever the port, and there is no checkpoint; then it is."""
    names = Names(resolve=server.resolve)
    await names.lookup("a.test", 80)
    mock_clock.jump(29.999)
    with trio.CancelScope() as scope:
        scope.cancel()
        [address] = await names.lookup("a.test", 443)
    assert address.sockaddr == ("127.0.0.1", 443)
    assert server.asked["a.test"] == 1
    mock_clock.jump(0.001)
    await names.lookup("a.test", 80)
    assert server.asked["a.test"] == 2


async def test_a_thousand_names_are_kept(mock_clock, server):
    """The one that was not asked for longest is forgotten first."""
    names = Names(resolve=server.resolve)
    for number in range(1000):
        await names.lookup(f"{number}.test", 80)
    await names.lookup("0.test", 80)
    await names.lookup("new.test", 80)
    await names.lookup("0.test", 80)
    assert server.asked["0.test"] == 1
    await names.lookup("1.test", 80)
    assert server.asked["1.test"] == 2


FAILURES = [
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
    (OSError("no text"), "the system does not say why"),
    (UnicodeError("secret"), "it is no valid name"),
    (LookupError("secret"), "the lookup failed, and does not say why"),
]


@pytest.mark.parametrize(("error", "words"), FAILURES)
async def test_a_failure_says_why_and_is_not_kept(mock_clock, server, error, words):
    """The message names the host and the system's reason; the next lookup asks anew."""
    server.errors = [error]
    names = Names(resolve=server.resolve)
    with pytest.raises(httpx.ConnectError) as caught:
        await names.lookup("a.test", 80)
    assert str(caught.value) == f"the name 'a.test' could not be resolved: {words}"
    assert await names.lookup("a.test", 80)


async def test_a_name_without_addresses_is_a_failure():
    """No answer is an answer without addresses."""
    with pytest.raises(httpx.ConnectError, match="could not be resolved: it has no address"):
        await Names(resolve=lambda _: []).lookup("a.test", 80)


async def test_each_address_counts_once():
    """What a resolver says twice is tried once, in the order in which it came first."""
    one, other = Address.of("127.0.0.1"), Address.of("::1")
    found = await Names(resolve=lambda _: [other, one, other, one]).lookup("a.test", 80)
    assert found == [other.at(80), one.at(80)]


@pytest.mark.parametrize("host", ["a" * 64 + ".test", "a..test", "\udcff.test", "a\0b"])
async def test_a_name_that_is_none_is_an_error_of_the_connection(host):
    """What the system refuses to look up ends in no other error."""
    with pytest.raises(httpx.ConnectError, match="could not be resolved: "):
        await Names().lookup(host, 80)


@pytest.mark.parametrize("host", ["", "a." * 127 + "a"])
async def test_an_overlong_name_is_not_looked_up(mock_clock, server, host):
    """It is refused at once, and not repeated."""
    with pytest.raises(httpx.ConnectError, match=f"a host name of {len(host)} characters; .* at most 254") as caught:
        await Names(resolve=server.resolve).lookup(host, 80)
    assert len(str(caught.value)) < 100
    assert not server.asked


async def test_lookups_of_one_name_are_one(mock_clock, server):
    """Who asks while it is being looked up waits for the same answer."""
    names = Names(resolve=server.resolve)
    async with trio.open_nursery() as nursery:
        for port in range(1, 21):
            nursery.start_soon(names.lookup, "slow.test", port)
        await settled()
        server.go.set()
    assert server.asked["slow.test"] == 1


async def test_each_of_those_who_wait_gets_an_error_of_its_own(mock_clock, server):
    """A failure is told to all, not one object to all of them."""
    server.errors = [OSError(1, "no")]
    names, errors = Names(resolve=server.resolve), []

    async def ask():
        with pytest.raises(httpx.ConnectError, match="no") as caught:
            await names.lookup("slow.test", 80)
        errors.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await settled()
        server.go.set()
    assert len(set(map(id, errors))) == 2


async def test_the_first_one_may_go(mock_clock, server):
    """Cancelling the one who began a lookup leaves it to those who have joined."""
    names, found = Names(resolve=server.resolve), []
    first = trio.CancelScope()

    async def begin():
        with first:
            await names.lookup("slow.test", 80)

    async def join():
        found.extend(await names.lookup("slow.test", 80))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin)
        await settled()
        nursery.start_soon(join)
        await settled()
        first.cancel()
        await settled()
        server.go.set()
    assert first.cancelled_caught
    assert found == [HERE[0].at(80)]
    assert server.asked["slow.test"] == 1


async def test_what_nobody_waits_for_any_more_is_not_looked_up_twice(mock_clock, server):
    """Each new try for a slow name joins the thread that has it; its answer counts although all have left."""
    names = Names(resolve=server.resolve)
    for _ in range(20):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(names.lookup, "slow.test", 80)
                await settled()
                scope.cancel()
    server.go.set()
    assert await names.lookup("slow.test", 80)
    assert server.asked["slow.test"] == 1


async def test_who_is_cancelled_in_line_leaves_it(mock_clock, server):
    """A name that waited for a thread, and that nobody wants any more, is never looked up."""
    names = Names(resolve=server.resolve, threads=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(names.lookup, "slow.test", 80)
        await settled()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as others:
                others.start_soon(names.lookup, "other.test", 80)
                await settled()
                assert "1 waiting" in repr(names)
                scope.cancel()
        assert "0 waiting" in repr(names)
        server.go.set()
    await names.lookup("third.test", 80)
    assert server.asked == {"slow.test": 1, "third.test": 1}
    assert repr(names) == "<Names 2 kept, 0 looked up, 0 waiting>"


async def test_few_names_are_looked_up_at_once(mock_clock, server):
    """With three threads there are three lookups at once and never four."""
    together = threading.Barrier(3, timeout=30)

    def resolve(host):
        together.wait()
        return server.resolve(host)

    names = Names(resolve=resolve, threads=3)
    async with trio.open_nursery() as nursery:
        for number in range(21):
            nursery.start_soon(names.lookup, f"{number}.test", 80)
    assert server.most_inside <= 3
    assert server.asked.total() == 21


async def ask_for_slow_ones(names, nursery, count):
    """Begin to look up slow names, and wait until those that can have begun."""
    for number in range(count):
        nursery.start_soon(names.lookup, f"slow{number}.test", 80)
    await settled()


async def test_sixty_slow_names_hold_up_nobody_else(mock_clock, server):
    """They take none of trio's own threads, and what is kept is at hand."""
    names = Names(resolve=server.resolve)
    await names.lookup("kept.test", 80)
    async with trio.open_nursery() as nursery:
        await ask_for_slow_ones(names, nursery, 60)
        limiter = trio.to_thread.current_default_thread_limiter()
        assert limiter.borrowed_tokens == 0
        assert await trio.to_thread.run_sync(lambda: 42) == 42
        with trio.CancelScope() as scope:
            scope.cancel()
            assert await names.lookup("kept.test", 80)
        assert not scope.cancelled_caught
        server.go.set()


async def test_a_healthy_name_waits_for_those_before_it_and_not_for_slow_ones(mock_clock, server):
    """Behind 60 names that are not answered it is its turn within 4 s: 8 of them begin in each half second."""
    names = Names(resolve=server.resolve)
    async with trio.open_nursery() as nursery:
        await ask_for_slow_ones(names, nursery, 60)
        healthy = trio.Event()

        async def ask():
            assert await names.lookup("healthy.test", 80)
            healthy.set()

        nursery.start_soon(ask)
        for step in range(7):
            await settled()
            assert names._quick + names._slow == 8 * (step + 1)
            assert not server.asked["healthy.test"]
            mock_clock.jump(0.499)
            await settled()
            assert names._quick + names._slow == 8 * (step + 1)
            mock_clock.jump(0.001)
        await healthy.wait()
        server.go.set()
    assert server.asked.total() == 61


async def test_there_is_an_end_to_slow_names_too(mock_clock, server):
    """At most 56 slow ones and those that have just begun have threads."""
    names = Names(resolve=server.resolve, threads=2)
    async with trio.open_nursery() as nursery:
        await ask_for_slow_ones(names, nursery, 70)
        for _ in range(60):
            mock_clock.jump(1.0)
            await settled()
        assert repr(names) == "<Names 0 kept, 58 looked up, 12 waiting>"
        for _ in range(58):
            await trio.to_thread.run_sync(functools.partial(server.begun.acquire, timeout=30))
        assert server.inside == 58
        server.go.set()
    assert repr(names) == "<Names 70 kept, 0 looked up, 0 waiting>"


async def test_who_leaves_a_lookup_to_itself_makes_room(mock_clock, server):
    """A lookup that nobody waits for counts as slow at once."""
    names = Names(resolve=server.resolve, threads=1)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(names.lookup, "slow.test", 80)
            await settled()
            scope.cancel()
    assert (names._quick, names._slow) == (0, 1)
    assert await names.lookup("other.test", 80)


async def test_without_threads_a_lookup_fails_and_the_next_ones_go_on(mock_clock, server, monkeypatch):
    """If the system gives no thread, that is an error of the one who asked, and nothing stays behind."""
    names = Names(resolve=server.resolve, threads=1)

    def refuse(*_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(trio.lowlevel, "start_thread_soon", refuse)
        for _ in range(3):
            with pytest.raises(httpx.ConnectError, match="the system gives no thread for it"):
                await names.lookup("a.test", 80)
    assert await names.lookup("a.test", 80)


@attrs.define(eq=False)
class Threads:
    """In the place of trio's threads: what is started ends when the test says so."""

    started: list = attrs.field(factory=list)

    def start(self, work, deliver, name):
        """Note it."""
        self.started.append((work, deliver, name))

    def end(self, at=0):
        """Let one do its work and deliver it."""
        work, deliver, _ = self.started.pop(at)
        result = work()

        class Value:
            def unwrap(self):
                return result

        deliver(Value())


def test_an_answer_after_the_run_goes_nowhere(monkeypatch):
    """A thread that outlives its run harms neither it nor the next one, which starts from nothing."""
    threads = Threads()
    monkeypatch.setattr(trio.lowlevel, "start_thread_soon", threads.start)
    names = Names(resolve=lambda _: HERE)

    async def begin():
        with trio.move_on_after(0):
            await names.lookup("a.test", 80)

    async def again():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(names.lookup, "a.test", 80)
            await settled()
            assert len(threads.started) == 2
            threads.end(0)
            await settled()
            assert repr(names) == "<Names 0 kept, 1 looked up, 0 waiting>"
            threads.end(0)
        assert repr(names) == "<Names 1 kept, 0 looked up, 0 waiting>"

    trio.run(begin)
    assert len(threads.started) == 1
    trio.run(again)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from("abcdefgh")),
        st.tuples(st.just("cancel"), st.integers(0, 50)),
        st.tuples(st.just("answer"), st.integers(0, 50)),
        st.tuples(st.just("time"), st.sampled_from([0.25, 0.5, 30.0])),
    ),
    max_size=40,
)


@given(STEPS, st.integers(1, 3))
def test_every_one_who_waits_gets_the_answer_and_nothing_stays(steps, most):
    """In whatever order names are asked for, given up and answered: each has one thread, and no wait is for ever."""
    threads = Threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.lowlevel, "start_thread_soon", threads.start)
        clock = trio.testing.MockClock()
        trio.run(play, steps, most, threads, clock, clock=clock)


async def play(steps, most, threads, clock):
    """Do what the steps say, and look at what may be seen after each."""
    names = Names(resolve=lambda host: [Address.of(f"127.0.0.{ord(host)}")], threads=most)
    scopes, ended = [], Counter()

    async def ask(host):
        with trio.CancelScope() as scope:
            scopes.append(scope)
            [address] = await names.lookup(host, 80)
            assert address.text == f"127.0.0.{ord(host)}"
        ended["cancelled" if scope.cancelled_caught else "answered"] += 1

    async with trio.open_nursery() as nursery:
        for step in [*steps, *[("answer", 0)] * 50]:
            match step:
                case "ask", host:
                    nursery.start_soon(ask, host)
                case "cancel", number if scopes:
                    scopes.pop(number % len(scopes)).cancel()
                case "answer", number if threads.started:
                    threads.end(number % len(threads.started))
                case "time", seconds:
                    clock.jump(seconds)
            await settled()
            running = [name for _, _, name in threads.started]
            assert len(running) == len(set(running))
            assert names._quick <= most
            assert names._quick + names._slow == len(running)
            assert not names._line or names._quick == most
    assert ended.total() == sum(step[0] == "ask" for step in steps)
    assert (names._quick, names._slow) == (0, 0)
    assert not names._line
    assert not threads.started
