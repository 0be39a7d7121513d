"""Three processes serve a store into files, and are killed at random; each is followed by another one.

    killed.py FOLDER SUFFIX KILLS SEED

In the end one works until all is done. Processes are forked before there is any thread.
"""

import os
import random
import signal
import sys
import time

import trio

import scrapeengine as se


async def scrape(task):
    """Take a moment."""
    await trio.sleep(0.01)
    return {"number": int(task.event.id)}


async def enqueue(folder, count):
    """Put jobs there."""
    async with se.open_store(f"sqlite:{folder}/jobs.db", durability="normal") as store:
        await se.Engine([se.Platform("a", scrape)]).enqueue(store, map(se.Event, range(count)))


async def serve(folder, suffix, until):
    """Work."""
    async with se.open_store(f"sqlite:{folder}/jobs.db", durability="normal") as store:
        sink = se.sinks.open(f"{folder}/out{suffix}", size=20, linger=0.02, rotate_bytes=20_000)
        async with se.Engine([se.Platform("a", scrape, limit=6)]).serve(store, sinks=[sink], until=until) as run:
            await run.wait()


def fork(function, *arguments):
    """Run an async function in a child; return its id."""
    number = os.fork()
    if not number:
        trio.run(function, *arguments)
        os._exit(0)
    return number


def wait(number):
    """Wait for a child that is to end by itself."""
    _, status = os.waitpid(number, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def main(folder, suffix, kills, seed):
    """Kill so many."""
    draw, kills = random.Random(int(seed)), int(kills)
    wait(fork(enqueue, folder, 40 * kills + 200))
    living = [fork(serve, folder, suffix, None) for _ in range(3)]
    for _ in range(kills):
        time.sleep(draw.uniform(0.05, 0.4))
        number = living.pop(draw.randrange(3))
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
        living.append(fork(serve, folder, suffix, None))
    for number in living:
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
    wait(fork(serve, folder, suffix, "empty"))


main(*sys.argv[1:])
