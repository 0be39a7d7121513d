"""Words for failures of the system and of TLS, for whoever reads the error.

No text is the name of a class, and none quotes what was sent or received. Where TLS has a short word for a fault that
users meet, the text says what it means and what to do.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

__all__ = ["hung_up", "of_system", "of_tls", "small"]

_CODES: dict[type[OSError], int] = {
    BrokenPipeError: errno.EPIPE,
    ConnectionAbortedError: errno.ECONNABORTED,
    ConnectionRefusedError: errno.ECONNREFUSED,
    ConnectionResetError: errno.ECONNRESET,
    PermissionError: errno.EACCES,
    TimeoutError: errno.ETIMEDOUT,
}
"""Codes that classes stand for, where an error has no code of its own (PEP 3151)."""


def of_system(error: OSError) -> str:
    """Return what the system says of a failure, as it says it: "Connection refused". Never empty."""
    if error.strerror:
        return error.strerror
    of_names = isinstance(error, socket.gaierror | socket.herror)  # their codes are of another table
    code = (0 if of_names else error.errno) or _CODES.get(type(error), 0)
    return os.strerror(code) if code > 0 else "the system does not say why"


_NO_TLS = "the server does not speak TLS on this port; ask for an http URL if it is plain HTTP"
_DAMAGED = "what came was damaged on its way, or is no TLS"
_NO_VERSION = "the server and this program have no version of TLS in common; see minimum_version in Transport(verify=…)"
_WEAK = "the server's keys or ciphers are weaker than what is allowed here; Transport(verify=…) can allow them"
_WANTS_CERTIFICATE = "the server wants a client certificate; give one with load_cert_chain in Transport(verify=…)"

_NOT_TLS = frozenset(
    {
        "http request",
        "https proxy request",
        "packet length too long",
        "record layer failure",
        "unknown protocol",
        "wrong version number",
    }
)
"""OpenSSL's words for bytes that are no TLS."""
_ENDS = frozenset({"alert close notify", "close notify", "unexpected eof while reading"})

_MEANING = {
    "bad dh value": _WEAK,
    "ca key too small": _WEAK,
    "ca md too weak": _WEAK,
    "dh key too small": _WEAK,
    "ee key too small": _WEAK,
    "legacy sigalg disallowed or unsupported": _WEAK,
    "no protocols available": _NO_VERSION,
    "unsupported protocol": _NO_VERSION,
    "version too low": _NO_VERSION,
    "wrong ssl version": _NO_VERSION,
    "decryption failed or bad record mac": _DAMAGED,
    "unsafe legacy renegotiation disabled": (
        "the server knows no safe renegotiation; OP_LEGACY_SERVER_CONNECT in Transport(verify=…) allows it"
    ),
}
"""By OpenSSL's words; what is not here is clear as it is, or nothing that users meet."""

_REFUSALS = {
    "access denied": "the server denies access to this client",
    "bad certificate": "the server does not accept the client certificate, or wants one; see Transport(verify=…)",
    "certificate expired": "the server does not accept the client certificate, which has expired",
    "certificate required": _WANTS_CERTIFICATE,
    "certificate revoked": "the server does not accept the client certificate, which is revoked",
    "certificate unknown": "the server does not accept the client certificate",
    "handshake failure": "the server found no cipher in common with this program, or wants a client certificate",
    "inappropriate fallback": _NO_VERSION,
    "insufficient security": "the server finds the ciphers that are offered here too weak",
    "internal error": "the server failed, perhaps because it has no site of this name",
    "no application protocol": "the server does not speak HTTP/1.1 on this port",
    "no certificate": _WANTS_CERTIFICATE,
    "protocol version": _NO_VERSION,
    "unknown ca": "the server does not know the authority that issued the client certificate",
    "unrecognized name": "the server has no site of this name",
    "unsupported certificate": "the server does not accept the client certificate, which is of a wrong kind",
}
"""Meanings of a server's alerts (RFC 8446, section 6.2), by OpenSSL's words for them."""

_OF_AN_ALERT = re.compile(r"(sslv3|tlsv1|tlsv13|ssl/tls) (alert )?")
_TEXT = re.compile(r"(?:\[[^\]]*\] )?(.*?)(?: \(_ssl\.c:\d+\))?")
"""The text that Python makes of a reason: `[SSL: REASON] reason (_ssl.c:1006)`."""


def of_tls(error: ssl.SSLError, *, handshake: bool = False) -> str:
    """Return what a failure of TLS means, and in brackets what OpenSSL calls it. Never empty.

    Not by the class alone: for a server that hangs up, 3.11.2 raises another one than 3.11.7.

    Args:
        error: of any kind, also one that gives no reason.
        handshake: whether TLS was still being agreed on.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", "").rstrip(".")
        return f"certificate verify failed: {small(why)}" if why else "certificate verify failed"
    reason = _reason(error)
    if hung_up(error):
        return "the server hung up in the handshake" if handshake else "the server hung up"
    alert = _OF_AN_ALERT.match(reason)
    if alert is not None:
        reason = reason[alert.end() :]
        meaning = _REFUSALS.get(reason, "the server refused to go on")
    elif reason in _NOT_TLS:
        meaning = _NO_TLS if handshake else _DAMAGED
    else:
        meaning = _MEANING.get(reason, "")
    if meaning:
        return f"{meaning} ({reason})"
    return reason or _of_its_class(error)


def hung_up(error: ssl.SSLError) -> bool:
    """Say whether it is the end of a connection, with or without a farewell."""
    return isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or _reason(error) in _ENDS


def small(text: str) -> str:
    """Begin with a small letter, but for abbreviations."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _reason(error: ssl.SSLError) -> str:
    """Return OpenSSL's words, from the name of the reason or from the text of the error; empty if there are none."""
    name = getattr(error, "reason", None)  # an error that Python code has made has none
    if name:
        return str(name).replace("_", " ").lower()
    if getattr(error, "library", None) is None:  # the text is Python's own, of its class
        return ""
    text = _TEXT.fullmatch(error.strerror or "")
    return "" if text is None or text[1] == "unknown error" else text[1].lower()


def _of_its_class(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError):
        return "TLS was left while it waited for the network"
    if isinstance(error, ssl.SSLSyscallError):
        return "the connection broke"
    return "OpenSSL does not say why"
