"""The HTTP client of a task: attempts, redirects, streams."""
