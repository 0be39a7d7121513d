"""The wire: what carries one request, and brings its answer."""

from __future__ import annotations

from typing import Protocol

import httpx

__all__ = ["HttpxWire", "Wire"]


class Wire(Protocol):
    """Carries requests."""

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its answer as soon as the headers are there; its body is for the caller to read.

        Follows no redirect, keeps no cookie, writes no log, has no deadline.

        Raises:
            Exception: httpx's own errors.

        Checkpoint. If cancelled, the connection is closed.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections. Checkpoint."""
        ...


class HttpxWire:
    """httpx's own transport, made when it is first needed: to load the certificates takes its time.

    The transport, and not an `httpx.AsyncClient` around it: that would log each URL with its secrets, and its cookies,
    redirects and time-outs are not wanted here.
    """

    def __init__(self) -> None:
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        if self._transport is None:
            # No limit of its own: the platforms' limits stand before it, and whoever is cancelled while waiting for
            # its pool leaves that broken (httpcore issue 1093).
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
            self._transport = httpx.AsyncHTTPTransport(limits=limits)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._transport is not None:
            await self._transport.aclose()
