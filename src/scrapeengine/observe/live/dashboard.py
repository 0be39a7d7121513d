"""The live page: what a run or a store does, in a browser, and what can be done about it there.

Dashboard ──> PageServer (HTTP) ──> Access: who may ask
                  │                    │
                  │                    ├──> files of the page, which say nothing of any run
                  │                    ├──> Feed ──> LiveSubject: what is shown     (server-sent events)
                  └────────────────────┴──> Commands: what is to be done            (POST)

The page and its script come from files, and nothing that a site has sent is ever put into them: it goes to the script
as JSON, which puts it in as text. The content security policy lets the browser run and load these files and no others.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from importlib import resources
from types import TracebackType
from typing import Self

import trio

from scrapeengine.errors import ScrapeError
from scrapeengine.model.checks import port as check_port
from scrapeengine.model.store import Store
from scrapeengine.model.urls import told
from scrapeengine.observe.live.access import Access, names_of
from scrapeengine.observe.live.commands import Commands
from scrapeengine.observe.live.feed import Feed
from scrapeengine.observe.live.server import Asked, PageReply, PageServer, require
from scrapeengine.observe.live.subject import LiveSubject, Steered, WatchedRun
from scrapeengine.observe.log import logger
from scrapeengine.uninterrupted import first_of

__all__ = ["Dashboard"]

_FILES = {
    "/": ("live.html", "text/html; charset=utf-8"),
    "/live.js": ("live.js", "text/javascript; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_EVENTS, _DO = "/events", "/do"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
_MOST_FOLLOWERS = 16
"""The most pages that are open at once."""
_UNSENT = 128 * 1024
"""The bytes that the system takes for a connection before anybody has read them."""
_SHORTEST_TOKEN = 16


class Dashboard:
    """Serves a live page for as long as its `async with` lasts. Off unless a program writes it; on loopback by default.

        async with engine.stream(events) as run, se.observe.Dashboard(run, engine) as page:
            print(page.url)
            async for outcome in run:
                ...

    Whoever has the address with what is behind its # can do all that the page can: keep it as a password. It is neither
    logged nor sent by a browser.

    Size: 11 attributes: what it serves, for whom, and what runs while it does.
    """

    def __init__(
        self,
        run: WatchedRun | None = None,
        engine: Steered | None = None,
        store: Store | None = None,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        hosts: Collection[str] = (),
        token: str | None = None,
    ) -> None:
        """Make it.

        Args:
            run: is shown, and may be stopped there.
            engine: the run's, whose platforms may be paused, tuned, closed and reopened there; None: they may not.
            store: the one that the run serves, or without a run one that others serve: its queues and failed jobs are
                shown, jobs may be run again, forgotten and enqueued there, and platforms paused for all.
            port: where to listen; 0: wherever there is room.
            host: the address to listen at. Beyond loopback all that is shown goes over the network as it is: put a
                server with TLS before it.
            hosts: the names by which browsers may call it beside `host` and those of loopback.
            token: what is behind the #; None: a new one each time.

        Raises:
            ImportError: the extra `dashboard` is not installed; says what to install.
            TypeError: there is nothing to be shown, or an argument is of the wrong type.
            ValueError: the port is none, or the token is too short to be kept from others.
        """
        require()
        _check_subject(run, engine, store)
        check_port(port, "Dashboard(port=…)")
        named = names_of(hosts, "Dashboard(hosts=…)")
        if not isinstance(host, str) or not (token is None or isinstance(token, str)):
            raise TypeError("Dashboard(host=…, token=…) are texts; leave them out for loopback and a new token")
        if token is not None and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isalnum()):
            raise ValueError(
                f"Dashboard(token=…) must be at least {_SHORTEST_TOKEN} letters and digits, for who guesses it can "
                "stop the run; leave it out to have one made"
            )
        self._host, self._port = host, port
        self._token = secrets.token_hex(16) if token is None else token
        self._access = Access(self._token, named | names_of([host], "Dashboard(host=…)"))
        self._subject = LiveSubject(run, engine, store)
        self._commands = Commands(self._subject)
        self._feed = Feed(self._subject)
        self._followers = 0
        self._files: dict[str, PageReply] = {}
        self._nursery: trio.Nursery | None = None
        self._manager = trio.open_nursery(strict_exception_groups=True)

    @property
    def url(self) -> str:
        """The address to open in a browser, with the token behind its #."""
        if not self._port:
            raise RuntimeError("the page has an address within its `async with`")
        name = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{name}:{self._port}/#{self._token}"

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        """Begin to serve. Checkpoint. If cancelled, nobody listens.

        Raises:
            OSError: nobody can listen there.
        """
        if self._nursery is not None:
            raise RuntimeError("a Dashboard is entered once: make another one")
        self._files = {path: _file(name, kind) for path, (name, kind) in _FILES.items()}
        listeners = await trio.open_tcp_listeners(self._port, host=self._host)
        for listener in listeners:  # connections have it of their listener: who takes nothing holds no more than that
            listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT)
        self._port = listeners[0].socket.getsockname()[1]
        self._nursery = await self._manager.__aenter__()
        self._nursery.start_soon(_kept_from_the_run, self._feed.run)
        self._nursery.start_soon(_kept_from_the_run, partial(PageServer(self._answer).serve, listeners))
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all connections. Checkpoint. What the body raised leaves as it is."""
        assert self._nursery is not None
        # Shielded: its tasks end at once, and what cancels the body is the body's affair.
        self._nursery.cancel_scope.shield = True
        self._nursery.cancel_scope.cancel()
        try:
            await self._manager.__aexit__(None, None, None)
        except BaseExceptionGroup as group:  # Ctrl-C, in the main task: those in the nursery raise nothing
            raise first_of(group) from None

    async def _answer(self, asked: Asked) -> PageReply:
        acts = asked.path == _DO
        is_open = asked.path in self._files
        refusal = self._access.refusal(asked.method, asked.headers, acts=acts, is_open=is_open)
        if refusal is not None:
            return _json(refusal.status, {"error": refusal.why})
        if is_open:
            return self._files[asked.path]
        if acts:
            return await self._do(asked.body)
        if asked.path != _EVENTS:
            return _json(404, {"error": "there is nothing here"})
        if self._followers >= _MOST_FOLLOWERS:
            return _json(503, {"error": f"{_MOST_FOLLOWERS} pages are open already; close one"})
        self._followers += 1
        headers = (("Content-Type", "text/event-stream"), *_ALWAYS)
        return PageReply(200, headers, follow=self._feed.follow(), ended=self._unfollowed)

    def _unfollowed(self) -> None:
        self._followers -= 1

    async def _do(self, body: bytes) -> PageReply:
        try:
            said = await self._commands.do(body)
        except (ValueError, TypeError, ScrapeError) as error:
            return _json(400, {"error": str(error)})
        self._feed.hurry()
        return _json(200, {"said": said})

    def __repr__(self) -> str:
        """Say what is shown; the token is a secret."""
        return f"<Dashboard of {self._subject!r}, {self._followers} pages open>"


async def _kept_from_the_run(work: Callable[[], Awaitable[None]]) -> None:
    """Do something until it is cancelled. What goes wrong is logged, and ends no run."""
    try:
        await work()
    except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
        logger().error("the live page has ended", exc_info=error)


def _check_subject(run: object, engine: object, store: object) -> None:
    if run is None and store is None:
        raise TypeError("a Dashboard shows a run, or a store; write Dashboard(run, engine) or Dashboard(store=store)")
    if run is not None and not callable(getattr(run, "stop_soon", None)):
        raise TypeError(f"Dashboard(run) takes what `async with engine.stream(…) as run` gives, got {told(run)}")
    if engine is not None and not callable(getattr(engine, "tune", None)):
        raise TypeError(f"Dashboard(run, engine) takes the Engine of the run, got {told(engine)}")
    if engine is not None and run is None:
        raise TypeError("an engine is steered while it runs; write Dashboard(run, engine)")
    if store is not None and not callable(getattr(store, "resume", None)):
        raise TypeError(f"Dashboard(store=…) takes what `async with open_store(…) as store` gives, got {told(store)}")


def _file(name: str, kind: str) -> PageReply:
    body = (resources.files("scrapeengine.observe") / "assets" / name).read_bytes()
    return PageReply(200, (("Content-Type", kind), *_ALWAYS), body)


def _json(status: int, what: dict[str, str]) -> PageReply:
    return PageReply(status, (("Content-Type", "application/json"), *_ALWAYS), json.dumps(what).encode())
