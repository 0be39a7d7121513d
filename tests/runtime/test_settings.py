"""The knobs of an engine as a program reads them: all as they are now, whoever has turned them, and when."""

import attrs
import pytest
import trio

import scrapeengine as se
from scrapeengine.model.options import EngineKnobs, EnginePolicy, PlatformKnobs
from support.threads import elsewhere
from support.world import World

TURNED = {
    "limit": 3,
    "rate": (se.Rate(5), se.Rate.every(2)),
    "heed": False,
    "timeout": se.Timeout(attempt=2),
    "retry": se.Retry(attempts=7),
    "caps": se.Caps(body=1000),
    "robots": "MyBot",
    "cookies": True,
    "base_url": "http://user:hunter2@a.test/v1",
    "cadence": se.Cadence(min_interval=60),
    "block_private": True,
}


async def nothing(task):
    """Do nothing."""


def test_each_knob_is_there_but_for_secrets():
    """What can be tuned can be read, and what is said when an engine is made; headers may be secrets."""
    assert attrs.fields_dict(se.PlatformSettings).keys() == PlatformKnobs.__annotations__.keys() - {
        "headers",
        "transport",
    }
    names = attrs.fields_dict(se.Settings).keys()
    assert names == attrs.fields_dict(EnginePolicy).keys() | {"effective_event_limit", "platforms", "default"}
    assert names >= EngineKnobs.__annotations__.keys()
    engine = se.Engine([se.Platform("A", nothing, headers={"X-Key": "hunter2"}, base_url=TURNED["base_url"])])
    assert "hunter2" not in repr(engine.settings())


def test_they_are_those_that_were_said():
    """Of platforms, of the default, and of the engine."""
    engine = se.Engine([se.Platform("A", nothing, **TURNED)], default=se.Platform("*", nothing, limit=0), buffer=7)
    found = engine.settings()
    assert attrs.asdict(found.platforms["A"], recurse=False) == TURNED
    assert not found.platforms["A"].paused
    assert list(found.platforms) == ["*", "A"]
    assert found.platforms["*"].paused
    assert (found.event_limit, found.effective_event_limit, found.buffer) == (None, 100, 7)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.buffer = 8


@pytest.mark.parametrize("knob", TURNED)
def test_a_knob_that_is_turned_is_read_so(knob):
    """Before there is a run; what was read before stays as it was, and what is turned back is as before."""
    engine = se.Engine([se.Platform("A", nothing), se.Platform("B", nothing)])
    before = engine.settings()
    was = getattr(before.platforms["A"], knob)
    engine.tune("A", **{knob: TURNED[knob]})
    after = engine.settings()
    assert getattr(after.platforms["A"], knob) == TURNED[knob]
    assert getattr(before.platforms["A"], knob) == was
    assert after.platforms["B"] == before.platforms["B"]
    assert after != before
    engine.tune("A", **{knob: was})
    assert engine.settings() == before


def test_a_host_that_is_tuned_has_settings_of_its_own():
    """It is named as such; all others have those of the default."""
    engine = se.Engine([], default=se.Platform("*", nothing, limit=4))
    engine.tune("shop.example", limit=2)
    assert {name: each.limit for name, each in engine.settings().platforms.items()} == {"*": 4, "shop.example": 2}


async def test_they_are_read_in_a_run_and_after_it_from_any_thread(autojump_clock):
    """Whoever has tuned; the event limit that follows from the platforms' limits moves with them."""
    world = World(default=[("sleep", 5)])
    engine = world.engine([world.platform("A", limit=20)])
    seen = [engine.settings()]
    async with engine.stream([se.Event(1)]) as run:
        await trio.sleep(1)
        elsewhere(lambda: engine.tune("A", limit=30))
        seen.append(elsewhere(engine.settings))
        engine.tune(event_limit=12)
        async for _ in run:
            seen.append(engine.settings())
    seen.append(elsewhere(engine.settings))
    assert [each.effective_event_limit for each in seen] == [20, 30, 12, 12]
    assert [each.event_limit for each in seen] == [None, None, 12, 12]
    assert seen[2] == seen[3] != seen[1]
