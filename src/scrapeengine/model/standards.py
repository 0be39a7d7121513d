"""Facts of HTTP's standards that several parts need: each stands here once."""

from __future__ import annotations

__all__ = ["IDEMPOTENT", "PORTS", "REDIRECTS"]

PORTS = {"http": 80, "https": 443}
"""The default ports of the schemes that are spoken (RFC 9110, section 4.2)."""
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""The methods that may be sent twice: the second time changes nothing more (RFC 9110, section 9.2.2)."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""The statuses by which an answer leads on (RFC 9110, section 15.4); 304 leads nowhere, and 300 leaves the choice."""
