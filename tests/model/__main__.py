"""The command line of the model: see the package's docstring."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from tests.model import experiments
from tests.model.story import tell
from tests.model.walk import SCENES, walks


def main() -> int:
    """Runs one search.

    Returns:
        0 if everything is as the rules say, else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.model", description="Search the run protocol.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--quick", action="store_true", help="every rule holds, and is needed (under a minute)")
    what.add_argument("--long", action="store_true", help="larger scenes (7 to 15 minutes, up to 1 GB)")
    what.add_argument("--walk", type=int, metavar="N", help="N random walks through each of the largest scenes")
    what.add_argument("--show", metavar="RULE", help="the shortest counterexample without this rule")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first walk (1)")
    parser.add_argument("--stories", action="store_true", help="with --quick: print every counterexample")
    asked = parser.parse_args()
    if asked.walk:
        good = walk(asked.walk, asked.seed)
    elif asked.show:
        good = experiments.show(asked.show)
    else:
        good = experiments.quick(stories=asked.stories) if asked.quick else experiments.long()
    return 0 if good else 1


def walk(count: int, seed: int) -> bool:
    """Random walks; the first that shows a harm is told. True if there is none."""
    for scene, number, harm, way in walks(count, seed):
        print(f"{scene.name}, seed {number}: {harm}")
        for line in tell(replace(scene, symmetric=False), way):
            print(f"    {line}")
        return False
    print(f"{count} walks from seed {seed} through each of {len(SCENES)} scenes: holds")
    return True


sys.exit(main())
