"""A crontab as schedules of `system.command`."""
