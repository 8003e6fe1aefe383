"""A model of the run protocol, searched for the shortest way to break it.

It covers one lock, a few runs and a few nodes with one child each. Redis scripts are atomic; requests, answers,
messages and processes are not. Each rule of the protocol is a named switch (`rules.py`). With all of them on every
invariant must hold; with one left out, the search must find the harm that this rule prevents.

    python -m tests.model --quick            what `make check` runs
    python -m tests.model --long             larger scenes, for up to a quarter of an hour
    python -m tests.model --walk N --seed S  N random walks through a scene too large to search
    python -m tests.model --show RULE        the shortest counterexample without that rule

What each script needs and does is in README.md, to be compared with the scripts of the ledger.
"""
