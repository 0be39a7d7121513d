"""Connecting: which address is tried when, which never, what is said when none answers, and that nothing stays open."""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
import socket

import attrs
import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.http.transport.dial import AllFailed, Dialer, interleaved, race
from scrapeengine.http.transport.failures import Blocked
from scrapeengine.http.transport.names import Address, Names
from support.cancelling import cancelled_at, uncollected
from support.runs import open_files
from support.world import virtually

# The race, in virtual time.


@attrs.define(eq=False)
class Track:
    """Candidates by name: after how many seconds each connects ("ok") or fails; and what happened when."""

    plan: dict
    started: dict = attrs.field(factory=dict)
    cancelled: list = attrs.field(factory=list)
    discarded: list = attrs.field(factory=list)
    begun: float = 0.0
    ended: float = 0.0

    async def connect(self, name):
        """Connect or fail as planned."""
        self.started[name] = trio.current_time() - self.begun
        seconds, how = self.plan[name]
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            self.cancelled.append(name)
            raise
        if how != "ok":
            raise OSError(how, name)
        return name

    async def run(self, delay=0.25, deadline=float("inf")):
        """Have the race; return the winner, "cancelled", or the names of those that failed."""
        self.begun = trio.current_time()
        result = "cancelled"
        with trio.move_on_after(deadline):
            try:
                result = await race(list(self.plan), self.connect, delay, discard=self.discarded.append)
            except AllFailed as failed:
                result = [error.strerror for error in failed.errors]
        self.ended = trio.current_time() - self.begun
        return result


async def test_the_first_to_answer_at_once_is_the_only_one_that_is_tried(autojump_clock):
    """Within the delay nothing else is tried."""
    track = Track({"a": (0.2, "ok"), "b": (0.0, "ok")})
    assert await track.run() == "a"
    assert track.started == {"a": 0.0}
    assert track.ended == pytest.approx(0.2)


async def test_the_next_is_tried_when_one_is_slow(autojump_clock):
    """After each delay one more is tried beside the others; the first to connect wins, and the others are cancelled."""
    track = Track({"a": (9.0, "ok"), "b": (9.0, "ok"), "c": (0.1, "ok"), "d": (0.0, "ok")})
    assert await track.run() == "c"
    assert track.started == pytest.approx({"a": 0.0, "b": 0.25, "c": 0.5})
    assert track.ended == pytest.approx(0.6)
    assert sorted(track.cancelled) == ["a", "b"]
    assert track.discarded == []


async def test_a_slow_one_may_still_win(autojump_clock):
    """The first goes on while the second is tried."""
    track = Track({"a": (0.4, "ok"), "b": (0.3, "ok")})
    assert await track.run() == "a"
    assert track.cancelled == ["b"]


async def test_the_next_is_tried_at_once_when_one_fails(autojump_clock):
    """A failure does not wait for the delay, whichever attempt it is that fails."""
    track = Track({"a": (0.35, 1), "b": (9.0, "ok"), "c": (0.0, 1), "d": (0.5, "ok")})
    assert await track.run() == "d"
    assert track.started == pytest.approx({"a": 0.0, "b": 0.25, "c": 0.35, "d": 0.35})
    assert track.ended == pytest.approx(0.85)


async def test_one_failure_starts_one_attempt(autojump_clock):
    """Those after the next one wait for the delay again."""
    track = Track({"a": (0.1, 1), "b": (9.0, "ok"), "c": (9.0, "ok"), "d": (0.0, "ok")})
    assert await track.run() == "d"
    assert track.started == pytest.approx({"a": 0.0, "b": 0.1, "c": 0.35, "d": 0.6})


async def test_all_may_fail(autojump_clock):
    """The errors are told in the order in which they came; the race ends with the last of them."""
    track = Track({"a": (1.0, 1), "b": (0.0, 1), "c": (0.1, 1)})
    assert await track.run() == ["b", "c", "a"]
    assert track.ended == pytest.approx(1.0)


