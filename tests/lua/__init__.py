"""What the ledger's scripts say, read from their text: names without a declaration, keys, fields of rows, headers.

`make check` looks through every script as the store puts it together (`python -m tests.lua`): Redis refuses a write to
a global only when it comes to it, and a read of one that nobody has set is nil there. Order to read in: `tree` (what a
text consists of), `words`, `parser` (text to tree; each name finds its declaration), `values` (what an expression can
be), `scripts` (the files, put together), `used` (fields and keys), `python` (the same of the code), `header`,
`findings`.

Limit: it reads the Lua that is written here, without long strings, long comments and goto.
"""
