"""The HTTP clients of one run: one for each task that makes a request, on one wire for all."""

from __future__ import annotations

from scrapeengine.http.client import Seat, TaskClient
from scrapeengine.http.wire import HttpxWire, Wire

__all__ = ["HttpClients"]


class HttpClients:
    """Makes the clients of tasks."""

    def __init__(self, wire: Wire | None = None) -> None:
        self._wire = HttpxWire() if wire is None else wire

    def client(self, task: Seat) -> TaskClient:
        """Make the client of a task."""
        return TaskClient(task, self._wire)

    async def aclose(self) -> None:
        """Close all connections. Checkpoint."""
        await self._wire.aclose()