@pytest.mark.parametrize("count", [1, 2])
async def test_what_is_no_failure_to_connect_is_not_taken_for_one(count):
    """A mistake of ours is no unreachable server."""

    async def connect(name):
        await trio.lowlevel.checkpoint()
        raise LookupError(name)

    with pytest.RaisesGroup(LookupError, allow_unwrapped=True, flatten_subgroups=True):
        await race(["a", "b"][:count], connect, 0.25, discard=print)


async def test_one_alone_is_tried_in_the_task_itself():
    """A single address costs no nursery."""
    me = trio.lowlevel.current_task()

    async def connect(name):
        await trio.lowlevel.checkpoint()
        return trio.lowlevel.current_task()

    assert await race(["a"], connect, 0.25, discard=print) is me


async def test_two_that_connect_at_the_same_time_are_one(autojump_clock):
    """One of them is returned, and the other one is closed."""
    track = Track({"a": (0.5, "ok"), "b": (0.25, "ok")})
    winner = await track.run()
    assert sorted([winner, *track.discarded, *track.cancelled]) == ["a", "b"]


TRIES = st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 1.0]), st.sampled_from(["ok", 1]))


@given(st.lists(TRIES, min_size=1, max_size=6), st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.75, 9.0]))
def test_each_attempt_ends_in_one_way(tries, deadline):
    """Whatever is slow or fails, and whenever all is cancelled: what was made is returned or closed, and in order."""
    track = Track({f"{number}": each for number, each in enumerate(tries)})
    result = virtually(track.run, deadline=deadline)
    failed = {name for name in track.started if track.plan[name][1] != "ok"} - set(track.cancelled)
    won = {result} & set(track.started) if isinstance(result, str) else set()
    ends = [*track.cancelled, *track.discarded, *failed, *won]
    assert sorted(ends) == sorted(track.started)
    assert list(track.started) == list(track.plan)[: len(track.started)]
    times = list(track.started.values())
    assert times == sorted(times)
    if isinstance(result, list):
        assert set(result) == set(track.plan)
    if deadline == 9.0:
        assert result in track.plan if "ok" in dict.fromkeys(how for _, how in tries) else isinstance(result, list)


def test_the_families_take_turns():
    """The family of the first address comes first, and each address keeps its place in its own."""
    four = [Address.of(f"127.0.0.{n}") for n in range(1, 4)]
    six = [Address.of("::1"), Address.of("::2")]
    assert interleaved(six + four) == [six[0], four[0], six[1], four[1], four[2]]
    assert interleaved([four[0], *six, *four[1:]]) == [four[0], six[0], four[1], six[1], four[2]]
    assert interleaved(four) == four


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 250)), min_size=1, max_size=12, unique=True))
def test_no_address_is_lost_in_turning(drawn):
    """Each address comes once, and as long as both families are left no two of one follow each other."""
    addresses = [Address.of(f"::{n}" if six else f"127.0.0.{n}") for six, n in drawn]
    turned = interleaved(addresses)
    assert turned[0] == addresses[0]
    assert sorted(map(str, turned)) == sorted(map(str, addresses))
    families = [address.family for address in turned]
    both = 2 * min(families.count(socket.AF_INET), families.count(socket.AF_INET6))
    assert all(one != other for one, other in itertools.pairwise(families[:both]))
    for family in set(families):
        assert [a for a in turned if a.family == family] == [a for a in addresses if a.family == family]


# Real sockets.


@contextlib.contextmanager
def listening(address="127.0.0.1", port=0, *, full=False):
    """Listen, and accept nothing: the kernel does as long as its queue is not full, and then does not answer."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0 if full else 100)
        if full:
            stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
        yield listener.getsockname()[1]


def unused():
    """Return a port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def leading_to(*addresses):
    """Make a dialer for which each name leads to these addresses."""
    return Dialer(Names(resolve=lambda _: [Address.of(address) for address in addresses]))


