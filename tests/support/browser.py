"""A real browser without a window: Chromium's headless shell, driven through two pipes by the DevTools protocol.

No library and no port: what goes through the pipes is JSON, each message ended by a zero byte
(https://chromedevtools.github.io/devtools-protocol/).
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager

import pytest
import trio

AS_3_AND_4 = """if True:
    import fcntl, os, sys
    ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]  # out of the way of one another
    for place, end in enumerate(ends, 3):
        os.dup2(end, place)
    os.execv(sys.argv[3], sys.argv[3:])
"""
"""Lets a program take two pipes as its files 3 and 4, which is where this one looks for them."""
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find_browser():
    """Return the path of one, or skip the test; where CI is to have one, fail instead."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        why = "no Chromium is installed; on Debian it is the package chromium-headless-shell"
        pytest.fail(why) if os.environ.get("SCRAPEENGINE_CI") else pytest.skip(why)
    return found


class BrowserPage:
    """One page of it."""

    def __init__(self, browser, session):
        self._browser, self._session = browser, session
        self.errors = []
        """What its console has called an error or a warning, and exceptions that nobody caught."""
        self.requests = []
        """The URLs of all that it has asked for."""
        self.loaded = trio.Event()

    async def call(self, method, **params):
        """Call a method of the protocol for this page, and return its result."""
        return await self._browser.call(method, session=self._session, **params)

    async def evaluate(self, expression):
        """Return the value of an expression of JavaScript; a promise is waited for."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def press(self, key, text=""):
        """Press a key, as a keyboard does."""
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, **({"text": text} if text else {}))

    async def screenshot(self, path, *, whole=True):
        """Write a picture of it."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        await trio.Path(path).write_bytes(base64.b64decode(answer["data"]))

    def hear(self, method, params):
        """Keep what a test asks for."""
        match method:
            case "Page.loadEventFired":
                self.loaded.set()
            case "Runtime.exceptionThrown":
                self.errors.append(params["exceptionDetails"].get("exception", {}).get("description", "?"))
            case "Runtime.consoleAPICalled" if params["type"] in {"error", "warning", "assert"}:
                self.errors.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in {"error", "warning"}:
                self.errors.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])


class Browser:
    """One process of it, made by `open_browser`."""

    def __init__(self, to, back):
        self._to, self._back = to, back
        self._numbers = itertools.count(1)
        self._waiting = {}
        self._pages = {}
        self._sending = trio.Lock()

    async def call(self, method, *, session=None, **params):
        """Call a method of the protocol, and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        self._waiting[number] = done, answers = trio.Event(), []
        async with self._sending:
            await self._to.send_all(json.dumps(message).encode() + b"\0")
        await done.wait()
        (answer,) = answers
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    async def page(self, url, *, width=1280, height=900, dark=False):
        """Open a page, and wait until it is loaded."""
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = BrowserPage(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await page.call("Emulation.setEmulatedMedia", features=[scheme])
        await page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        page.loaded = trio.Event()
        await page.call("Page.navigate", url=url)
        await page.loaded.wait()
        return page

    async def listen(self):
        """Read what it says, for ever."""
        left = b""
        async for chunk in self._back:
            *whole, left = (left + chunk).split(b"\0")
            for message in map(json.loads, whole):
                if "id" in message:
                    done, answers = self._waiting.pop(message["id"])
                    answers.append(message)
                    done.set()
                elif message.get("sessionId") in self._pages:
                    self._pages[message["sessionId"]].hear(message["method"], message["params"])
        raise AssertionError("the browser has ended")


@asynccontextmanager
async def open_browser():
    """Start one, and end it with all that is of it."""
    path = find_browser()
    its_in, to = os.pipe()
    back, its_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        options += ["--remote-debugging-pipe", f"--user-data-dir={home}", "--no-first-run", "--disable-extensions"]
        command = [sys.executable, "-Sc", AS_3_AND_4, str(its_in), str(its_out), path, *options, "about:blank"]
        async with trio.open_nursery() as nursery:
            process = await trio.lowlevel.open_process(
                command, pass_fds=(its_in, its_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            os.close(its_in)
            os.close(its_out)
            browser = Browser(trio.lowlevel.FdStream(to), trio.lowlevel.FdStream(back))
            nursery.start_soon(browser.listen)
            try:
                yield browser
            finally:
                nursery.cancel_scope.cancel()
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
        await browser._to.aclose()
        await browser._back.aclose()
