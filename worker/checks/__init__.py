"""The site's part of the checklist."""
