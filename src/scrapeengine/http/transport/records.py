"""What OpenSSL makes of bytes, between two buffers: it waits for nothing, and knows no socket.

A record that is bad, or the last one, is said after what came before it.
"""

from __future__ import annotations

import ssl

from scrapeengine.http.transport.words import hung_up

__all__ = ["Records"]

_PART = 64 * 1024
"""The bytes that are encrypted or decrypted at once, or a record more: it takes about 50 µs."""
_RECORD = 16 * 1024
"""The bytes that a record holds, at most (RFC 8446, section 5.1)."""


class Records:
    """Both directions of one TLS connection. All errors are `ssl.SSLError`s."""

    __slots__ = ("_ends", "_incoming", "_left", "_outgoing", "tls")

    def __init__(self, context: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None) -> None:
        """Make it; the handshake is still to be done.

        Args:
            context: what is trusted.
            name: whom the certificate must name.
            session: what to go on from.
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        """OpenSSL's part of it."""
        self._left: bytes | memoryview = b""
        """What was given and is not encrypted yet."""
        self._ends: ssl.SSLError | None = None
        """Why nothing comes any more."""

    @property
    def incoming(self) -> bool:
        """Whether something has come that was not looked at."""
        return self._incoming.pending > 0 or self._ends is not None

    @property
    def answers(self) -> bool:
        """Whether TLS has something to say for itself: to new keys, or to a new handshake."""
        return self._outgoing.pending > 0

    @property
    def outgoing(self) -> bool:
        """Whether something is to go out: that, or what was given."""
        return self._outgoing.pending > 0 or len(self._left) > 0

    def shaken(self) -> bool:
        """Go on with the handshake; whether that is done. If not, what is to go out goes, and then more has to come."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def give(self, data: bytes) -> None:
        """Take what is to be encrypted; what was given before is out."""
        self._left = data

    def take(self) -> bytes:
        """Encrypt a part of what was given, and return all that is to go out.

        Raises:
            ssl.SSLWantReadError: the server has asked for a new handshake, all of ours is out, and more has to come.
        """
        left = self._left
        if left:
            try:
                # It takes all, or a record of it.
                done = self.tls.write(left if len(left) <= _PART else memoryview(left)[:_PART])
                self._left = b"" if done == len(left) else memoryview(left)[done:]
            except ssl.SSLWantReadError:
                if not self.answers:
                    raise
        return self._outgoing.read()

    def came(self, data: bytes) -> None:
        """Take in what has come; nothing: the connection has ended."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def decrypted(self) -> bytes | None:
        """Return what is whole of what has come, as far as a part goes; nothing: the end; None: no record is whole."""
        parts: list[bytes] = []
        size = 0
        try:
            if self._ends is not None:
                raise self._ends
            while size < _PART:
                part = self.tls.read(_RECORD)
                if not part:  # the server has said that this was all
                    raise ssl.SSLZeroReturnError
                if not self._incoming.pending:
                    if not parts:  # as it is with most answers
                        return part
                    size = _PART
                parts.append(part)
                size += len(part)
        except ssl.SSLWantReadError:
            if not parts:
                return None
        except ssl.SSLError as error:
            self._ends = error
            if not (parts or hung_up(error)):
                raise
        return b"".join(parts)
