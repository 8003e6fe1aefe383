"""Our Flower: never open, on loopback, read only unless asked otherwise.

Flower's state is in memory and built from lossy events: it is a screen, the ledger is the truth.
"""
