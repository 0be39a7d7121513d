"""HTTP: the client of a task, and the wire below it."""
