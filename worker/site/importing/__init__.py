"""Rows from a file or an address into the site's posts: safe to run again, and to take back.

    location -> formats -> reading (check each row) -> chunks -> upsert
                                                    checkpoint ^ in the same transaction, behind the fence

Every record is looked at before the first one is written. Then a chunk is one transaction: the fence is checked, the
checkpoint moves, the rows are written, what they replaced is recorded, and the pages that are old now are noted. So a
chunk is there with its checkpoint or not at all, and an attempt that follows goes on exactly behind it. `undoing` takes
a run back by what it recorded. `gone` knows the pages of what is not there any more, which `stale` cannot find.
Which pages are old then, the site itself clears (`served`).

Limit: a post that somebody changed after the import is left as it is by a rollback, and counted.
"""
