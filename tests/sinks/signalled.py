"""A program that serves a store into a file, and is stopped by signals.

    signalled.py FOLDER SUFFIX SECONDS

Half of its jobs take so many seconds. It says when the first of these has begun, and when it hears of a signal; it
returns once it was stopped, or when nothing is left.
"""

import sys

import trio

import scrapeengine as se

JOBS = 40
folder, suffix, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])


class Hearing(se.Instrument):
    """Knows whether the run is to end."""

    def run_started(self, details):
        """Keep what says so."""
        self.report = details.report


async def scrape(task):
    """Return a number, at once or later."""
    number = int(task.event.id)
    if number >= JOBS // 2 and seconds:
        if number == JOBS // 2:
            print("waits", flush=True)
            while hearing.report().stopped is None:
                await trio.sleep(0.01)
            print("stops", flush=True)
        await trio.sleep(seconds)
    return {"number": number}


async def enqueue():
    """Put jobs there; what is known is left as it is."""
    async with se.open_store(f"sqlite:{folder}/jobs.db", durability="normal") as store:
        await se.Engine([se.Platform("a", scrape)]).enqueue(store, map(se.Event, range(JOBS)))


hearing = Hearing()
if not seconds:
    until = "empty"
else:
    trio.run(enqueue)
    until = None
sink = se.sinks.open(f"{folder}/out{suffix}", size=7, linger=0.01, rotate_bytes=500)
se.serve(
    [se.Platform("a", scrape, limit=30)],
    se.open_store(f"sqlite:{folder}/jobs.db", durability="normal"),
    sinks=[sink],
    until=until,
    instruments=[hearing],
    signals="return",
)
