"""A site that lets so many requests through in each window of time, and says so in each answer."""

import math
from datetime import UTC, datetime
from email.utils import formatdate

import httpx
import trio

EPOCH = 1_700_000_000.0

FORMS = {
    "RateLimit": '"default";r={left};t={up}',
    "RateLimit, rounded down": '"default";r={left};t={down}',
    "RateLimit of draft 7": "limit=100, remaining={left}, reset={up}",
    "RateLimit-": "{up}",
    "X-RateLimit-": "{exactly:.3f}",
    "X-RateLimit-, Unix time": "{unix_up}",
    "X-Rate-Limit-, Unix time rounded down": "{unix_down}",
    "X-RateLimit-, HTTP date": "{date}",
    "X-Rate-Limit-, ISO date": "{iso}",
}


def stated(form, left, reset, now):
    """Return the headers in which a site states what is left, and in how many seconds it will be more."""
    at = now + reset
    text = FORMS[form].format(
        left=left,
        up=math.ceil(reset),
        down=int(reset),
        exactly=reset,
        unix_up=math.ceil(at),
        unix_down=int(at),
        date=formatdate(at, usegmt=True),
        iso=datetime.fromtimestamp(at, UTC).isoformat(),
    )
    name = form.partition(",")[0].partition(" ")[0]
    if not name.endswith("-"):
        return {name: text, f"{name}-Policy": '"default";q=100;w=10'}
    headers = {f"{name}Limit": "100", f"{name}Remaining": str(left), f"{name}Reset": text}
    return headers | ({"Date": formatdate(now, usegmt=True)} if "rounded" not in form else {})


class Windows:
    """Lets so many requests through in each window of so many seconds, and says so in each answer."""

    def __init__(self, form, *, quota=100, period=10.0):
        self.form = form
        self.quota = quota
        self.period = period
        self.served = []
        self.refused = 0
        self._window = -1
        self._left = 0

    def ask(self):
        """Return the status and the headers of the answer to a request that comes now."""
        now = trio.current_time()
        window = int(now // self.period)
        if window != self._window:
            self._window, self._left = window, self.quota
        status = 200 if self._left else 429
        if self._left:
            self._left -= 1
            self.served.append(now)
        else:
            self.refused += 1
        return status, stated(self.form, self._left, (window + 1) * self.period - now, EPOCH + now)

    async def answer(self, _):
        """Answer as a transport's handler."""
        status, headers = self.ask()
        await trio.sleep(0.05)
        return httpx.Response(status, headers=headers)

    def used(self, begin, windows):
        """Return the share of so many whole windows that was used."""
        end = begin + windows * self.period
        return sum(begin <= at < end for at in self.served) / (windows * self.quota)
