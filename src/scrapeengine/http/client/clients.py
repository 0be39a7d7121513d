"""The HTTP clients of one run: one for each task that makes a request, on one pool of connections for all."""

from __future__ import annotations

from collections.abc import Mapping

from scrapeengine.http.client.client import TaskClient
from scrapeengine.http.features.keeping import Keeping
from scrapeengine.http.wire.client_task import ClientTask
from scrapeengine.http.wire.connector import Connector
from scrapeengine.http.wire.prepared import Means
from scrapeengine.model.validators import Validator, Validators

__all__ = ["HttpClients"]


class HttpClients:
    """Makes the clients of tasks."""

    def __init__(self, keeping: Keeping, connector: Connector) -> None:
        """Make it.

        Args:
            keeping: what the engine keeps between runs.
            connector: what carries the requests of platforms that have no transport of their own.
        """
        self._keeping = keeping
        self._connector = connector
        self._means = Means(connector)

    def client(self, task: ClientTask) -> TaskClient:
        """Make the client of a task."""
        return TaskClient(task, self._means, self._keeping)

    def keep_validators_in(self, validators: Validators) -> None:
        """Recall and remember validators there from now on."""
        self._keeping = self._keeping.using(validators)

    async def remember(self, platform: str, found: Mapping[str, Validator | None]) -> None:
        """Keep the validators that a task has found, which has ended in `Success`. Checkpoint as they have it."""
        await self._keeping.remember(platform, found)

    async def aclose(self) -> None:
        """Close all connections. Checkpoint."""
        await self._connector.aclose()

    def __repr__(self) -> str:
        """Show what carries requests."""
        return f"<HttpClients on {self._connector!r}>"
