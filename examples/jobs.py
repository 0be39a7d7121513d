"""A service that takes jobs over HTTP, and works on them in the same process. It keeps them in a file, and may die.

    python examples/jobs.py                        on http://127.0.0.1:8000, with the jobs in jobs.db
    curl -d '["a", "b"]' http://127.0.0.1:8000/jobs
    curl http://127.0.0.1:8000/jobs/a

    POST /jobs        a JSON list of ids ──> what has become of each: 202
    GET /jobs/{id}    its state, its place in the queue, its result
    GET /stats        the jobs, counted

    request ──> app ──> store ──> engine ──> site
                  (one file)  <──results──┘

What POST has answered is in the file, and outlives the process, however that ends: after `--lease` seconds its jobs are
worked on by the next one. SIGTERM and SIGINT end it within `--grace` seconds and a little: jobs that run may end,
and what is not done by then is given back. A job is a page of a site: the one at `--site`, or else one on loopback.
Needs `hypercorn`; a store in a file needs `apsw`, and progress, which a terminal shows, `rich`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import signal
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import quote

import attrs
import hypercorn.trio
import trio
from hypercorn.config import Config
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

import scrapeengine as se
from scrapeengine.testing import Answer, Request, Site

Page = dict[str, Any]
Reply: TypeAlias = tuple[int, Any]
"""A status, and what is sent with it as JSON."""

LARGEST = 256 * 1024
"""The bytes that the body of a request may have."""
PATIENCE = 10.0
"""Seconds in which it must have come."""
AN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,199}")


class Refused(Exception):
    """A request that is not done, with the status and the text that say why."""

    def __init__(self, status: int, text: str) -> None:
        """Refuse a request."""
        super().__init__(text)
        self.status = status


# -- the work


async def scrape(task: se.Task) -> Page:
    """Scrape the page of a job."""
    response = await task.http.get(f"/pages/{quote(task.event.id)}")
    return {"bytes": len(response.content), "sha256": hashlib.sha256(response.content).hexdigest()}


async def answer(request: Request) -> Answer:
    """Answer as a site does that takes its time: the one that is scraped if no other is given."""
    await trio.sleep(0.5)
    return Answer(body=f"this is {request.path}".encode())


def line(outcome: se.Outcome[Page]) -> str:
    """Put an outcome into one line."""
    match outcome:
        case se.Success(value=value):
            text = f"{value['bytes']} bytes"
        case se.Failure(error=error):
            text = f"{type(error).__name__}: {error}"
        case se.Skipped(reason=reason) | se.Cancelled(reason=reason):
            text = reason
    return f"job {outcome.event.id}: {text}, after {outcome.ran:.2f} s"


# -- the service


@attrs.frozen
class Service:
    """The ASGI application: what it does is in the store when it has answered."""

    engine: se.Engine[Page]
    store: se.Store

    async def app(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer a request; the application."""
        match scope["type"]:
            case "http":
                await respond(send, await self.reply(scope, receive))
            case "websocket":
                await send({"type": "websocket.close", "code": 1000, "reason": None})
            case "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})

    async def reply(self, scope: HTTPScope, receive: ASGIReceiveCallable) -> Reply:
        """Do what a request asks for; what is wrong with it is said in the reply."""
        try:
            return await self.route(scope["method"], scope["path"], receive)
        except Refused as refused:
            return refused.status, {"error": str(refused)}
        except se.StoreError as error:
            return 503, {"error": f"the store has taken nothing: {error}"}

    async def route(self, method: str, path: str, receive: ASGIReceiveCallable) -> Reply:
        """Find what a request asks for.

        Raises:
            Refused: there is no such thing, or the request is wrong.
        """
        match method, path.removeprefix("/").split("/"):
            case "POST", ["jobs"]:
                return await self.post(ids_in(await read_body(receive)))
            case "GET", ["jobs", id]:
                return await self.show(id)
            case "GET", ["stats"]:
                return 200, {name: attrs.asdict(queue) for name, queue in (await self.store.stats()).items()}
            case _, ["jobs"] | ["jobs", _] | ["stats"]:
                raise Refused(405, f"{method} is not for {path}: write POST /jobs, GET /jobs/ID or GET /stats")
            case _:
                raise Refused(404, "there is nothing here: write POST /jobs, GET /jobs/ID or GET /stats")

    async def post(self, ids: list[str]) -> Reply:
        """Enqueue jobs, and say what has become of them. An id that is known is left as it is."""
        jobs = await self.engine.enqueue(self.store, map(se.Event, ids))
        return 202, {"jobs": [{"id": it.job.id, "state": it.job.status.value, "new": it.new} for it in jobs]}

    async def show(self, id: str) -> Reply:
        """Show a job."""
        job = await self.store.get("site", id)
        if job is None:
            raise Refused(404, f"there is no job {id!r}: it was not posted, or was done too long ago")
        return 200, {
            "id": id,
            "state": job.status.value,
            "position": await self.store.position("site", id),
            "attempts": job.attempts,
            "result": None if job.result is None else json.loads(job.result),
            "error": job.error,
        }


