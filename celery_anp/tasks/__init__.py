"""The engine's own tasks."""
