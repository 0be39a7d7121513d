"""The shares of time in which platforms were held back: against an account that looks at each instant anew."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.binding import Binding, Coming, sentence
from scrapeengine.decide.holding import Holdup

REASONS = [each.value for each in Holdup]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.sampled_from(["A", "B", "C", "h1", "h2"]),
        st.sampled_from(REASONS) | st.sampled_from(Coming),
    ),
    max_size=40,
)
DECLARED = ("A", "B")


def label_of(platform: str) -> str:
    """Return the name under which it is counted: some hosts share one, "C" has its own."""
    return "*" if platform.startswith("h") else platform


@given(STEPS, st.integers(0, 8))
def test_shares_are_those_of_a_replay(steps: list[tuple[int, str, str | Coming]], rest: int) -> None:
    """Instant by instant: how each platform stands between two steps, and for how long."""
    binding, now = Binding(DECLARED, 0.0), 0
    coming, stands = Coming.READ, dict.fromkeys(DECLARED, "nothing")
    replayed: dict[str, dict[str, float]] = {name: {} for name in DECLARED}
    limited = 0.0
    for passed, platform, what in [*steps, (rest, "A", Coming.NONE)]:
        for name, by in stands.items():
            reason = coming.value if by == "nothing" else by
            if by != "nothing" or not name.startswith("h"):
                account = replayed.setdefault(label_of(name), {})
                account[reason] = account.get(reason, 0.0) + passed
        limited += passed * ("event limit" in stands.values())
        now += passed
        if isinstance(what, Coming):
            coming = what
            binding.comes(what, now)
        else:
            stands[platform] = what
            replayed.setdefault(label_of(platform), {})
            binding.held(platform, label_of(platform), what, now)
    found = binding.shares(now)
    assert found.keys() == replayed.keys()
    for name, account in replayed.items():
        whole = sum(account.values())
        expected = {reason: seconds / whole for reason, seconds in account.items() if seconds} or {"nothing": 1.0}
        assert found[name] == pytest.approx(expected)
        assert math.isclose(sum(found[name].values()), 1.0)
    assert binding.event_limit(now) == pytest.approx(limited / now if now else 0.0)


@given(STEPS)
def test_to_look_changes_nothing(steps: list[tuple[int, str, str | Coming]]) -> None:
    """Whenever it is done."""
    looked, other, now = Binding(DECLARED, 0.0), Binding(DECLARED, 0.0), 0
    for passed, platform, what in steps:
        now += passed
        for binding in (looked, other):
            if isinstance(what, Coming):
                binding.comes(what, now)
            else:
                binding.held(platform, label_of(platform), what, now)
        looked.shares(now + 1)
        looked.event_limit(now + 1)
    assert looked.shares(now) == other.shares(now)
    assert looked.event_limit(now) == other.event_limit(now)


def test_of_hosts_without_work_nothing_is_kept() -> None:
    """A million of them need no more memory than one."""
    binding = Binding((), 0.0)
    for number in range(1000):
        binding.held(f"h{number}", "*", "rate", number)
        binding.held(f"h{number}", "*", "nothing", number + 1)
    assert binding.shares(1000) == {"*": {"rate": 1.0}}
    assert not binding._hosts["*"].now
    assert repr(binding) == "<Binding of 0 platforms>"


SAID = {
    "its rate (0.025 s between requests) held it back 81 % of the time; raising its limit would not help": (
        {"rate": 0.81, "nothing": 0.19}
    ),
    "its limit of 4 held it back 90 % of the time; raising its rate would not help": {"limit": 0.9, "source": 0.1},
    "its limit of 4 held it back 60 % of the time, its rate another 30 %, the event limit another 10 %": (
        {"limit": 0.6, "rate": 0.3, "event limit": 0.1}
    ),
    "the event limit held it back 99 % of the time; raising its limit or its rate would not help": {
        "event limit": 0.99
    },
    "a pause (a limit of 0, or in the store) held it back 100 % of the time": {"pause": 1.0},
    "its bound of 8 tasks, running and parked, held it back 50 % of the time": {"parked": 0.5, "nothing": 0.5},
    "nothing held it back": {"nothing": 0.995, "rate": 0.005},
}


@pytest.mark.parametrize("words", SAID)
def test_it_is_said_in_a_sentence(words: str) -> None:
    """What held it back most, and whether another knob would have helped."""
    assert sentence("A", SAID[words], 4, 0.025) == f"A: {words}"


@pytest.mark.parametrize("reason", [*REASONS, *(each.value for each in Coming)])
def test_there_are_words_for_each_reason(reason: str) -> None:
    """And none speaks of a rate that is not there."""
    said = sentence("A", {reason: 1.0}, 4, 0.0)
    assert said.endswith(("held it back", "would not help", "of the time"))
    assert reason == "rate" or "its rate" not in said
    assert "raising its limit" not in said or reason not in {"limit", "parked", "pause"}
