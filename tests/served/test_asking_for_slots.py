"""While an engine asks for its part of a platform, it runs no more than it has said."""

import trio

import scrapeengine as se
from scrapeengine.model.job import Share
from support.serving import serve_all
from support.world import virtually


class Shared:
    """A store in memory that is shared with others who want all of it, and that takes its time to say so."""

    shared = True

    def __init__(self, store, running):
        self.store = store
        self.running = running
        self.asked = []

    def __getattr__(self, name):
        """Pass all else on."""
        return getattr(self.store, name)

    async def share(self, owner, wishes, lease):  # noqa: ARG002 - as a store has it
        """Grant three slots, and take note of the most tasks that ran meanwhile, beside what was said."""
        said = {name: wish.held for name, wish in wishes.items()}
        most = 0
        for _ in range(10):
            await trio.sleep(0.01)
            most = max(most, len(self.running))
        if not any(wish.keep for wish in wishes.values()):
            self.asked.append((said.get("A", 0), most))
        return {name: Share(slots=3, times=(), closed_until=None, contended=True) for name in wishes}


def test_nothing_starts_beyond_what_was_said():
    """What a smaller share takes away is others' as soon as the store has decided, and so before the answer is here."""
    running = set()

    async def scrape(task):
        running.add(task.event.id)
        await trio.sleep(0.03 * (1 + int(task.event.id) % 5))
        running.discard(task.event.id)

    async def main():
        async with se.open_store("memory:") as store:
            shared = Shared(store, running)
            engine = se.Engine([se.Platform("A", scrape, limit=5)])
            for n in range(100):
                await engine.enqueue(shared, [se.Event(n)], delay=0.037 * n)
            await serve_all(engine, shared, count=100)
            return shared.asked

    asked = virtually(main)
    assert len(asked) > 5
    assert [(held, most) for held, most in asked if most > held] == []
