"""In the worker's child: which node it belongs to, what it says it runs, and how an attempt ends."""
