"""Every place where we stand inside Celery, kombu or billiard, beside the classes that we derive from.

`private_names` lists each private name that we use, here and in the rooms below, with the test that notices its change.
`configuration` is Celery's own; `worker_step` makes a worker a node; `reading`, `readable` and `inflating` look at what
comes before kombu does; `consumer`, `request` and `unacked` keep what the ledger has to know; `child_pipe`, `forked`
and `shrinking` mend what hurts a pool of processes; `sent_twice` lets a canvas be sent twice.
"""
