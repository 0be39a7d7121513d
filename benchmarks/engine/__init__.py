"""What the engine alone costs, beside what its peers cost: scrapers that do nothing but let others run."""
