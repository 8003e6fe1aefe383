"""A real WordPress, seen from outside: its due events run, its due posts are published, by WordPress' own code.

WordPress promises little here: its lock excludes nobody, exit code 0 and HTTP 200 say nothing, a process that dies
loses its event, and events scheduled at the same time overwrite each other. So nothing in here believes an answer:

    look (SQL) -> write down (ledger, and a row in `anp_event`) -> WordPress' code does it -> look again (SQL)

`anp.php` is what runs inside WordPress: with php beside the site's files (`php`), or as a must-use plugin over signed
HTTP (`plugin`). It claims an event under GET_LOCK after a look at the fence, marks it begun, runs its hook, marks it
done. `serialized`, `cron` and `due` read the cron option; `register` keeps the rows of events; `events` is the run of
all that is due; `lost` settles what an earlier run left; `publishing` makes posts live; `audit` looks the site over.
Limit: PHP's writes are not in our transaction. The fence is checked right before them, and a row that says begun
without an end is the trace of a process that died: its hook may have done part of its work, or all of it.
"""
