"""The production checklist: what `anp check` looks at. Each point is tried, not read from a configuration."""
