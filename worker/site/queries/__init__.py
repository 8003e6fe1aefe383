"""The queries that matter, watched: declared in TOML, explained on the site's own database, compared with a baseline.

`declared` reads them. `plan` is what a database says of one: `sqlite` and `mariadb` ask it, without changing anything.
`baseline` keeps a look, `compare` tells what got worse and which index mends it, `note` writes it down for a migration.

Limit: a plan is judged on the data that is there; on an empty site every plan is fine.
"""
