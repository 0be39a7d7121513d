"""What an engine hands to each of its runs, and keeps between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from scrapeengine.decide.routing import Routes
from scrapeengine.model.platform import Platform
from scrapeengine.model.validators import Validator, Validators
from scrapeengine.run.policy import EnginePolicy
from scrapeengine.run.skips import Skips
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.schedule.gates import Gates
from scrapeengine.tasks.handle import TaskHttp
from scrapeengine.tasks.requesting import RequestingTask

__all__ = ["Clients", "Plan"]


class Clients(Protocol):
    """Makes the HTTP clients of tasks, on one connection pool for the run."""

    def client(self, task: RequestingTask) -> TaskHttp:
        """Make the client of a task."""
        ...

    def keep_validators_in(self, validators: Validators) -> None:
        """Recall and remember validators there from now on."""
        ...

    async def remember(self, platform: str, found: Mapping[str, Validator | None]) -> None:
        """Keep the validators that a task has found, which has ended in `Success`."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


@attrs.define(eq=False)
class Plan:
    """The knobs as they are now, and what is remembered of platforms."""

    settings: EnginePolicy
    platforms: dict[str, Platform[Any]]
    """The declared platforms, and the hosts that have been tuned, by name."""
    default: Platform[Any] | None
    routes: Routes
    gates: Gates
    declared: frozenset[str]
    own_validators: bool
    """Whether the program keeps its validators itself."""
    shared_gates: Gates
    """Those of platforms that are shared with other engines, by a store."""
    skips: Skips
    """What need not be asked for again before its time."""
    draw: Callable[[], float]
    """Returns a random number from 0 to 1."""
    clients: Callable[[Alarms], Clients]
    """Makes the HTTP clients of a run, given its alarms."""

    def policy(self, name: str) -> Platform[Any]:
        """Return the policy of a platform; a host's is the default's, unless it was tuned itself."""
        policy = self.platforms.get(name, self.default)
        assert policy is not None
        return policy

    def is_declared(self, name: str) -> bool:
        """Say whether a platform was declared by name; all others are hosts that the default serves."""
        return name in self.declared

    def host(self, host: str) -> str | None:
        """Name the platform that serves a host; None if none does."""
        return self.routes.host(host)
