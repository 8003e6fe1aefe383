"""The site that is served: posts in SQL, pages over HTTP, pages kept in an object cache.

`tables` and `database` speak WordPress' layout through SQLAlchemy Core, on SQLite and MariaDB alike.
`posts` reads, `publishing` writes: once per run, refused for a late attempt by `fence`, with a note in `stale`
of the pages that are old now. `pages` knows which paths and cache tags show a post. `object_cache` keeps pages,
`clearing` takes them out, `kept` puts them back, `audit` looks them over. `warm` asks for pages; `sitemap` is
written and `builds` makes it the live one. `importing` brings rows in, `queries` are watched. Nothing in here
knows Celery.
"""
