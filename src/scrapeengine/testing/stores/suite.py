"""All behaviours of a store in one class, and the stateful test with them."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from scrapeengine.testing.stores.again import AgainScenes, ClosingScenes, ReplacingScenes
from scrapeengine.testing.stores.ends import CompletingScenes, LeasingScenes
from scrapeengine.testing.stores.jobs import ArrivingScenes, ClaimingScenes
from scrapeengine.testing.stores.machine import StoreMachine
from scrapeengine.testing.stores.shared import OpenScenes, SharingScenes

__all__ = ["StoreSuite"]


class StoreSuite(
    ArrivingScenes,
    ClaimingScenes,
    LeasingScenes,
    CompletingScenes,
    AgainScenes,
    ReplacingScenes,
    ClosingScenes,
    SharingScenes,
    OpenScenes,
):
    """The tests of a store, for pytest to collect from a class that derives from this one.

        class TestMyStore(StoreSuite):
            def open(self, **options):
                return open_store(f"mine:{uuid4()}", **options)

    `open` returns an `async with` for a store that is empty, whose arguments are checked: by `open_store`, or else by a
    `CheckedStore`. Time is virtual; a store that goes by another clock than trio's overrides `pass_time`.
    How much the stateful test tries is said by the profile of hypothesis.

    Size: a method for each behaviour, so as many as there are.
    """

    def test_it_says_what_the_model_says(self) -> None:
        """Any calls in any order have the answers of the model, and leave what it has."""
        unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
        factory: Any = partial(StoreMachine, self)
        run_state_machine_as_test(factory, settings=unhurried)
