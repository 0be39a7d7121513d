"""What is secret in a request never reaches the text of an error, a traceback, a log line or a `repr`."""

import contextlib
import copy
import logging
import pickle
import ssl
import traceback

import pytest
import trio
import trustme

import scrapeengine as se
from hostile.bombs import answer, bombs
from support.runs import ended
from support.wire import OK, answering, serving

HEAD = b"HTTP/1.1 200 OK\r\n"


def secret(of):
    """Make a secret, so that it stands in no line of source that a traceback would show."""
    return f"{of}-{'s3cr' + '3t'}"


ALL = [secret(of) for of in ("user", "password", "token", "header", "cookie", "key", "body", "fragment", "theirs")]


def echo(before, after=b""):
    """Make a site that sends back what it was sent."""

    async def serve(talk):
        request = await talk.request()
        await talk.send(before + request + after)

    return serve


async def silent(talk):
    """Say nothing."""
    await talk.request()
    await talk.client_gone()


async def resetting(talk):
    """Break off."""
    await talk.request()
    talk.reset()


def location(text):
    """Make a redirect."""
    return f"HTTP/1.1 307 Temporary\r\nLocation: {text}\r\nContent-Length: 0\r\n\r\n".encode()


LED = f"//{secret('user')}:{secret('password')}@b.test/x?token={secret('token')}#{secret('fragment')}"
THEIRS = secret("theirs").encode()

