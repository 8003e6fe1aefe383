"""Lets the remote control command `pool_restart` do what it says."""

from worker.app import app

app.conf.worker_pool_restarts = True
