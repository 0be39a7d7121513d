"""A run over a store: claims, leases, what is written back, rounds, and what engines share."""
