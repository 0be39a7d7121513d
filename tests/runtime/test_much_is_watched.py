"""A run with all that can watch it: its memory does not grow with its tasks."""

import gc
import sys

import pytest
import trio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from prometheus_client import CollectorRegistry, generate_latest

import scrapeengine as se
from support.world import World

WARM = 5600
"""Tasks after which all that is kept once is there, the tasks of a timeline among it."""


class Nowhere(SpanExporter):
    """Takes spans, and keeps none."""

    def export(self, _):
        """Take them."""
        return SpanExportResult.SUCCESS


async def scrape(task):
    """Do next to nothing, wait for a while now and then, or fail."""
    number = int(task.event.id)
    if number % 10 == 0 and task.attempt == 1:
        task.retry(after=0.001)
    if number % 100 == 1:
        task.skip("nothing new")
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("number", [8000, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_the_memory_of_many_tasks_is_flat_with_everything_on(number, autojump_clock):
    """Counting, metrics, traces of a hundredth: no more blocks of memory than a few buckets of latencies."""
    provider = TracerProvider(sampler=TraceIdRatioBased(0.01))
    provider.add_span_processor(SimpleSpanProcessor(Nowhere()))
    metrics = se.observe.Prometheus(CollectorRegistry())
    world = World()
    platforms = [se.Platform(name, scrape, limit=20, retry=se.Retry(attempts=2)) for name in "AB"]
    engine = world.engine(platforms, event_limit=30)
    events = (se.Event(n, platforms=["AB"[n % 2]]) for n in range(number))
    instruments = [se.observe.Recording(), metrics, se.observe.Traces(provider)]
    blocks, seen = [], 0
    async with engine.stream(events, instruments=instruments) as run:
        async for _ in run:
            seen += 1
            if seen in {WARM, number - 100}:
                generate_latest(metrics.registry)
                gc.collect()
                blocks.append(sys.getallocatedblocks())
    assert run.report.outcomes.total == number
    assert blocks[1] - blocks[0] < 1000
