"""One request and its answer: how it is written, what carries it, how it is read, and errors in our own words."""
