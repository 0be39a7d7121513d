"""What failures of the system and of TLS are called: never by a class's name."""

from __future__ import annotations

import _ssl
import errno
import os
import socket
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.http.transport.words import of_system, of_tls, small


def subclasses(kind: type[BaseException]) -> set[type[BaseException]]:
    """Return a class and all that is derived from it."""
    return {kind}.union(*(subclasses(each) for each in kind.__subclasses__()))


OF_PYTHON = ("_ssl", "ssl", "builtins", "socket")
CLASSES = sorted((kind for kind in subclasses(OSError) if kind.__module__ in OF_PYTHON), key=lambda kind: kind.__name__)
OF_TLS = [kind for kind in CLASSES if issubclass(kind, ssl.SSLError)]
REASONS = sorted(
    {
        *(name for (library, _), name in getattr(_ssl, "err_codes_to_names", {}).items() if library == 20),
        *("HTTP_REQUEST", "WRONG_VERSION_NUMBER", "BAD_EXTENSION", "NO_SHARED_CIPHER", "PROTOCOL_IS_SHUTDOWN"),
        *("SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_UNKNOWN_CA", "TLSV13_ALERT_MISSING_EXTENSION"),
    }
)
"""The reasons of OpenSSL's SSL library, all that this Python knows where it tells, which it does up to 3.12."""


def failed(kind: type[ssl.SSLError] = ssl.SSLError, *, reason: str | None = None, text: str = "") -> ssl.SSLError:
    """Make an error of TLS as Python does; without a reason but with a text, it is one that Python has no name for."""
    error = kind(1, text)
    error.reason, error.library = reason or "", "SSL"
    if not reason:
        error.reason = None  # type: ignore[assignment]
    return error


def is_in_words(text: str) -> bool:
    """Say whether a text is no class's name, in any case, nor a name of OpenSSL's."""
    names = {kind.__name__.lower() for kind in CLASSES}
    return bool(text) and not names & set(text.lower().replace(":", " ").split()) and "_" not in small_words(text)


def small_words(text: str) -> str:
    """Leave out what a program may be told to write."""
    return text.replace("OP_LEGACY_SERVER_CONNECT", "").replace("minimum_version", "").replace("load_cert_chain", "")


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("args", [(), ("",), (None,), (0, ""), (0, None), (-2, ""), (errno.EIO, "")])
def test_no_failure_of_the_system_is_a_class_s_name(kind: type[OSError], args: tuple[object, ...]) -> None:
    """Whatever the class, and with a code, a text or neither."""
    assert is_in_words(of_system(kind(*args)))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ConnectionRefusedError(), os.strerror(errno.ECONNREFUSED)),
        (ConnectionResetError("t0ps3cret"), os.strerror(errno.ECONNRESET)),
        (TimeoutError(), os.strerror(errno.ETIMEDOUT)),
        (OSError(errno.EHOSTUNREACH, ""), os.strerror(errno.EHOSTUNREACH)),
        (socket.gaierror(errno.EIO, ""), "the system does not say why"),
        (OSError("t0ps3cret"), "the system does not say why"),
    ],
)
def test_what_the_system_says(error: OSError, words: str) -> None:
    """Its own text, or that of its code, or that of what the class stands for; a program's text is not quoted."""
    assert of_system(error) == words


@pytest.mark.parametrize("handshake", [True, False])
@pytest.mark.parametrize("kind", OF_TLS)
@pytest.mark.parametrize("text", ["", "t0ps3cret", "[SSL] unknown error (_ssl.c:1006)"])
def test_no_failure_of_tls_is_a_class_s_name(kind: type[ssl.SSLError], text: str, handshake: Any) -> None:
    """Made by Python with no reason, and made by a program with any text."""
    for error in (kind(), kind(text), kind(1, text), failed(kind, text=text if "[" in text else "")):
        words = of_tls(error, handshake=handshake)
        assert is_in_words(words)
        assert "t0ps3cret" not in words