async def dialled(dialer, host, port, **options):
    """Dial, and return the address that was connected to; or the error."""
    with trio.fail_after(20):
        try:
            sock = await dialer.dial(host, port, **options)
        except httpx.ConnectError as error:
            return error
    with sock:
        assert type(sock) is socket.socket
        assert sock.getblocking() is False
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        return sock.getpeername()[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "a.test"])
async def test_a_host_is_connected_to(host):
    """The socket is connected, does not block, and sends small packets at once."""
    with listening() as port:
        assert await dialled(leading_to("127.0.0.1"), host, port) == "127.0.0.1"


async def test_a_refused_address_is_passed_over():
    """Where the first address refuses, the second one is connected to."""
    with listening("127.0.0.2") as port:
        assert await dialled(leading_to("127.0.0.1", "127.0.0.2"), "a.test", port) == "127.0.0.2"


async def test_an_address_that_says_nothing_is_passed_by():
    """Where the first address does not answer, the second one is connected to."""
    with listening("127.0.0.1", full=True) as port, listening("127.0.0.2", port):
        assert await dialled(leading_to("127.0.0.1", "127.0.0.2"), "a.test", port) == "127.0.0.2"


async def test_a_refused_connection_says_so():
    """The message names the host, the port and the cause."""
    port = unused()
    error = await dialled(leading_to("127.0.0.1"), "a.test", port)
    assert type(error) is httpx.ConnectError
    assert str(error) == f"no connection to 'a.test', port {port}: connection refused"


async def test_an_error_says_how_many_were_tried():
    """One error stands for those of all addresses."""
    port = unused()
    error = await dialled(leading_to("127.0.0.1", "127.0.0.2", "127.0.0.3"), "a.test", port)
    assert str(error) == f"no connection to 'a.test', port {port}: connection refused (3 addresses were tried)"


FAILURES = [
    ([errno.ENETUNREACH], "network is unreachable"),
    ([errno.EHOSTUNREACH], "no route to host"),
    ([errno.ETIMEDOUT], "connection timed out"),
    ([errno.ENETUNREACH, errno.EHOSTUNREACH], "no route to host (2 addresses were tried)"),
    ([errno.EADDRNOTAVAIL, errno.EHOSTUNREACH, errno.ECONNREFUSED], "connection refused (3 addresses were tried)"),
    ([errno.ETIMEDOUT, errno.ECONNREFUSED], "connection timed out (2 addresses were tried)"),
]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("codes", "words"), FAILURES)
async def test_the_failure_that_tells_most_is_told(codes, words, at_once, monkeypatch):
    """What a server says comes before what the way to it says, and that before what this machine lacks."""
    left = list(codes)

    class Socket(socket.socket):
        def connect_ex(self, _):
            self.code = left.pop(0)
            return self.code if at_once else errno.EINPROGRESS

        def getsockopt(self, *_):
            return self.code

    monkeypatch.setattr(socket, "socket", Socket)
    error = await dialled(leading_to(*[f"127.0.0.{n + 1}" for n in range(len(codes))]), "a.test", 80)
    assert str(error) == f"no connection to 'a.test', port 80: {words}"


async def test_no_file_descriptor_is_an_error_of_the_connection(monkeypatch):
    """If the system gives no socket, the message says why."""

    class Socket(socket.socket):
        def __init__(self, *_):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Socket)
        with pytest.raises(httpx.ConnectError, match="port 80: too many open files"):
            await leading_to("127.0.0.1").dial("127.0.0.1", 80)


@pytest.mark.parametrize("port", [-1, 0, 65536, 99999])
async def test_a_port_that_is_none_is_an_error_of_the_connection(port):
    """The message says which there are."""
    error = await dialled(leading_to("127.0.0.1"), "a.test", port)
    assert str(error) == f"port {port} is none; ports go from 1 to 65535"


async def test_a_name_with_thousands_of_addresses_is_not_tried_for_ever():
    """Thirty-two are tried."""
    port = unused()
    error = await dialled(leading_to(*[f"127.0.{n // 250}.{n % 250 + 1}" for n in range(2000)]), "a.test", port)
    assert str(error).endswith("(32 addresses were tried)")


LOCAL = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0", "::1", "[::1]", "::ffff:127.0.0.1", "169.254.169.254"]


