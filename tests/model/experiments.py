"""The tables: each scene with every rule, then without each rule that it needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tests.model import planning
from tests.model.long import LONG
from tests.model.moment import forget
from tests.model.rules import RULES
from tests.model.scene import Scene
from tests.model.scenes import EXPERIMENTS, STUCK, Experiment
from tests.model.search import Found, search
from tests.model.story import tell


def quick(*, stories: bool) -> bool:
    """Every rule holds, and is needed.

    Args:
        stories: print the shortest counterexample without each rule.

    Returns:
        True if each scene holds with all rules, and shows the expected harm without each of its rules.
    """
    verdicts = [_with_all(each.scene) & _without_each(each, stories=stories) for each in EXPERIMENTS]
    untried = set(RULES) - {rule for each in EXPERIMENTS for rule in each.without}
    if untried:
        print(f"no scene leaves out: {', '.join(sorted(untried))}")
    return planning.table(stories=stories) and all(verdicts) and not untried


def long() -> bool:
    """The larger scenes with every rule. A search that was cut off counts as one that found nothing."""
    verdicts = [_with_all(scene, seconds=150.0) for scene in LONG]
    return all(verdicts)


def show(rule: str) -> bool:
    """Prints the shortest counterexample without one rule."""
    for each in EXPERIMENTS:
        if rule in each.without:
            return _without(each.scene, rule, each.without[rule], story=True)
    print(f"there is no rule {rule!r}; the rules are: {', '.join(RULES)}")
    return False


def _with_all(scene: Scene, seconds: float = 120.0) -> bool:
    found = search(scene, seconds=seconds, cap=1_500_000)
    cut = "" if found.whole else " (cut off)"
    verdict = "holds" if not found.harms else "BROKEN: " + ", ".join(found.harms)
    print(f"{scene.name:36} {len(found.moments):8} moments {found.seconds:6.1f} s{cut}  {verdict}", flush=True)
    for harm in found.harms:
        _story(scene, harm)
    forget()
    return not found.harms


def _without_each(each: Experiment, *, stories: bool) -> bool:
    verdicts = [_without(each.scene, rule, harm, story=stories) for rule, harm in each.without.items()]
    return all(verdicts)


def _without(scene: Scene, rule: str, harm: str, *, story: bool) -> bool:
    found = search(scene.without(rule), until=harm)
    seen = harm in found.harms
    verdict = harm if seen else f"NOT SEEN: {harm} (but {', '.join(found.harms) or 'nothing'})"
    print(f"    without {rule:22} {len(found.moments):8} moments  {verdict}", flush=True)
    if story and seen:
        print(f"        the rule: {RULES[rule]}")
        _story(scene.without(rule), harm)
    return seen


def _story(scene: Scene, harm: str) -> None:
    plain = replace(scene, symmetric=False)
    found = search(plain, until=harm)
    if harm in found.harms:
        _print_lines(tell(plain, found.way(found.harms[harm])))
        _print_lines(_nowhere(found, harm))


def _nowhere(found: Found, harm: str) -> list[str]:
    return ["(from here the end is out of reach)"] if harm == STUCK and found.whole else []


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"        {line}")
