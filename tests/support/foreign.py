"""A Celery project of somebody else's, as this repository meets it: it has a `worker.py` and `schedules` of its own."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "proj.py": """
from celery import Celery
from celery_anp import guard

app = Celery("proj", include=["tasks"])
app.config_from_object("celeryconfig")
guard(app)
""",
    "celeryconfig.py": """
broker_url = result_backend = "{url}"
worker_concurrency = 1
beat_schedule = {{
    "greet": {{"task": "tasks.greet", "schedule": 1.0, "args": ("ann",)}},
    "note": {{"task": "tasks.note", "schedule": 2.0}},
}}
""",
    "worker.py": """
def words(name):
    return f"hello {{name}}"
""",
    "schedules/__init__.py": """
OPEN = range(8, 18)
""",
    "tasks.py": """
from celery import Task
from proj import app
from schedules import OPEN
from worker import words

@app.task
def greet(name):
    return words(name)

@app.task
def fail():
    raise ValueError(f"closed, open at {{OPEN.start}}")

@app.task(base=Task)
def note():
    return "noted"
""",
}
#: The third way to name the app.
PYPROJECT = '[tool.anp]\napp = "proj"\n'
#: A schedule in TOML beside those of `beat_schedule`.
SCHEDULE = """
[[schedule]]
name = "nightly"
task = "tasks.greet"
cron = "0 3 * * *"
input = {name = "night"}
owner = "them"
expects = "a greeting"
rollback = "none: says hello only"
"""


def write(folder: Path, url: str) -> Path:
    """Write the project.

    Args:
        folder: where.
        url: of the Redis that is its broker.

    Returns:
        Its folder.
    """
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.lstrip().format(url=url), encoding="utf-8")
    (folder / "night.toml").write_text(SCHEDULE, encoding="utf-8")
    return folder
