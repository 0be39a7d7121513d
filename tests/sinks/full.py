"""A program that writes into a file until it may not grow any more, and goes on once it may.

    full.py FOLDER SUFFIX BYTES

No file that it writes may have more than so many bytes, which fails as a full disk does, with another number. Its
store is in memory. It prints what it has raised.
"""

import os
import resource
import sys

import trio

import scrapeengine as se

folder, suffix, most = sys.argv[1], sys.argv[2], int(sys.argv[3])


async def scrape(task):
    """Return something that does not compress well."""
    return {"number": int(task.event.id), "text": os.urandom(300).hex()}


async def main():
    """Poll until nothing is left."""
    engine = se.Engine([se.Platform("a", scrape, limit=10)])
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, map(se.Event, range(60)))
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        for limit in (most, hard):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                await engine.poll(store, sinks=[se.sinks.open(f"{folder}/out{suffix}", size=9, linger=0.01)])
            except OSError as error:
                print(type(error).__name__, error.errno, flush=True)


trio.run(main)
