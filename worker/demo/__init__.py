"""A small real site to work on: 2,000 posts about programming, served over HTTP.

`writing` makes the texts, `content` puts them into WordPress' tables, `site` serves them.
"""
