"""Who runs now: the scheduler, its lanes, limits, gates and event slots, and what wakes them."""
