"""Sinks that are given some outcomes only, or other values; the rest is nobody's, and is not kept for them."""

import pytest

import scrapeengine as se
from support.rows import rows_of


async def scrape(task):
    """Fail for odd numbers."""
    number = int(task.event.id)
    if number % 2:
        raise ValueError("odd")
    return {"n": number}


def engine():
    """Make an engine."""
    return se.Engine([se.Platform("A", scrape)])


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
async def test_each_sink_has_what_is_meant_for_it(tmp_path, suffix):
    """With a store too, where nothing is left for later."""
    good = se.sinks.where(se.sinks.open(str(tmp_path / f"good{suffix}"), size=1), se.sinks.only(se.Success))
    bad = se.sinks.where(se.sinks.open(str(tmp_path / f"bad{suffix}"), size=1), lambda outcome: outcome.event.id == "3")
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, map(se.Event, range(6)))
        await engine().poll(store, sinks=[good, bad])
        assert [await store.undelivered(sink.name, 9, 1) for sink in (good, bad)] == [[], []]
    assert sorted(row["id"] for row in rows_of(tmp_path, "good")) == ["0", "2", "4"]
    assert [row["id"] for row in rows_of(tmp_path, "bad")] == ["3"]


async def test_values_may_be_changed_for_a_sink():
    """For this one only; a function is a sink here too, and is not called for nothing."""
    calls, plain = [], []

    async def save(outcomes):
        calls.append([outcome.value for outcome in outcomes])

    async def keep(outcomes):
        plain.extend(outcomes)

    some = se.sinks.where(se.sinks.mapped(save, lambda value: value["n"] * 10), se.sinks.only(se.Success))
    await engine().run(map(se.Event, range(5)), sinks=[some, keep])
    assert sorted(value for call in calls for value in call) == [0, 20, 40]
    assert [] not in calls
    assert sorted(outcome.value["n"] for outcome in plain if isinstance(outcome, se.Success)) == [0, 2, 4]
    assert some.name == "save"


async def test_what_a_filter_raises_is_the_sinks():
    """And ends the run, or is tried again, or set aside, as its policy says."""

    async def save(outcomes):
        pass

    with pytest.raises(ZeroDivisionError):
        await engine().run([se.Event(0)], sinks=[se.sinks.where(save, lambda outcome: 1 / int(outcome.event.id))])


@pytest.mark.parametrize("wrong", [se.sinks.only, lambda: se.sinks.only("Failure")])
def test_kinds_are_kinds(wrong):
    """With what to write."""
    with pytest.raises(TypeError, match=r"write only\(se.Failure\)"):
        wrong()


def test_functions_are_functions():
    """Where they are given; and so are sinks."""
    with pytest.raises(TypeError, match=r"write where\(sink"):
        se.sinks.where(se.sinks.open("out.jsonl"), "id")
    with pytest.raises(TypeError, match="async callable"):
        se.sinks.mapped("out.jsonl", str)
