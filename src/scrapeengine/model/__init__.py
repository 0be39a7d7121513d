"""Frozen values: what a program hands to the engine, and what it gets back."""
