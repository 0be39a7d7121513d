"""The wire: what carries one request, and the whole of its answer."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import Protocol

import httpx

__all__ = ["HttpxWire", "Wire"]


class Wire(Protocol):
    """Carries requests."""

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the whole answer. Follows no redirect, keeps no cookie, has no deadline.

        Raises:
            Exception: httpx's own errors.

        Checkpoint. If cancelled, the connection is closed.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections. Checkpoint."""
        ...


class HttpxWire:
    """One `httpx.AsyncClient`, made when it is first needed: to load the certificates takes its time."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the whole answer."""
        if self._client is None:
            # No limit of its own: the platforms' limits stand before it, and whoever is cancelled while waiting for
            # its pool leaves that broken (httpcore issue 1093).
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
            self._client = httpx.AsyncClient(timeout=None, limits=limits)  # noqa: S113 - the attempt has one
            self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return await self._client.send(request)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()
