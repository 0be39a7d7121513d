"""What HTTP costs by the engine, beside what it costs by its peers."""