@pytest.mark.parametrize("host", LOCAL)
async def test_local_addresses_are_blocked(host, monkeypatch):
    """However they are written, they are not connected to."""
    monkeypatch.setattr(socket.socket, "connect_ex", None)
    error = await dialled(leading_to(), host, 80, block_private=True)
    assert type(error) is Blocked
    assert str(error) == f"{host!r} has no public address, and only those may be connected to"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:10.0.0.1"])
async def test_names_of_local_addresses_are_blocked(address, monkeypatch):
    """It is the address that counts."""
    monkeypatch.setattr(socket.socket, "connect_ex", None)
    assert type(await dialled(leading_to(address, "127.0.0.2"), "a.test", 80, block_private=True)) is Blocked


async def test_of_mixed_addresses_only_the_public_ones_are_connected_to(monkeypatch):
    """A name that leads to a public address and to local ones gets no connection to these, though the other fails."""
    tried = []

    class Socket(socket.socket):
        def connect_ex(self, address):
            tried.append(address[0])
            return errno.ECONNREFUSED

    monkeypatch.setattr(socket, "socket", Socket)
    dialer = leading_to("127.0.0.1", "8.8.8.8", "::1", "::ffff:169.254.169.254", "2606:4700::1")
    error = await dialled(dialer, "a.test", 80, block_private=True)
    assert not isinstance(error, Blocked)
    assert tried == ["8.8.8.8", "2606:4700::1"]


async def test_both_families_are_tried_early(monkeypatch):
    """Where one family does not work, the other one's turn comes second and not last."""
    tried = []

    class Socket(socket.socket):
        def connect_ex(self, address):
            tried.append(address[0])
            return errno.EHOSTUNREACH

    monkeypatch.setattr(socket, "socket", Socket)
    await dialled(leading_to("2606:4700::1", "2606:4700::2", "8.8.8.8", "8.8.4.4"), "a.test", 80)
    assert tried == ["2606:4700::1", "8.8.8.8", "2606:4700::2", "8.8.4.4"]


async def test_local_addresses_are_connected_to_unless_that_is_forbidden():
    """By default, one may scrape one's own machine."""
    with listening() as port:
        assert await dialled(leading_to("127.0.0.1"), "127.0.0.1", port, block_private=False) == "127.0.0.1"


# What cancellation leaves behind.


async def cut_short(after, dial):
    """Dial, and cancel that after some steps; return whether it was over before."""
    with cancelled_at(after, deadline=0.2) as cancelling, contextlib.suppress(httpx.ConnectError):
        sock = await dial()
        sock.close()
    return not cancelling.struck


SCENES = {
    # what the addresses 127.0.0.1, .2, … do; all at one port
    "one that answers": ["answers"],
    "one that refuses": ["refuses"],
    "one that says nothing": ["says nothing"],
    "some that refuse": ["refuses", "refuses", "answers"],
    "some that say nothing": ["says nothing", "says nothing", "answers"],
    "all in a mess": ["says nothing", "refuses", "says nothing", "answers", "answers"],
}


@pytest.mark.parametrize("scene", SCENES)
async def test_cancelled_at_any_checkpoint_no_socket_is_open(scene):
    """Cancelled after the k-th step, for all k, dialling leaves no file descriptor, without the garbage collector."""
    addresses = [f"127.0.0.{n}" for n, _ in enumerate(SCENES[scene], 1)]

    async def main(stack):
        port = unused()
        for address, how in zip(addresses, SCENES[scene], strict=True):
            if how != "refuses":
                stack.enter_context(listening(address, port, full=how == "says nothing"))
        "a.test".encode("idna")  # its codec is a module, which the thread of the first lookup would read meanwhile
        before = open_files()
        for after in itertools.count(1):
            names = Names(resolve=lambda _: [Address.of(address) for address in addresses])
            over = await cut_short(after, functools.partial(Dialer(names, delay=0.002).dial, "a.test", port))
            left = open_files()
            assert len(left) == len(before), {name: what for name, what in left.items() if name not in before}
            if over:
                return after
        return None

    with uncollected(), contextlib.ExitStack() as stack:
        assert await main(stack) > 2
