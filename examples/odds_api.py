"""Scrape odds for ever, with six settings that an HTTP API changes meanwhile.

    python examples/odds_api.py                    on http://127.0.0.1:8000, with bookmakers on loopback
    curl http://127.0.0.1:8000/settings
    curl -X PUT -d '{"event_limit": 30, "delay": 0.1}' http://127.0.0.1:8000/settings

    GET /settings     the six, as they are now
    PUT /settings     some of them, all or none ──> what has changed; or 422, and what is wrong with which

What is put holds at once, in the middle of the run: `engine.apply`. SIGTERM and SIGINT end it. With `--file odds.toml`
the engine's settings are read from there first, and again at each SIGHUP. Needs `hypercorn`.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import attrs
import hypercorn.trio
import trio
from hypercorn.config import Config
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

import scrapeengine as se
from jobs import Refused, Reply, read_body, respond
from odds import Bookmaker, Odds, odds
from scrapeengine.testing import Site

BOOKMAKERS = ("albion", "borealis", "cardinal")
Values = dict[str, Any]


@attrs.frozen
class Setting:
    """One of the six: where it is among an engine's settings."""

    read: Callable[[se.Settings], Any]
    """Returns it."""
    said: Callable[[Any], Values]
    """Returns what `Settings.with_values` takes, for a value."""


def concurrency(name: str) -> Setting:
    """Return the setting of how many requests are under way on a bookmaker."""
    return Setting(lambda now: now.platforms[name].limit, lambda value: {"platforms": {name: {"limit": value}}})


def delay_in(now: se.Settings) -> float:
    """Return the seconds between two requests to one bookmaker."""
    return max((rate.interval for rate in now.platforms[BOOKMAKERS[0]].rate), default=0)


def delay_said(value: object) -> Values:
    """Return what has two requests to one bookmaker be so far apart."""
    rate = None if value == 0 and not isinstance(value, bool) else {"count": 1, "per": value}
    return {"platforms": {name: {"rate": rate} for name in BOOKMAKERS}}


SETTINGS = {
    "event_limit": Setting(lambda now: now.effective_event_limit, lambda value: {"event_limit": value}),
    **{f"{name}_concurrency": concurrency(name) for name in BOOKMAKERS},
    "delay": Setting(delay_in, delay_said),
    "batch_size": Setting(lambda now: now.buffer, lambda value: {"buffer": value}),  # as many may wait to be written
}


def shown(now: se.Settings) -> Values:
    """Return the six by their names."""
    return {name: setting.read(now) for name, setting in SETTINGS.items()}


def changed(now: se.Settings, given: object) -> se.Settings:
    """Return settings with some of the six changed.

    Raises:
        Refused: one of them is none, or its value is of no use.
    """
    if not isinstance(given, dict) or not given:
        raise Refused(422, f'the body must be an object with some of {", ".join(SETTINGS)}; write {{"delay": 0.1}}')
    for name, value in given.items():
        if name not in SETTINGS:
            near = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=0)
            raise Refused(422, f"there is no setting {name!a:.50}; did you mean {near[0]!r}?")
        try:
            now = now.with_values(SETTINGS[name].said(value))
        except ValueError as error:
            raise Refused(422, f"{name}: {error}") from error
    return now


@attrs.frozen
class Api:
    """The ASGI application."""

    engine: se.Engine[Odds]

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

    async def route(self, method: str, path: str, receive: ASGIReceiveCallable) -> Reply:
        """Find what a request asks for.

        Raises:
            Refused: there is no such thing, or the request is wrong.
        """
        match method, path:
            case "GET", "/settings":
                return 200, shown(self.engine.settings())
            case "PUT", "/settings":
                return self.put(await read_body(receive))
            case _, "/settings":
                raise Refused(405, f"{method} is not for /settings: write GET or PUT")
            case _:
                raise Refused(404, "there is nothing here: write GET /settings or PUT /settings")

    def put(self, body: bytes) -> Reply:
        """Change some of the six at once, or none.

        Raises:
            Refused: says which, and why.
        """
        try:
            given = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(400, f'the body is no JSON: {error}; write {{"delay": 0.1}}') from error
        changes = self.engine.apply(changed(self.engine.settings(), given))
        return 200, {"settings": shown(self.engine.settings()), "changed": [str(each) for each in changes]}


# -- its life


async def serve(options: argparse.Namespace) -> None:
    """Scrape, and answer, until a signal says otherwise."""
    config = Config()
    config.bind = [f"127.0.0.1:{options.port}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 1.0
    stopping = trio.Event()
    async with AsyncExitStack() as stack:
        urls = options.sites or [await bookmaker(name, stack) for name in BOOKMAKERS]
        engine = se.Engine(
            [se.Platform(name, odds, base_url=url, limit=4) for name, url in zip(BOOKMAKERS, urls, strict=True)],
            event_limit=10,
            buffer=50,
        )
        # Before the run, which ends first: as long as it goes on its settings can be changed.
        nursery = await stack.enter_async_context(trio.open_nursery())
        if options.file:
            await nursery.start(se.reread, engine, options.file)
        run = await stack.enter_async_context(engine.stream(map(se.Event, itertools.count())))
        await nursery.start(stop_on_signal, run, stopping)
        serving = partial(hypercorn.trio.serve, Api(engine).app, config, shutdown_trigger=stopping.wait, mode="asgi")
        [address] = await nursery.start(serving)
        print(f"listening on {address}", flush=True)
        batch: list[se.Outcome[Odds]] = []
        async for outcome in run:
            batch.append(outcome)
            if len(batch) >= engine.settings().buffer:
                write(batch)
                batch = []
        write(batch)
        nursery.cancel_scope.cancel()
    print(f"stopped after {run.report.outcomes.succeeded} odds", flush=True)


def write(batch: list[se.Outcome[Odds]]) -> None:
    """Write a batch; a database would take it here in one transaction."""
    print(f"wrote {len(batch)} outcomes", flush=True)


async def bookmaker(name: str, stack: AsyncExitStack) -> str:
    """Open a bookmaker on loopback; return its URL."""
    made = Bookmaker(name, argparse.Namespace(latency=0.1, away=0.0, seed=1))
    return (await stack.enter_async_context(Site.open(made.answer))).url


async def stop_on_signal(
    run: se.Run[Odds], stopping: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Wait for a signal, then end. Checkpoint."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        number = await anext(signals)
    stopping.set()
    run.stop_soon(1.0, reason=signal.Signals(number).name)


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description="Scrape odds, with settings that are changed over HTTP.")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="on 127.0.0.1; 0: any that is free")
    parser.add_argument("--sites", nargs=3, metavar="URL", help="the bookmakers; else three on loopback")
    parser.add_argument("--file", metavar="TOML", help="the engine's settings, read again at SIGHUP")
    trio.run(serve, parser.parse_args())


if __name__ == "__main__":
    main()
