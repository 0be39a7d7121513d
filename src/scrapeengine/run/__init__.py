"""One run put together: where events come from, what becomes of their outcomes, how it ends."""
