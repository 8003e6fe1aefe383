"""A Django project as Celery's documentation has it: models, what is sent on commit, and results in its database."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "manage.py": """
import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
execute_from_command_line(sys.argv)
""",
    "proj/__init__.py": """
from .celery import app as celery_app

__all__ = ("celery_app",)
""",
    # The documented file, and one line of ours.
    "proj/celery.py": """
import os

from celery import Celery

from celery_anp import guard

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")

app = Celery("proj")
guard(app)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.task(bind=True, ignore_result=True)
def debug_task(self):
    print(f"Request: {{self.request!r}}")
""",
    "proj/settings.py": """
from pathlib import Path

SECRET_KEY = "of a test"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_celery_results", "shop"]
DATABASES = {{"default": {{
    "ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parents[1] / "db.sqlite3",
    "OPTIONS": {{"timeout": 20}},
}}}}
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CELERY_BROKER_URL = "{url}"
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_TASK_TRACK_STARTED = True
CELERY_WORKER_CONCURRENCY = 2
""",
    "shop/__init__.py": "",
    "shop/models.py": """
from django.db import models


class Order(models.Model):
    name = models.CharField(max_length=50)
    shipped = models.IntegerField(default=0)
""",
    "shop/tasks.py": """
from celery import shared_task
from django.db.models import F

from shop.models import Order


@shared_task
def ship(pk):
    Order.objects.filter(pk=pk).update(shipped=F("shipped") + 1)
    return Order.objects.get(pk=pk).name


@shared_task(bind=True, max_retries=2)
def flaky(self, pk):
    if self.request.retries < 1:
        raise self.retry(countdown=0)
    return pk


@shared_task
def refuse():
    raise ValueError("as asked")


@shared_task
def total(numbers):
    return sum(numbers)
""",
}
#: What a view does: an order that is committed, one that is not, and waiting for results.
VIEW = """
import json
from django.db import transaction
from django_celery_results.models import TaskResult
from celery import chord
from shop.models import Order
from shop.tasks import flaky, refuse, ship, total

with transaction.atomic():
    kept = Order.objects.create(name="kept")
    ship.delay_on_commit(kept.pk)
    ship.apply_async_on_commit((kept.pk,), priority=3)
try:
    with transaction.atomic():
        gone = Order.objects.create(name="gone")
        ship.delay_on_commit(gone.pk)
        raise LookupError
except LookupError:
    pass
again = flaky.delay(kept.pk)
wrong = refuse.delay()
summed = chord([flaky.s(1), flaky.s(2)])(total.s())
said = {
    "pk": kept.pk, "again": again.get(timeout=20), "wrong": repr(wrong.get(timeout=20, propagate=False)),
    "summed": summed.get(timeout=20), "ids": {"again": again.id, "wrong": wrong.id, "summed": summed.id},
}
print(json.dumps(said))
"""


def write(folder: Path, url: str) -> None:
    """Write the project.

    Args:
        folder: where.
        url: of the Redis that is its broker.
    """
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.format(url=url), encoding="utf-8")