SITES = {
    "AttemptTimeout": silent,
    "ConnectionBroken": resetting,
    "TruncatedBody": echo(HEAD + b"Content-Length: 100000\r\n\r\n"),
    "ProtocolError": echo(b""),
    "ProtocolError in a header": echo(HEAD),
    "ProtocolError in a chunk": echo(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
    "ProtocolError in the coding": echo(HEAD + b"Content-Encoding: gzip\r\n\r\n"),
    "HeadersTooLarge": answering(HEAD + b"X-A: " + THEIRS * 20_000 + b"\r\n\r\n"),
    "BodyTooLarge": answering(answer("zstd", bombs()["zstd"])),
    "StatusError": answering(b"HTTP/1.1 404 Not Found\r\nSet-Cookie: id=%b\r\nContent-Length: 0\r\n\r\n" % THEIRS),
    "StatusError with an echo": echo(b"HTTP/1.1 404 "),
    "RedirectError abroad": answering(location(f"http:{LED}")),
    "RedirectError elsewhere": answering(location(f"ftp:{LED}")),
    "RedirectError malformed": answering(location(f"http:{LED}".replace("b.test", "[::1"))),
    "TooManyRedirects": answering(location(f"/x?token={secret('token')}"), then="keep"),
    "CertificateError": None,
    "ConnectFailed": None,
    "AddressBlocked": None,
    "RobotsUnavailable": answering(HEAD.replace(b"200", b"500") + b"Content-Length: 0\r\n\r\n"),
    "RobotsDisallowed": answering(HEAD + b"Content-Length: 27\r\n\r\nUser-agent: *\nDisallow: /  \n"),
    "InvalidRequest": answering(OK),
    "Success": answering(b"HTTP/1.1 200 OK\r\nSet-Cookie: id=%b\r\nContent-Length: 2\r\n\r\nok" % THEIRS),
}


def _unknown():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


async def told(kind, caplog):
    """Run a task into an error with all that is secret; return its outcome, and all texts that might be printed."""
    texts = []

    async def scrape(task):
        headers = {
            "Authorization": f"Bearer {secret('header')}",
            "Cookie": f"id={secret('cookie')}",
            "X-Api-Key": secret("key"),
        }
        if kind == "InvalidRequest":
            headers["X-Broken"] = secret("header") + "\n"
        task.log.debug("asking")
        texts.append(repr(task))
        texts.append(repr(task.http))
        return await task.http.request("PUT", task.event.url, headers=headers, json={"body": secret("body")})

    policy = {
        "retry": se.Retry(attempts=1, patience=0),
        "headers": {"X-Api-Key": secret("key")},
        "timeout": se.Timeout(attempt=0.2),
        "caps": se.Caps(body=1000),
        "cookies": True,
        "robots": kind.startswith("Robots"),
        "block_private": kind == "AddressBlocked",
    }

    with caplog.at_level(logging.DEBUG):
        with trio.fail_after(5):
            async with serving(
                SITES[kind] or answering(OK), tls=_unknown() if kind == "CertificateError" else None
            ) as web:
                at = "nowhere.test" if kind == "ConnectFailed" else f"127.0.0.1:{web.port}"
                scheme = "https" if kind == "CertificateError" else "http"
                who = f"{secret('user')}:{secret('password')}"
                url = f"{scheme}://{who}@{at}/a?token={secret('token')}#{secret('fragment')}"
                platform = se.Platform("A", scrape, base_url=f"{scheme}://{who}@{at}/", **policy)
                engine = se.Engine([platform])
                event = se.Event(url=url, platforms=("A",), data=None)
                async with engine.stream([event]) as run:
                    texts.extend(map(repr, (platform, engine, run, event)))
                    [outcome] = [outcome async for outcome in run]
                    texts.extend(map(repr, (engine, run, run.report, run.statistics(), outcome)))
    texts.extend([caplog.text, str(outcome)])
    return outcome, texts


@pytest.mark.parametrize("kind", SITES)
async def test_no_secret_is_told(kind, caplog, names):
    """Whatever goes wrong, and if nothing does: neither by the error, nor by what stands around it."""
    names["nowhere.test"] = []
    outcome, texts = await told(kind, caplog)
    if kind == "Success":
        assert isinstance(outcome, se.Success)
        texts.append(repr(outcome.value))
    elif kind == "RobotsDisallowed":
        assert isinstance(outcome, se.Skipped)
    else:
        error = outcome.error
        assert type(error).__name__ == kind.partition(" ")[0], repr(error)
        texts += [str(error), repr(error), repr(error.args), error.url]
        texts += traceback.format_exception(error)
        texts += [str(each) for each in vars(error).values()]
        if "echo" not in kind:  # what a site says is the site's
            written = pickle.dumps(error) + pickle.dumps(copy.deepcopy(error))
            sent = [secret(of) for of in ("user", "password", "header", "cookie", "key", "body")]
            assert not [each for each in sent if each.encode() in written]
    found = [(each, text) for text in texts for each in ALL if each in text]
    assert not found


async def test_a_task_that_fails_by_itself_tells_no_secret(caplog):
    """An error of the scraper's own shows the scraper's source, and nothing of the request before it."""

    async def scrape(task):
        response = await task.http.get(task.event.url)
        raise LookupError(len(response.content))

    with caplog.at_level(logging.DEBUG):
        with trio.fail_after(5):
            async with serving(answering(OK)) as web:
                url = f"http://{secret('user')}:{secret('password')}@127.0.0.1:{web.port}/?token={secret('token')}"
                [outcome] = await ended([se.Platform("A", scrape)], [se.Event(url=url, platforms=("A",))])
    texts = [*traceback.format_exception(outcome.error), repr(outcome), caplog.text]
    assert not [each for each in ALL for text in texts if each in text]


async def test_what_is_logged_at_the_end_of_a_run_tells_no_secret(caplog):
    """A run that is stopped in the midst of a request has something to say, and this not."""

    async def scrape(task):
        with contextlib.suppress(trio.Cancelled), trio.CancelScope(shield=True):
            with trio.move_on_after(0.3):
                await task.http.get(task.event.url)

    with caplog.at_level(logging.DEBUG):
        with trio.fail_after(5):
            async with serving(silent) as web:
                url = f"http://{secret('user')}:{secret('password')}@127.0.0.1:{web.port}/?token={secret('token')}"
                platform = se.Platform("A", scrape)
                async with se.Engine([platform]).stream([se.Event(url=url, platforms=("A",))]) as run:
                    await trio.sleep(0.05)
                    await run.stop(0)
                    outcomes = [outcome async for outcome in run]
    texts = [*map(repr, outcomes), caplog.text]
    assert not [each for each in ALL for text in texts if each in text]
