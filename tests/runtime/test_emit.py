"""Items: many from one page, in their order, all of them with its outcome or none."""

import attrs
import pytest
import trio

import scrapeengine as se
from support.rows import rows_of


def engine(scrape, **options):
    """Make an engine of one platform."""
    return se.Engine([se.Platform("A", scrape, **options)])


async def outcome_of(scrape, **options):
    """Return the outcome of one event."""
    async with engine(scrape, **options).stream([se.Event(1)]) as run:
        (outcome,) = [outcome async for outcome in run]
    return outcome


async def test_what_is_emitted_is_with_the_outcome(autojump_clock):
    """In its order, beside the value."""

    async def scrape(task):
        for number in range(3):
            task.emit({"n": number})
            await trio.sleep(1)
        return "all"

    outcome = await outcome_of(scrape)
    assert (outcome.value, outcome.items) == ("all", ({"n": 0}, {"n": 1}, {"n": 2}))


async def test_who_emits_nothing_has_no_items(autojump_clock):
    """As ever."""

    async def scrape(task):
        return 1

    assert (await outcome_of(scrape)).items == ()


async def test_a_retry_begins_with_none(autojump_clock):
    """Only the last run of the scraper counts; one that is given up counts for nothing."""

    async def scrape(task):
        task.emit(task.attempt)
        if task.attempt < 3 or task.event.data:
            task.retry(after=1)

    assert (await outcome_of(scrape)).items == (3,)

    async def never(task):
        task.emit(1)
        task.retry(after=1)

    outcome = await outcome_of(never)
    assert isinstance(outcome.error, se.RetriesExhausted)
    assert outcome.items == ()


async def test_who_is_skipped_or_cancelled_keeps_none(autojump_clock):
    """What fails keeps what it had found."""

    async def scrape(task):
        task.emit(1)
        match task.event.id:
            case "skip":
                task.skip("nothing")
            case "fail":
                raise ValueError("no")
        await trio.sleep_forever()

    async with engine(scrape).stream(map(se.Event, ["skip", "fail", "hang"])) as run:
        await trio.sleep(1)
        await run.stop(grace=0)
        found = {outcome.event.id: outcome async for outcome in run}
    assert {id: outcome.items for id, outcome in found.items()} == {"skip": (), "fail": (1,), "hang": ()}


@pytest.mark.parametrize(
    ("caps", "fits"), [(se.Caps(items=2), 2), (se.Caps(items_bytes=20), 2), (se.Caps(items=0.5), 1)]
)
async def test_there_are_bounds(autojump_clock, caps, fits):
    """More is an error that says what to do; what fitted is there."""
    said = []

    async def scrape(task):
        for _ in range(5):
            try:
                task.emit("12345678")
            except se.ItemsFull as error:
                said.append(str(error))

    outcome = await outcome_of(scrape, caps=caps)
    assert len(outcome.items) == fits
    assert len(said) == 5 - fits
    assert "Caps(items" in said[0]


async def test_nothing_is_emitted_once_it_is_over(autojump_clock):
    """By whoever has kept the task."""
    kept = []

    async def scrape(task):
        kept.append(task)

    await outcome_of(scrape)
    with pytest.raises(RuntimeError, match="while its scraper runs"):
        kept[0].emit(1)


async def test_a_generator_is_a_scraper(autojump_clock):
    """What it yields is emitted; its scopes and nurseries are its own, for nothing is awaited between two steps."""
    closed = []

    async def scrape(task):
        try:
            with trio.move_on_after(10):
                yield 1
                await trio.sleep(1)
                yield 2
                await trio.sleep_forever()
            yield task.event.id
        finally:
            closed.append(trio.current_time())

    begun = trio.current_time()
    outcome = await outcome_of(scrape)
    assert (outcome.value, outcome.items) == (None, (1, 2, "1"))
    assert [at - begun for at in closed] == [10]


class Pages:
    """A callable whose call is a generator."""

    async def __call__(self, task):
        """Yield one."""
        yield task.platform


async def test_whatever_generates_is_one(autojump_clock):
    """A callable object too; a tuned platform stays one."""
    made = engine(Pages())
    made.tune("A", limit=3)
    async with made.stream([se.Event(1)]) as run:
        assert [outcome.items async for outcome in run] == [("A",)]


