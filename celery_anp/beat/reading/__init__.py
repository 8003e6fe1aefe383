"""Where schedules are read from: TOML files, and an app's `beat_schedule`."""
