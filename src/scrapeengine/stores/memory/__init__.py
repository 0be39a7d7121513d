"""The store that lives in memory, and ends with its process."""