@pytest.mark.parametrize("how", ["fail", "skip", "retry", "full", "cancel"])
async def test_a_generator_is_closed_however_it_ends(autojump_clock, how):
    """By its own task, before the outcome is there."""
    left = []

    async def scrape(task):
        try:
            yield 1
            match how:
                case "fail":
                    raise ValueError("no")
                case "skip":
                    task.skip("no")
                case "retry" if task.attempt == 1:
                    task.retry(after=0)
                case "full":
                    yield 2
                    raise AssertionError("it goes on, though the item was not taken")
                case "cancel":
                    await trio.sleep_forever()
        finally:
            await trio.lowlevel.checkpoint_if_cancelled() if how != "cancel" else None
            left.append(task.attempt)

    async with engine(scrape, caps=se.Caps(items=1)).stream([se.Event(1)]) as run:
        if how == "cancel":
            await trio.sleep(1)
            await run.stop(grace=0)
        (outcome,) = [outcome async for outcome in run]
    kinds = {"fail": se.Failure, "skip": se.Skipped, "retry": se.Success, "full": se.Failure, "cancel": se.Cancelled}
    assert type(outcome) is kinds[how]
    assert left == ([1, 2] if how == "retry" else [1])
    if how == "full":
        assert isinstance(outcome.error, se.ItemsFull)


@attrs.frozen
class Odd:
    """Nothing that JSON has."""

    number: int


async def test_a_store_keeps_items_until_sinks_have_them(autojump_clock):
    """As JSON has them, the first time too; encode= is asked for what it does not have."""
    had = []

    async def scrape(task):
        task.emit((1, 2))
        task.emit(Odd(3))

    async def broken(outcomes):
        had.extend(outcomes)
        raise OSError("down")

    async def save(outcomes):
        had.extend(outcomes)

    made = se.Engine([se.Platform("A", scrape)], encode=attrs.asdict)
    async with se.open_store("memory:") as store:
        await made.enqueue(store, [se.Event(1)])
        with pytest.raises(OSError, match="down"):
            await made.poll(store, sinks=[se.sinks.of(broken, name="it", linger=0)])
        await made.poll(store, sinks=[se.sinks.of(save, name="it", linger=0)])
    assert [outcome.items for outcome in had] == [([1, 2], {"number": 3})] * 2


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
async def test_files_have_a_row_for_each_item(tmp_path, suffix):
    """And one for the outcome, where it says more than they do."""

    async def scrape(task):
        for number in range(3):
            task.emit({"n": number})
        if task.event.id == "fail":
            raise ValueError("no")
        return {"n": 9} if task.event.id == "value" else None

    await engine(scrape).run(
        map(se.Event, ["none", "value", "fail"]), sinks=[se.sinks.open(str(tmp_path / f"out{suffix}"))]
    )
    rows = rows_of(tmp_path)
    kinds = {id: [row["kind"] for row in rows if row["id"] == id] for id in ("none", "value", "fail")}
    assert kinds == {"none": ["item"] * 3, "value": [*["item"] * 3, "success"], "fail": [*["item"] * 3, "failure"]}
    numbers = [row["n"] if suffix == ".csv" else row["value"]["n"] for row in rows if row["id"] == "none"]
    assert list(map(int, numbers)) == [0, 1, 2]


async def test_items_may_be_changed_for_a_sink():
    """As values are; what they are of is left as it is where it says nothing more."""
    had = []

    async def scrape(task):
        task.emit(1)
        return 5 if task.event.id == "5" else None

    async def save(outcomes):
        had.extend((outcome.value, outcome.items) for outcome in outcomes)

    await engine(scrape).run([se.Event(5), se.Event(6)], sinks=[se.sinks.mapped(save, lambda value: value * 10)])
    assert sorted(had, key=str) == [(50, (10,)), (None, (10,))]


async def test_items_that_cannot_be_measured_count_by_their_repr():
    """They are taken all the same: of a run without a store they need not be JSON."""
    circle: list = []
    circle.append(circle)

    async def scrape(task):
        task.emit(circle)
        task.emit(b"123")

    assert len((await outcome_of(scrape)).items) == 2
