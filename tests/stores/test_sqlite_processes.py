"""Several processes on one file, one of them killed."""

import subprocess
import sys

import trio

from scrapeengine.stores import open_store
from stores.harness import job, opened


def test_processes_share_a_file(path):
    """Four processes claim and complete what one has enqueued: each job is done once."""
    program = f"""
import trio
from scrapeengine.model.job import Completion, JobStatus
from scrapeengine.stores import open_store

async def main():
    async with open_store("sqlite:{path}") as store:
        count = 0
        while claimed := await store.claim("p", 5, "me", 60):
            given = [Completion(ticket=each.ticket, status=JobStatus.DONE) for each in claimed]
            count += sum(reply.value == "ok" for reply in await store.complete(given))
        print(count)

trio.run(main)
"""

    async def fill():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job(str(number)) for number in range(400)])

    trio.run(fill)
    command = [sys.executable, "-c", program]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    counts = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert sum(counts) == 400
    assert trio.run(opened, path)["p"].done == 400


def test_a_killed_process_loses_nothing_that_was_said(path):
    """What a call has returned is there after a SIGKILL in the middle of others."""
    program = f"""
import itertools, trio
from scrapeengine.model.job import NewJob
from scrapeengine.stores import open_store

async def main():
    async with open_store("sqlite:{path}") as store:
        for number in itertools.count():
            await store.enqueue([NewJob("p", str(number), "x"), NewJob("p", f"{{number}}-too", "x")])
            print(number, flush=True)

trio.run(main)
"""
    worker = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    for _ in range(50):
        worker.stdout.readline()
    worker.kill()
    rest = worker.stdout.read().split()
    worker.wait()
    worker.stdout.close()
    said = int(rest[-1]) if rest else 49

    async def look():
        async with open_store(f"sqlite:{path}") as store:
            found = (await store.stats())["p"].ready
            assert found % 2 == 0
            assert said + 1 <= found // 2 <= said + 2
            assert await store.position("p", f"{said}-too") == 2 * said + 1

    trio.run(look)
