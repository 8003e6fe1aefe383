"""Processes of the operating system: bound to us, in groups of their own, supervised, seen to be dead."""
