"""The scheduler, which decides who runs now; its lanes, limits, gates and event slots, and what wakes them."""