@pytest.mark.parametrize("handshake", [True, False])
@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_words(reason: str, handshake: Any) -> None:
    """OpenSSL's own, or what they mean with its own behind."""
    words = of_tls(failed(reason=reason), handshake=handshake)
    assert is_in_words(words)
    assert not words.startswith(("sslv3", "tlsv1", "alert"))


@given(words=st.text("abcdefghijklmnopqrstuvwxyz ", min_size=1).map(str.strip).filter(bool))
def test_a_reason_has_the_same_words_with_and_without_a_name(words: str) -> None:
    """Python has names for some reasons only, and the text of an error for all of them."""
    for before in ("", "sslv3 alert ", "tlsv1 alert ", "tlsv13 alert "):
        said = before + words
        named = failed(reason=said.upper().replace(" ", "_"), text="ignored")
        unnamed = failed(text=f"[SSL] {said} (_ssl.c:1006)")
        assert of_tls(named) == of_tls(unnamed) or words == "unknown error"


WORDS = {
    "WRONG_VERSION_NUMBER": "does not speak TLS on this port; ask for an http URL",
    "HTTP_REQUEST": "does not speak TLS on this port; ask for an http URL",
    "RECORD_LAYER_FAILURE": "does not speak TLS on this port; ask for an http URL",
    "TLSV1_ALERT_PROTOCOL_VERSION": "no version of TLS in common",
    "UNSUPPORTED_PROTOCOL": "no version of TLS in common",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "no cipher in common with this program, or wants a client certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "wants a client certificate; give one with load_cert_chain",
    "SSLV3_ALERT_BAD_CERTIFICATE": "does not accept the client certificate, or wants one",
    "TLSV1_UNRECOGNIZED_NAME": "no site of this name",
    "TLSV1_ALERT_DECODE_ERROR": "the server refused to go on (decode error)",
    "UNEXPECTED_EOF_WHILE_READING": "the server hung up in the handshake",
    "DH_KEY_TOO_SMALL": "weaker than what is allowed here",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "OP_LEGACY_SERVER_CONNECT",
}


@pytest.mark.parametrize("reason", WORDS)
def test_what_users_meet_says_what_to_do(reason: str) -> None:
    """Of the reasons that are met in the open web, the words say what is wrong, and what helps."""
    assert WORDS[reason] in of_tls(failed(reason=reason), handshake=True)


@pytest.mark.parametrize("reason", ["WRONG_VERSION_NUMBER", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"])
def test_later_than_in_the_handshake_bytes_that_are_no_tls_are_damage(reason: str) -> None:
    """A server that has spoken TLS is not told to be one of plain HTTP."""
    assert of_tls(failed(reason=reason)).startswith("what came was damaged on its way")


@pytest.mark.parametrize("kind", [ssl.SSLZeroReturnError, ssl.SSLEOFError])
def test_an_end_is_an_end_of_whichever_class(kind: type[ssl.SSLError]) -> None:
    """Python 3.11.2 and 3.11.7 raise another one for the same."""
    assert of_tls(kind(), handshake=True) == "the server hung up in the handshake"
    assert of_tls(kind()) == "the server hung up"


def test_a_certificate_error_of_any_make() -> None:
    """Python code makes such without what OpenSSL says of the certificate."""
    assert of_tls(ssl.SSLCertVerificationError("t0ps3cret")) == "certificate verify failed"
    error = ssl.SSLCertVerificationError(1, "")
    error.verify_message = "Hostname mismatch."
    assert of_tls(error) == "certificate verify failed: hostname mismatch"


@pytest.mark.parametrize(
    ("text", "other"), [("Is it", "is it"), ("IP address", "IP address"), ("I/O error", "I/O error"), ("", "")]
)
def test_small_letters(text: str, other: str) -> None:
    """A sentence that stands behind a colon begins small; an abbreviation stays one."""
    assert small(text) == other
