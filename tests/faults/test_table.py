"""Each step of a run times each fault: every run ends, effects are as promised, and it goes on in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults.faults import Fault
from tests.faults.scene import NO_TICKS, Scene
from tests.faults.steps import SECOND, Step
from tests.faults.table import MEANINGLESS, NOISE, SMOKE, bound, cells
from tests.faults.verdict import wrong


def parameters() -> Iterator[object]:
    for step, fault in cells():
        marks = [pytest.mark.faults]
        if SMOKE[step.name] == fault.name:
            marks += [pytest.mark.smoke, pytest.mark.long]
        if (step.name, fault.name) in MEANINGLESS:
            marks.append(pytest.mark.skip(reason=f"meaningless: {MEANINGLESS[step.name, fault.name]}"))
        yield pytest.param(step, fault, marks=marks, id=f"{step}: {fault}")


@pytest.mark.parametrize(("step", "fault"), list(parameters()))
def test_a_run_survives(step: Step, fault: Fault, scene: Scene, record_property: Callable[[str, object], None]) -> None:
    if fault.beat:
        scene.stack.beat(schedules=NO_TICKS)
    scene.two_workers()
    step.reach(scene)

    fault.strike(scene, step)
    step.go_on(scene)
    scene.journal.open(SECOND)

    allowed = bound(step, fault) + NOISE
    took = scene.goes_on(2 * allowed)
    record_property("seconds until it went on", round(took, 2))
    ended = [scene.stack.ends(run_id, 30).state for run_id in scene.watched]
    assert ended == [step.ends] * len(ended)
    scene.works_on()
    assert wrong(scene.runs(), scene.journal.lines(), late=fault.late, ended=scene.ended()) == []
    assert took <= allowed, f"it took {took:.1f} s to go on, allowed are {bound(step, fault):g} and {NOISE:g} for noise"
