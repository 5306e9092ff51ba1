"""What crashed Slicer, on the bench with Slicer's own displayable managers. Run as a process: a crash ends only that.

Prints the name of each scene that was played to its end.
"""

from __future__ import annotations

import numpy as np

from LiverSegLib import mrml
from Testing.bench import Application, slicer_application
from Testing.widget.actions import (
    add_reference,
    compare,
    correct,
    draw,
    nodes,
    segment,
    start,
    wait_for_correction,
    wait_for_the_end,
)
from Testing.widget.refiner_stand_in import RefinerStandIn
from Testing.widget.stand_in import StandIn, small_ct


class Stage:
    """A CT with its result, a reference, and their disagreement in the views."""

    def __init__(self, application: Application, panel, stand_in: StandIn, refiner: RefinerStandIn) -> None:
        self.application, self.ui, self.panel = application, panel.ui, panel
        self.stand_in, self.refiner = stand_in, refiner
        self.ct = mrml.volume_from_ct(small_ct()[0])
        self.output = segment(application, panel)
        segment(application, panel)  # into the same node, so that there is something to undo
        self.reference = add_reference(application.scene, Liver=np.roll(small_ct()[1], 1, axis=1))
        compare(application, panel, self.reference)
        if not panel._parameterNode.showDisagreement:
            application.click(self.ui.disagreementCheckBox)
        assert len(nodes("Segmentation")) == 3
        self.draw()

    def draw(self) -> None:
        self.application.process_events()
        self.application.views.three_d()
        self.application.views.slice("Red")


def correct_and_undo(stage: Stage) -> None:
    correct(stage.application, stage.panel, stage.ct, (5, 13, 17))
    draw(stage.application, stage.ct, (4, 6, 8), (4, 8, 8), hold=True)
    stage.draw()
    stage.application.end_line("Red")
    wait_for_correction(stage.application, stage.panel)
    stage.draw()
    stage.application.click(stage.ui.undoStrokeButton)
    wait_for_correction(stage.application, stage.panel)


def remove_the_result_in_the_middle_of_a_click(stage: Stage) -> None:
    correct(stage.application, stage.panel, stage.ct, (5, 13, 17))
    stage.draw()
    stage.refiner.hold()
    draw(stage.application, stage.ct, (4, 6, 8))
    stage.draw()
    stage.application.scene.RemoveNode(stage.output)
    stage.refiner.release()


def untick(stage: Stage) -> None:
    stage.application.click(stage.ui.disagreementCheckBox)


def no_reference(stage: Stage) -> None:
    compare(stage.application, stage.panel, None)


def undo(stage: Stage) -> None:
    stage.application.click(stage.ui.undoButton)
    wait_for_the_end(stage.application, stage.panel)


def remove_the_ct(stage: Stage) -> None:
    stage.application.scene.RemoveNode(stage.ct)


def remove_the_ct_in_the_middle_of_a_run(stage: Stage) -> None:
    start(stage.application, stage.panel, stage.stand_in)
    stage.application.scene.RemoveNode(stage.ct)
    stage.stand_in.release()


def remove_the_result(stage: Stage) -> None:
    stage.application.scene.RemoveNode(stage.output)


def remove_all_at_once(stage: Stage) -> None:
    scene = stage.application.scene
    scene.StartState(scene.BatchProcessState)
    for node in (stage.output, stage.ct, stage.reference):
        scene.RemoveNode(node)
    scene.EndState(scene.BatchProcessState)


def close_the_scene(stage: Stage) -> None:
    stage.application.close_scene()


SCENES = (
    correct_and_undo,
    remove_the_result_in_the_middle_of_a_click,
    untick,
    no_reference,
    undo,
    remove_the_ct,
    remove_the_ct_in_the_middle_of_a_run,
    remove_the_result,
    remove_all_at_once,
    close_the_scene,
)


def main() -> None:
    """Play all scenes, each in an empty MRML scene."""
    stand_in, refiner = StandIn(), RefinerStandIn()
    with slicer_application(views=True) as application:
        module = application.load_module()
        module._bundledSegmenter, module._bundledRefiner = stand_in, refiner
        panel = application.open_panel()
        for scene in SCENES:
            stage = Stage(application, panel, stand_in, refiner)
            scene(stage)
            stage.draw()
            assert application.errors == [] and application.dialogs == []
            application.close_scene()
            print(scene.__name__, flush=True)


if __name__ == "__main__":
    main()
