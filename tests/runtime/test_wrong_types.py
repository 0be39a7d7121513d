"""What is of the wrong type is refused in our own words, wherever a program gives it: they say what to write."""

import pytest
import trio

import scrapeengine as se
from scrapeengine.stores import CheckedStore


async def nothing(_):
    """Do nothing."""


PLATFORM = se.Platform("shop", nothing, cookies=True)
ENGINE = se.Engine([PLATFORM])
NO_NAMES = [PLATFORM, 5, b"shop", ["shop"], {"shop": 1}]


@pytest.mark.parametrize("given", NO_NAMES, ids=lambda given: type(given).__name__)
@pytest.mark.parametrize(
    "call",
    [
        lambda given: ENGINE.tune(given, limit=1),
        lambda given: ENGINE.close(given, 1),
        ENGINE.reopen,
        ENGINE.cookies,
    ],
)
def test_a_platform_is_meant_by_its_name(call, given):
    """The platform itself is no name: the message says how to write it."""
    with pytest.raises(TypeError, match="must be the name of a platform") as refused:
        call(given)
    assert ("write platform.name, 'shop'" in str(refused.value)) == (given is PLATFORM)


@pytest.mark.parametrize("given", NO_NAMES, ids=lambda given: type(given).__name__)
async def test_so_it_is_in_a_run_and_in_a_store(given):
    """All calls that take one."""
    async with ENGINE.stream([]) as run:
        with pytest.raises(TypeError, match="must be the name of a platform"):
            run.explain(given)
    async with se.open_store("memory:") as store:
        for call in (
            lambda: store.get(given, "1"),
            lambda: store.cancel(given, "1"),
            lambda: store.position(given, "1"),
            lambda: store.jobs(platform=given),
            lambda: store.retry(platform=given),
            lambda: store.forget(platform=given),
            lambda: store.close(given, 1),
            lambda: store.reopen(given),
        ):
            with pytest.raises(TypeError, match="must be the name of a platform"):
                await call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: se.Platform("a", nothing, cookies="sid=secret"), r"^Platform\(cookies=…\) must be .*\.set\(…\) seeds"),
        (lambda: se.Platform("a", nothing, block_private=1), r"^Platform\(block_private=…\) must be True or False"),
        (lambda: se.Engine([PLATFORM], dedupe=5), r"^Engine\(dedupe=…\) must be True or False, got int$"),
        (lambda: ENGINE.tune("shop", cookies=None), r"^Platform\(cookies=…\) must be True or False, got NoneType"),
        (lambda: se.host_of(5), r"^host_of takes a URL as a str, got int; write host_of\(str\(url\)\)$"),
        (lambda: se.host_of(None), "^host_of takes a URL as a str"),
        (lambda: se.host_of(b"http://a.example"), "^host_of takes a URL as a str"),
        (lambda: se.run([PLATFORM], [], clock=5), r"^clock=… must be a clock of trio's, got int; write .*MockClock"),
    ],
)
def test_what_is_no_flag_no_url_and_no_clock_is_refused(call, text):
    """In one sentence, with no tuple of attrs' around it, and no secret in it."""
    with pytest.raises(TypeError, match=text) as refused:
        call()
    assert len(refused.value.args) == 1
    assert "secret" not in str(refused.value)


async def test_an_id_may_be_an_int_in_all_calls_of_a_store():
    """As in `Event(7)`."""
    async with se.open_store("memory:") as store:
        assert isinstance(store, CheckedStore)
        await ENGINE.enqueue(store, map(se.Event, range(4)))
        assert (await store.get("shop", 1)).id == "1"
        assert await store.position("shop", 1) == 1
        assert await store.cancel("shop", 1)
        assert await store.retry(ids=[1, "7"]) == 1
        assert await store.cancel("shop", "1")
        assert await store.forget(ids={1}) == 1
        assert (await ENGINE.poll(store, ids=[2, "3"])).tasks == 2


@pytest.mark.parametrize("given", [True, None, 1.5, b"1", ["1"]])
async def test_what_can_be_no_id_is_refused(given):
    """Before anything is asked of a store."""
    async with se.open_store("memory:") as store:
        for call in (
            lambda: store.get("shop", given),
            lambda: store.cancel("shop", given),
            lambda: store.position("shop", given),
            lambda: store.retry(ids=[given]),
            lambda: store.forget(ids=[given]),
            lambda: ENGINE.poll(store, ids=[given]),
        ):
            with pytest.raises(TypeError, match="must be a str or an int, as an event's id is"):
                await call()


@pytest.mark.parametrize("given", [5, True, PLATFORM])
async def test_what_is_no_list_is_refused(given):
    """A list of ids, of events, of statuses."""
    async with se.open_store("memory:") as store:
        for call, text in (
            (lambda: ENGINE.poll(store, ids=given), r"^poll\(ids=…\) must be a list of ids"),
            (lambda: store.retry(ids=given), "^ids must be a list"),
            (lambda: ENGINE.enqueue(store, given), r"^enqueue takes Events, got .*; write \[Event\(id\)\]"),
            (lambda: store.jobs(status=given), r"^status must be a JobStatus, .*; write JobStatus\.FAILED$"),
            (lambda: store.jobs(status="failed"), r"^status must be a JobStatus, .*; write JobStatus\.FAILED$"),
        ):
            with pytest.raises(TypeError, match=text):
                await call()
        with pytest.raises(ValueError, match=r"^serve\(until=…\) must be"):
            ENGINE.serve(store, until=["idle"])
        await trio.lowlevel.checkpoint()
