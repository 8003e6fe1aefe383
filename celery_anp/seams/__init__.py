"""Every place where we stand inside Celery, kombu or billiard."""
