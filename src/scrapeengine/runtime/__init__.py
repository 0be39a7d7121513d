"""The engine's moving parts, on trio."""
