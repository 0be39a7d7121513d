"""One task's life: what its scraper is handed, how it runs, what its exceptions mean."""
