"""Stores with one fault each: the kit finds it, by a behaviour that names it and by comparing with the model."""

import ast
import inspect
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

import attrs
import pytest
import trio
from hypothesis import Phase, settings

import scrapeengine.testing.stores
from scrapeengine.model.job import Reply
from scrapeengine.stores import open_store
from scrapeengine.testing.stores import StoreMachine, StoreSuite
from stores.plain import open_plain  # noqa: F401 - it registers itself

MACHINE = "test_it_says_what_the_model_says"


class Broken:
    """A store that passes all calls on, but for those that are broken."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        """Pass a call on."""
        return getattr(self._store, name)


class AcceptsStaleTokens(Broken):
    """Takes a lease that has ended for one that has not, if nobody else has the job."""

    async def renew(self, tickets, lease):
        """Say that all is well."""
        replies = await self._store.renew(tickets, lease)
        return [Reply.OK for _ in replies]


class LosesFollowUps(Broken):
    """Completes a job without what its task has found."""

    async def complete(self, completions):
        """Leave the follow-ups out."""
        return await self._store.complete([attrs.evolve(each, follow_ups=()) for each in completions])


class HandsAJobToTwo(Broken):
    """Gives a job to whoever asks while another claim goes on."""

    last = ()

    async def claim(self, platform, n, owner, lease, *, ids=None):
        """Give what was given before, where there is nothing else."""
        found = await self._store.claim(platform, n, owner, lease, ids=ids)
        if found:
            self.last = found[-1:]
        return found or [each for each in self.last if each.ticket.platform == platform and n]


class ForgetsAcknowledgements(Broken):
    """Delivers what was acknowledged once more."""

    async def acknowledge(self, sink, deliveries, position=None):
        """Look at whose they are, and forget it."""
        assert all(deliveries)
        return await self._store.acknowledge(sink, [], position)


class MovesAlone(Broken):
    """Keeps a position whatever becomes of its outcomes."""

    async def acknowledge(self, sink, deliveries, position=None):
        """Do one after the other."""
        await self._store.acknowledge(sink, [], position)
        return await self._store.acknowledge(sink, deliveries)


class OneForAll(Broken):
    """Takes what one sink has had for what all have had."""

    async def acknowledge(self, sink, deliveries, position=None):
        """Forget them for both."""
        for other in {"s", "t"} - {sink}:
            await self._store.acknowledge(other, deliveries)
        return await self._store.acknowledge(sink, deliveries, position)


class ForgetsOutcomes(Broken):
    """Hands nothing out again after a crash."""

    async def undelivered(self, sink, n, lease):
        """Have nothing."""
        return (await self._store.undelivered(sink, n, lease))[:0]


class TakesHalfABatch(Broken):
    """Enqueues jobs one by one."""

    async def enqueue(self, jobs, *, replace=False):
        """Enqueue those that there is room for."""
        known = []
        for job in jobs:
            known += await self._store.enqueue([job], replace=replace)
        return known


class ClaimsTheOldestFirst(Broken):
    """Heeds no priority."""

    async def enqueue(self, jobs, *, replace=False):
        """Forget how urgent they are."""
        return await self._store.enqueue([attrs.evolve(each, priority=0) for each in jobs], replace=replace)


class EndsLeasesEarly(Broken):
    """Takes a job away before its time."""

    async def claim(self, platform, n, owner, lease, *, ids=None):
        """Lease for half as long."""
        return await self._store.claim(platform, n, owner, lease / 2, ids=ids)


class SharesALock(Broken):
    """Gives a lock to whoever asks."""

    async def lock(self, name, owner, lease):
        """Say yes."""
        return await self._store.lock(name, owner, lease) or True


class GrantsTooManySlots(Broken):
    """Gives each engine all that it wants."""

    async def share(self, owner, share_requests, lease):
        """Heed no limit."""
        grants = await self._store.share(owner, share_requests, lease)
        return {name: attrs.evolve(grant, slots=share_requests[name].wanted) for name, grant in grants.items()}


class DefersNothing(Broken):
    """Hands outcomes out when it was told first."""

    async def defer(self, sink, deliveries, seconds):
        """Look at them, and forget it."""
        assert seconds >= 0
        assert sink is not None
        assert all(deliveries)
        await trio.lowlevel.checkpoint()


class CompletesTwice(Broken):
    """Says that a result was accepted, whatever was said before."""

    async def complete(self, completions):
        """Take `ALREADY` for `OK`."""
        replies = await self._store.complete(completions)
        return [Reply.OK if each is Reply.ALREADY else each for each in replies]


BROKEN = Broken.__subclasses__()


def suite_of(fault, url, seconds=1.0):
    """Make the suite of a store with a fault; what it waits for longer than so many seconds hangs."""

    class Suite(StoreSuite):
        hangs_after = seconds

        @asynccontextmanager
        async def open(self, **options):
            async with open_store(url, **options) as store:
                yield fault(store)

    return Suite()


def runs(suite):
    """List the tests of a suite, each with its parameters, as pytest would call them."""
    for name, test in inspect.getmembers(suite, inspect.ismethod):
        if name.startswith("test_") and name != MACHINE:
            tables = []
            for mark in getattr(test, "pytestmark", []):
                names, rows = mark.args
                names = [names] if isinstance(names, str) else names
                tables.append([dict(zip(names, row if len(names) > 1 else [row], strict=True)) for row in rows])
            for parts in product(*tables):
                yield name, test, {key: value for part in parts for key, value in part.items()}


def failures(suite):
    """Name the behaviours that a store does not have, with what is said of each."""
    found = {}
    for name, test, values in runs(suite):
        try:
            test(**values)
        except Exception as error:  # noqa: BLE001 - in a group, if it was raised in a nursery
            found[name] = f"{error}\n{getattr(error, '__notes__', '')}"
    return found


def test_a_store_without_a_fault_passes():
    """What passes calls on as they are has all behaviours."""
    suite = suite_of(Broken, "memory:")
    suite.hangs_after = 60.0
    assert failures(suite) == {}


FINDS = {
    AcceptsStaleTokens: "test_a_lease_ends_at_its_time",
    LosesFollowUps: "test_follow_ups_come_with_their_completion",
    HandsAJobToTwo: "test_no_two_claims_get_the_same_job",
    ForgetsAcknowledgements: "test_outcomes_are_kept_until_they_are_acknowledged",
    MovesAlone: "test_a_position_is_kept_with_what_it_stands_for",
    OneForAll: "test_each_sink_acknowledges_for_itself",
    DefersNothing: "test_who_delivers_keeps_outcomes_or_gives_them_back",
    ForgetsOutcomes: "test_outcomes_are_kept_until_they_are_acknowledged",
    TakesHalfABatch: "test_a_batch_is_taken_whole_or_not_at_all",
    ClaimsTheOldestFirst: "test_the_most_urgent_are_claimed_first",
    EndsLeasesEarly: "test_a_lease_ends_at_its_time",
    SharesALock: "test_a_lock_has_one_owner_at_a_time",
    GrantsTooManySlots: "test_slots_are_shared",
    CompletesTwice: "test_a_completion_is_stored_and_accepted_once",
}


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.__name__)
def test_a_behaviour_names_the_fault(fault):
    """The one whose promise is broken fails, and says what was expected or which behaviour it is."""
    found = failures(suite_of(fault, "memory:"))
    assert FINDS[fault] in found
    assert "The behaviour: " in found[FINDS[fault]]


QUICKLY = {LosesFollowUps, HandsAJobToTwo, CompletesTwice}
RARELY = {OneForAll, DefersNothing, ForgetsOutcomes}
"""Faults of deliveries to sinks: a thousand runs by chance hardly come by them, which takes minutes."""


@pytest.mark.parametrize(
    "fault",
    [pytest.param(each, marks=() if each in QUICKLY else pytest.mark.slow) for each in BROKEN if each not in RARELY],
    ids=lambda fault: fault.__name__,
)
@pytest.mark.usefixtures("_quick")
def test_the_stateful_test_finds_the_fault(fault):
    """Whatever promise it is; the store is left and its loop ended each time."""
    with pytest.raises(AssertionError):
        getattr(suite_of(fault, "plain://here", 5.0), MACHINE)()


@pytest.fixture
def _quick():
    """Let hypothesis look for a fault, and for no simpler example of it."""
    settings.register_profile("before", settings())
    settings.register_profile(
        "faults", settings(), max_examples=1000, phases=[Phase.generate], derandomize=True, report_multiple_bugs=False
    )
    settings.load_profile("faults")
    yield
    settings.load_profile("before")


def test_a_suite_without_a_store_says_what_to_write():
    """Whoever derives from it has one method to write."""
    with pytest.raises(NotImplementedError, match=r"write StoreSuite\.open"):
        StoreSuite().test_what_is_enqueued_is_there()


@pytest.mark.usefixtures("_quick")
def test_a_store_that_hangs_is_a_failure():
    """What waits for ever fails after some seconds of real time, though no other time passes."""

    class Hangs(Broken):
        async def stats(self):
            await trio.sleep_forever()

    suite = suite_of(Hangs, "memory:")
    suite.hangs_after = 0.1
    with pytest.raises(AssertionError, match="it hangs"):
        suite.test_statistics_count_what_is_true_now()
    with pytest.raises(AssertionError, match="it hangs"):
        getattr(suite, MACHINE)()


def test_the_machine_is_of_use_by_itself():
    """It can be derived from where a test has more in hand than the store."""
    assert StoreMachine(suite_of(Broken, "memory:")).teardown() is None


def test_the_kit_asserts_nothing():
    """Its checks hold where no runner rewrites an `assert`, and where Python leaves it out."""
    for file in Path(scrapeengine.testing.stores.__file__).parent.glob("*.py"):
        assert not [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Assert)], file