async def read_body(receive: ASGIReceiveCallable) -> bytes:
    """Read the body of a request.

    Raises:
        Refused: it is too large, or does not come.
    """
    body, more = bytearray(), True
    with trio.move_on_after(PATIENCE):
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise Refused(400, "the body has broken off")
            more = message["more_body"]
            # What is too much is read, for its sender would not hear of it before the end, and dropped.
            if len(body) <= LARGEST:
                body += message["body"]
    if len(body) > LARGEST:
        raise Refused(413, f"the body may have {LARGEST} bytes: post fewer jobs at once")
    if more:
        raise Refused(408, f"the body has not come within {PATIENCE:g} s")
    return bytes(body)


def ids_in(body: bytes) -> list[str]:
    """Return the ids that a body lists.

    Raises:
        Refused: it is no list of ids.
    """
    try:
        ids = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f'the body is no JSON: {error}; write ["a", "b"]') from error
    if not isinstance(ids, list) or not ids:
        raise Refused(422, 'the body must be a list of at least one id; write ["a", "b"]')
    for each in ids:
        if not isinstance(each, str) or not AN_ID.fullmatch(each):
            raise Refused(
                422,
                f"{each!a:.50} is no id: write a string of 1 to 200 of the characters A-Z a-z 0-9 . _ ~ -, "
                "the first of them a letter or a digit",
            )
    return ids


async def respond(send: ASGISendCallable, reply: Reply) -> None:
    """Send a reply."""
    status, content = reply
    body = json.dumps(content).encode() + b"\n"
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})


# -- its life


async def serve(options: argparse.Namespace) -> None:
    """Serve, and work, until a signal says otherwise."""
    config = Config()
    config.bind = [f"127.0.0.1:{options.port}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = options.grace
    stopping = trio.Event()
    async with AsyncExitStack() as stack:
        url = options.site or (await stack.enter_async_context(Site.open(answer))).url
        store = await stack.enter_async_context(se.open_store(options.store))
        engine = se.Engine([se.Platform("site", scrape, base_url=url, limit=options.limit)])
        run = await stack.enter_async_context(engine.serve(store, lease=options.lease))
        await stack.enter_async_context(progress(run))
        nursery = await stack.enter_async_context(trio.open_nursery())
        await nursery.start(stop_on_signal, run, stopping, options.grace)
        app = Service(engine, store).app
        http = partial(hypercorn.trio.serve, app, config, shutdown_trigger=stopping.wait, mode="asgi")
        [address] = await nursery.start(http)
        print(f"listening on {address}", flush=True)
        async for outcome in run:
            print(line(outcome), flush=True)
    print(f"stopped: {run.report.outcomes.total} jobs were done, {run.report.returned} were given back")


def progress(run: se.Run[Page]) -> AbstractAsyncContextManager[object]:
    """Show what is done and what waits, where somebody sees it."""
    return se.observe.Progress(run) if sys.stderr.isatty() else nullcontext()


async def stop_on_signal(
    run: se.Run[Page],
    stopping: trio.Event,
    grace: float,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Wait for a signal, then let requests and jobs that are on their way end, for `grace` seconds. Checkpoint.

    A second signal finds nobody who waits for it, and ends the process; its jobs are in the file.
    """
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        number = await anext(signals)
    stopping.set()
    run.stop_soon(grace, reason=signal.Signals(number).name)


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description="Take jobs over HTTP, and work on them.")
    parser.add_argument("--store", default="sqlite:jobs.db", metavar="URL", help="where the jobs are kept")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="on 127.0.0.1; 0: any that is free")
    parser.add_argument("--site", metavar="URL", help="the site whose pages are scraped")
    parser.add_argument("--limit", type=int, default=4, metavar="N", help="how many jobs run at once")
    parser.add_argument("--grace", type=float, default=5.0, metavar="S", help="seconds that jobs have at the end")
    parser.add_argument("--lease", type=float, default=30.0, metavar="S", help="seconds to wait for who hangs")
    trio.run(serve, parser.parse_args())


if __name__ == "__main__":
    main()
