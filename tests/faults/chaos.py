"""All faults mixed over a second-by-second schedule and canvases beside it.

`python -m tests.faults.chaos --minutes 10 --seed 7` prints what was expected, what ran, what was lost or doubled, and
how long runs took to go on. Exits with 1 unless nothing was lost, nothing doubled, and no lock had two holders.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.canvases import Canvases
    from tests.faults.scene import Scene

#: Seconds between the ticks of each schedule, and what its runs do.
SCHEDULES: dict[str, tuple[int, str, list[list[object]]]] = {
    "each-second": (1, "allow_all", [["effect", "e"]]),
    "long": (2, "allow_all", [["effect", "a"], ["sleep", 3], ["effect", "b"]]),
    "locked": (2, "buffer_all", [["sleep", 0.2], ["effect", "e"], ["sleep", 0.2]]),
    "stepwise": (3, "buffer_all", [["step", "s"], ["sleep", 0.1], ["effect", "e"]]),
    "retried": (5, "buffer_all", [["fail", "ValueError", 1], ["effect", "e"]]),
    "undone": (7, "buffer_all", [["undo", "u"], ["effect", "u"], ["undo", "v"], ["effect", "v"], ["fail", "KeyError"]]),
    "slow": (10, "buffer_all", [["effect", "a"], ["sleep", 4], ["effect", "b"]]),
}
WORKERS = 3
BEATS = 2
#: Seconds that the last runs may take after the storm.
QUIET = 180


def main() -> int:
    """Run it; returns the exit code."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--minutes", type=float, default=10, help="how long faults happen")
    asked.add_argument("--seed", type=int, default=7, help="of the choice of faults")
    asked.add_argument("--keep", type=Path, help="folder for logs and journal, kept afterwards")
    options = asked.parse_args()
    # Before anything reads the settings; the processes get theirs from the scene.
    os.environ.update(ANP_REDIS_URL="redis://127.0.0.1:1/0", ANP_TASKS="tests.support.probe")
    with tempfile.TemporaryDirectory(prefix="anp-chaos-") as folder:
        return storm(options.keep or Path(folder), options.minutes * 60, options.seed)


def storm(folder: Path, seconds: float, seed: int) -> int:
    """One storm.

    Args:
        folder: for logs and journal.
        seconds: how long faults happen.
        seed: of the choice of faults.

    Returns:
        0 when nothing was lost, doubled or overlapped, else 1.
    """
    from tests.faults.canvases import Canvases
    from tests.faults.scene import Scene, life
    from tests.faults.storm import Storm
    from tests.faults.tally import tally

    folder.mkdir(parents=True, exist_ok=True)
    began = time.time()
    with Scene(folder, hash_seed=seed, keep_rows="1000000", tasks="tests.support.probe") as scene:
        (folder / "schedules.toml").write_text(declared(scene), encoding="utf-8")
        for _ in range(WORKERS):
            scene.stack.worker(concurrency=2, wait=False)
        for _ in range(BEATS):
            scene.stack.beat(wait=False)
        weather = Storm(scene, seed)
        with Canvases(scene) as canvases:
            weather.blow(seconds)
        calm(scene, canvases)
        every = {name: every for name, (every, _, _) in SCHEDULES.items()}
        runs = [scene.ledger.run(run.run_id) for run in scene.ledger.runs(1_000_000)]  # with their undo entries
        logs = [process.said() for process in scene.stack.processes]
        found = tally(every, runs, scene.journal.lines(), weather.strikes, canvases, logs)
    print(f"seed {seed}, {time.time() - began:.0f} s, {len(weather.strikes)} faults:")
    for what, count in sorted(Counter(strike.what for strike in weather.strikes).items()):
        print(f"  {count:>4}  {what}")
    print(f"  {len(weather.by_themselves):>4}  left by themselves and were replaced {weather.by_themselves or ''}")
    print(found)
    wrong = (found.lost + found.doubled + found.overlaps)[:40]
    for line in wrong:
        print("!", line)
    for run in runs:
        if any(run.run_id in line for line in wrong):
            print(life(run))
    return 0 if found.good else 1


def calm(scene: Scene, canvases: Canvases) -> None:
    """After the storm: the ticks of the past are decided, beats end, every run ends, and what follows it has run."""
    from tests.support.eventually import eventually

    now = time.time()
    eventually(lambda: min(decided(scene)) > now - max(SCHEDULES[name][0] for name in SCHEDULES), 60, "the last ticks")
    for process in scene.alive():
        if process.name.startswith("beat"):
            process.stop()
    if not any(process.name.startswith("worker") for process in scene.alive()):
        scene.stack.worker(concurrency=2)

    def all_is_done() -> bool:
        runs = scene.ledger.runs(1_000_000)
        return all(run.final for run in runs) and not list(canvases.missing(runs))

    try:
        eventually(all_is_done, QUIET, "every run to end")
    except AssertionError as error:
        print("!", error)


def decided(scene: Scene) -> list[float]:
    """The last decided tick of each schedule, in epoch seconds."""
    return [float(cursor.partition("|")[0]) / 1000 for cursor in scene.ledger.cursors().values()]


def declared(scene: Scene) -> str:
    """The schedules as TOML."""
    parts = []
    for name, (every, overlap, script) in SCHEDULES.items():
        lock = "" if overlap == "allow_all" else name
        words = repr(script).replace("'", '"')
        parts.append(
            f'[[schedule]]\nname = "{name}"\ntask = "probe"\nevery = "{every}s"\noverlap = "{overlap}"\n'
            f'catchup = "all"\ncatchup_limit = 10000\n'
            f'input = {{ path = "{scene.journal.path}", script = {words}, lock = "{lock}" }}\n'
        )
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
