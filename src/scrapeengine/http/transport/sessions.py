"""TLS sessions, by origin: a handshake that goes on from one is shorter, and brings no certificate.

The server proves by the session that it is the one that had the certificate then. So a session is used only for the
origin with which it was made, by the context and by the rules by which its certificate was verified, and not for long.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from typing import TypeAlias

import trio

from scrapeengine.http.transport.connection import Origin

__all__ = ["LastSession", "Sessions"]

_MOST = 256
"""A session holds the certificates of its server, which are 5 to 10 kB."""
_LASTS = 3600.0
"""Seconds for which a certificate that was shown holds; RFC 8446, section 4.6.1, lets a session last for seven days."""

_Rules: TypeAlias = tuple[ssl.VerifyMode, bool, ssl.VerifyFlags]


class LastSession:
    """The last session with one origin."""

    __slots__ = ("_rules", "_session", "_shown")

    def __init__(self) -> None:
        self._session: ssl.SSLSession | None = None
        self._shown = 0.0
        """When the server has shown its certificate; trio's time."""
        self._rules: _Rules | None = None
        """What that was verified by."""

    def get(self, context: ssl.SSLContext) -> ssl.SSLSession | None:
        """Return it, if it can be gone on from."""
        if self._rules != _rules(context) or trio.current_time() >= self._shown + _LASTS:
            self._session = None
        return self._session

    def keep(self, tls: ssl.SSLObject) -> None:
        """Take that of a connection on which something has come: in TLS 1.3 it is there only after the handshake."""
        session = tls.session
        if session is None or not (session.has_ticket or session.id):
            return
        if not tls.session_reused:
            self._shown, self._rules = trio.current_time(), _rules(tls.context)
        self._session = session

    def forget(self) -> None:
        """Have the next handshake be a whole one."""
        self._session = None


class Sessions:
    """The last sessions with those origins that were connected to last, all by one context."""

    def __init__(self, most: int = _MOST) -> None:
        """Make it; there is none.

        Args:
            most: with how many origins.
        """
        self._most = most
        self._by_origin: OrderedDict[Origin, LastSession] = OrderedDict()

    def __repr__(self) -> str:
        """Count the origins."""
        return f"<Sessions with {len(self._by_origin)}/{self._most} origins>"

    def of(self, origin: Origin) -> LastSession:
        """Return where the last one with an origin is kept."""
        last = self._by_origin.get(origin)
        if last is None:
            last = self._by_origin[origin] = LastSession()
            if len(self._by_origin) > self._most:
                self._by_origin.popitem(last=False)
        else:
            self._by_origin.move_to_end(origin)
        return last


def _rules(context: ssl.SSLContext) -> _Rules:
    """Return what a program may change of a context: a certificate that was not looked at then was not verified."""
    return context.verify_mode, context.check_hostname, context.verify_flags
