"""Hundreds of random actions in the panel and in the scene, on the bench with Slicer's own slice and 3D views.

``python -m Testing.soak.random_actions --seeds 20 --count 300``, a part of ``make soak``: each seed is a process of its
own, so that a crash ends only that. After each action nothing may have been raised or logged that no dialog told, and
what others put into the scene must be as they left it. In the end a CT must be segmented as ever.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util
from PySide6 import QtWidgets

from LiverSegLib import messages, mrml
from LiverSegLib.data.places import Place
from Testing.bench import Application, slicer_application
from Testing.bench.widgets import ctkCollapsibleButton, ctkSliderWidget, qMRMLNodeComboBox
from Testing.mrml.snapshot import segments
from Testing.mrml.transforms import add_transform
from Testing.soak.process import leave
from Testing.widget.actions import add_reference, liver_in, nodes, segment, take, wait_for_correction, world
from Testing.widget.refiner_stand_in import RefinerStandIn
from Testing.widget.stand_in import StandIn, small_ct

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 600
# Marks what a person put into the scene; a segmentation loses it once results go into it.
OTHERS = "Testing.Others"
UNEXPECTED = messages.UNEXPECTED_ERROR.partition("{")[0]
# slicer-core now and then cannot merge the subject hierarchy of a file with its own, and makes it anew: not ours.
ERROR = re.compile(r"ERR\|(?!.*(?:ResolveUnresolvedItems|ResolveSubjectHierarchy))|Traceback")
SAVED_TRANSFORMS = ("none", "linear", "nested", "scaling", "grid")
PLACES = (Place(5, (10.0, -20.0, 270.0), 3.0, "right", "upper", True),)
KINDS = ("ScalarVolume", "Segmentation", "Table", "Transform", "Sequence", "SequenceBrowser")


class Log:
    """What was logged as an error since it was last read: by Python, and by VTK on the error stream."""

    def __init__(self, stream: Any) -> None:
        self._records: list[str] = []
        self._stream = stream
        handler = logging.Handler(logging.ERROR)
        handler.emit = lambda record: self._records.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger().addHandler(handler)

    def read(self, told: set[str]) -> Iterator[str]:
        """Errors that no dialog told."""
        yield from (record for record in self._records if record not in told)
        self._records.clear()
        lines = [line.partition("ERR|")[2] or line for line in self._stream.read().splitlines() if ERROR.search(line)]
        yield from list(dict.fromkeys(lines))[:3]


class Person:
    """Does one thing after the other, without a plan; ``wrong`` tells what must not come of it."""

    def __init__(
        self,
        application: Application,
        panel: Any,
        stand_in: StandIn,
        refiner: RefinerStandIn,
        log: Log,
        seed: int,
        folder: Path,
    ) -> None:
        self.application, self.panel, self.log = application, panel, log
        self.stand_in, self.refiner = stand_in, refiner
        self.random, self.folder, self.count = random.Random(seed), folder, 0
        self.left: dict[str, Any] = {}  # what others put into the scene, as they left it
        self.actions: dict[Callable[[], None], float] = {
            self.click: 8,
            self.choose_a_node: 5,
            self.choose_a_text: 1,
            self.slide: 1,
            self.wait: 4,
            self.hold: 1,
            self.draw: 2,
            self.take_a_tool: 2,
            self.draw_in_a_view: 4,
            self.press_a_key: 1,
            self.choose_a_stroke: 1,
            self.sign: 0.5,
            self.load_a_ct: 3,
            self.load_a_reference: 2,
            self.load_a_sequence: 0.5,
            self.go_to_a_frame: 1,
            self.transform: 1,
            self.edit: 1,
            self.delete: 2,
            self.delete_several: 0.5,
            self.delete_in_a_selector: 0.5,
            self.create_in_a_selector: 0.5,
            self.leave_or_enter: 2,
            self.close_the_scene: 0.5,
            self.save_and_load: 0.3,
            self.add_saved_data: 0.2,
        }

    def act(self) -> tuple[str, list[str]]:
        """Do something; what it was, and what was wrong with what came of it."""
        [action] = self.random.choices(list(self.actions), list(self.actions.values()))
        self.count += 1
        print(f"{self.count} {action.__name__}", end=" ", flush=True)
        action()
        self.application.process_events()
        wrong = list(self.wrong())
        print(*wrong, sep="; ", flush=True)
        return action.__name__, wrong

    def wrong(self) -> Iterator[str]:
        told = {dialog.text for dialog in self.application.dialogs}
        yield from (text for text in told if text.startswith(UNEXPECTED))
        yield from self.log.read(told)
        yield from dict.fromkeys(f"raised {error!r}" for error in self.application.errors)
        self.application.dialogs.clear()
        self.application.errors.clear()
        now = {node.GetID(): state(node) for node in self.others()}
        yield from (f"{key} changed" for key in self.left if key in now and now[key] != self.left[key])
        yield from (f"{key} is gone" for key in self.left.keys() - now.keys())
        self.left = now

    # ---- in the panel

    def click(self) -> None:
        kinds = (QtWidgets.QPushButton, QtWidgets.QCheckBox, ctkCollapsibleButton)
        if button := self.usable(*kinds):
            print(button.name, end=" ", flush=True)
            self.give_away_the_output()
            self.application.click(button)

    def choose_a_node(self) -> None:
        if selector := self.usable(qMRMLNodeComboBox):
            offered = [selector.nodeFromIndex(n) for n in range(selector.nodeCount())]
            choice = self.random.choice([None, *offered])
            print(selector.name, choice and choice.GetID(), end=" ", flush=True)
            self.application.choose(selector, choice)

    def choose_a_text(self) -> None:
        selector = self.usable(QtWidgets.QComboBox)
        if selector and selector.count:
            self.application.choose(selector, selector.itemText(self.random.randrange(selector.count)))

    def slide(self) -> None:
        if slider := self.usable(ctkSliderWidget):
            slider.setValue(self.random.uniform(0, 1))

    def take_a_tool(self) -> None:
        ui = self.panel.ui
        if ui.correctSection.visible and ui.addButton.enabled:
            take(self.application, self.panel, self.random.choice(("addButton", "removeButton")))

    def draw_in_a_view(self) -> None:
        """A stroke where there is a result, mostly with a tool in the hand; now and then the button stays down."""
        if self.random.random() < 0.8:
            self.take_a_tool()
        view, volumes = self.random.choice(("Red", "Green", "Yellow")), nodes("ScalarVolume")
        if not volumes:
            return
        parameters = self.panel._parameterNode
        own = mrml.volume_to_correct(parameters.outputSegmentation) if parameters else None
        volume = own or self.random.choice(volumes)
        shape, count = mrml.shape_of(volume), self.random.choice((1, 3))
        points = [world(volume, *(self.random.uniform(-1, n) for n in shape)) for _ in range(count)]
        self.give_away_the_output()
        self.application.app.layoutManager().sliceWidget(view).mrmlSliceNode().JumpSliceByCentering(*points[0])
        self.application.begin_line(view, *points, shift=self.random.random() < 0.1)
        if self.random.random() < 0.9:
            self.application.end_line(view)

    def press_a_key(self) -> None:
        if self.application._parent.isEntered:
            self.give_away_the_output()
            self.application.press(self.random.choice(("A", "R", "Esc")))

    def choose_a_stroke(self) -> None:
        strokes = self.panel.ui.strokesList
        if strokes.visible and strokes.count:
            strokes.setCurrentRow(self.random.randrange(strokes.count))

    def sign(self) -> None:
        edit = self.panel.ui.checkedByEdit
        if edit.visible:
            self.give_away_the_output()
            edit.setText(self.random.choice(("", "Dr R")))
            edit.editingFinished.emit()

    def create_in_a_selector(self) -> None:
        selector = self.usable(qMRMLNodeComboBox)
        if selector and selector.addEnabled:
            selector.addNode(self.random.choice(selector.nodeTypes))

    def delete_in_a_selector(self) -> None:
        selector = self.usable(qMRMLNodeComboBox)
        if selector and selector.removeEnabled and selector.currentNode():
            self.left.pop(selector.currentNodeID, None)
            selector.removeCurrentNode()

    def wait(self) -> None:
        self.stand_in.release()
        self.refiner.release()
        wait_for_correction(self.application, self.panel, 120)

    def hold(self) -> None:
        self.random.choice((self.stand_in, self.refiner)).hold()

    def usable(self, *kinds: type) -> Any:
        """One of the widgets that a person could use now; none while another module is open."""
        found = [widget for kind in kinds for widget in self.application._parent.findChildren(kind)]
        seen = [widget for widget in found if widget.visible and widget.enabled]
        # A combo box within a node selector is used through that.
        whole = [widget for widget in seen if not isinstance(widget.parent(), qMRMLNodeComboBox)]
        return self.random.choice(whole) if whole else None

    def give_away_the_output(self) -> None:
        """A run may write into what is chosen as the output."""
        parameters = self.panel._parameterNode
        output = parameters.outputSegmentation if parameters else None
        if output is not None and output.GetAttribute(OTHERS):
            output.RemoveAttribute(OTHERS)
            self.left.pop(output.GetID(), None)

    # ---- in the scene

    def load_a_ct(self) -> None:
        ct = small_ct(f"CT {self.count}", self.random.randrange(3))[0]
        ct.affine[:3, 3] += self.random.choice((0, 0, 900))
        self.own(mrml.volume_from_ct(ct))

    def load_a_reference(self) -> None:
        labels = self.random.choice((0, 1)) * small_ct(seed=self.random.randrange(3))[1]
        if self.random.random() < 0.5:
            self.own(mrml.labelmap_from_array(labels, small_ct()[0].affine, f"Manual {self.count}"))
        else:
            names = self.random.choice((["Liver"], ["Spleen"], ["Liver", "Spleen"], ["A", "B"]))
            self.own(add_reference(self.application.scene, **dict.fromkeys(names, labels)))

    def load_a_sequence(self) -> None:
        scene = self.application.scene
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "CT sequence")
        for seed in range(2):
            frame = mrml.volume_from_ct(small_ct(f"Frame {seed}", seed)[0])
            sequence.SetDataNodeAtValue(frame, str(seed))
            scene.RemoveNode(frame)
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)

    def go_to_a_frame(self) -> None:
        if browsers := nodes("SequenceBrowser"):
            browser = self.random.choice(browsers)
            browser.SetSelectedItemNumber(self.random.randrange(max(1, browser.GetNumberOfItems())))
            slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)

    def transform(self) -> None:
        if volumes := nodes("ScalarVolume"):
            volume = self.random.choice(volumes)
            transform = add_transform(self.application.scene, self.random.choice(SAVED_TRANSFORMS))
            self.left.pop(volume.GetID(), None)
            volume.SetAndObserveTransformNodeID(transform)

    def edit(self) -> None:
        """As with the Segment Editor: one voxel more in some segment."""
        volumes, drawn = nodes("ScalarVolume"), nodes("Segmentation")
        filled = [node for node in drawn if node.GetSegmentation().GetNumberOfSegments()]
        if volumes and filled:
            node = self.random.choice(filled)
            self.left.pop(node.GetID(), None)
            [segment_id] = self.random.choices(node.GetSegmentation().GetSegmentIDs())
            labels = np.zeros(mrml.shape_of(self.random.choice(volumes)), np.uint8)
            labels[1:3, 1:3, 1:3] = 1
            slicer.util.updateSegmentBinaryLabelmapFromArray(labels, node, segment_id, self.random.choice(volumes))

    def delete(self, most: int = 1) -> None:
        present = [node for kind in KINDS for node in nodes(kind)]
        for node in self.random.sample(present, min(most, len(present))):
            if node.GetScene() is not None:
                self.left.pop(node.GetID(), None)
                self.application.scene.RemoveNode(node)

    def delete_several(self) -> None:
        scene = self.application.scene
        scene.StartState(scene.BatchProcessState)
        self.delete(most=4)
        scene.EndState(scene.BatchProcessState)

    def leave_or_enter(self) -> None:
        if self.application._parent.isEntered:
            slicer.util.selectModule("Data")
        else:
            self.application.open_panel()

    def close_the_scene(self) -> None:
        self.left.clear()
        self.application.close_scene()

    def save_and_load(self) -> None:
        path = self.application.save_scene(self.folder / f"{self.count}.mrb")
        self.left.clear()
        self.application.load_scene(path)

    def add_saved_data(self) -> None:
        path = self.application.save_scene(self.folder / f"{self.count}.mrb")
        self.left.clear()  # Slicer puts the segments that it saves into shared layers
        self.application.scene.ReadFromMRB(str(path), False)

    def draw(self) -> None:
        self.application.views.three_d()
        self.application.views.slice(self.random.choice(("Red", "Green", "Yellow")))

    def own(self, node: slicer.vtkMRMLNode) -> None:
        node.SetAttribute(OTHERS, "1")

    def others(self) -> list[slicer.vtkMRMLNode]:
        return [node for kind in KINDS for node in nodes(kind) if node.GetAttribute(OTHERS)]

    def wrong_in_the_end(self) -> Iterator[str]:
        """After all that, a CT in an empty scene is segmented as ever."""
        self.application.open_panel()
        self.wait()
        self.close_the_scene()
        ct = mrml.volume_from_ct(small_ct()[0])
        output = segment(self.application, self.panel, 120)
        if output is None or not np.array_equal(liver_in(output, ct), small_ct()[1] > 0):
            yield "the last CT has another liver"
        self.draw()
        yield from self.wrong()


def state(node: slicer.vtkMRMLNode) -> tuple[Any, ...]:
    """What must stay of a node: its content, and how it is shown."""
    display = node.GetDisplayNode() if node.IsA("vtkMRMLDisplayableNode") else None
    shown = () if display is None else (display.GetVisibility(), display.GetVisibility3D(), display.GetOpacity())
    if node.IsA("vtkMRMLSegmentationNode"):
        return segments(node), *shown, *((display.GetVisibility2DFill(),) if display else ())
    return mrml.affine_of(node).tobytes(), mrml.voxels_of(node.GetImageData()).tobytes(), *shown


def play(seed: int, count: int, log: Log) -> list[str]:
    """So many actions; everything that was wrong."""
    stand_in, refiner, failures = StandIn(), RefinerStandIn(), []
    stand_in.places = PLACES
    with tempfile.TemporaryDirectory() as folder, slicer_application(views=True) as application:
        module = application.load_module()
        module._bundledSegmenter, module._bundledRefiner = stand_in, refiner
        person = Person(application, application.open_panel(), stand_in, refiner, log, seed, Path(folder))
        for number in range(1, count + 1):
            name, wrong = person.act()
            failures += [f"action {number}, {name}: {text}" for text in wrong]
        failures += [f"in the end: {text}" for text in person.wrong_in_the_end()]
        stand_in.release()
        refiner.release()
    return failures


@contextmanager
def errors_in_a_file() -> Iterator[Any]:
    """What this process, VTK included, writes as errors goes into a file from here on; yields it, to be read."""
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        os.dup2(file.fileno(), 2)
        with open(file.name, encoding="utf-8", errors="replace") as reader:
            yield reader


def run(seed: int, count: int) -> list[str]:
    """Play in a process of its own; everything that was wrong, a crash included."""
    command = [sys.executable, "-m", "Testing.soak.random_actions", "--seed", str(seed), "--count", str(count)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "LiverSeg"), str(ROOT)])}
    return failures_of(subprocess.run(command, capture_output=True, text=True, check=False, env=environment))


def failures_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a process that played tells; where it crashed, its last actions."""
    lines = done.stdout.splitlines()
    failures = [line.removeprefix("FAILED: ") for line in lines if line.startswith("FAILED: ")]
    if done.returncode not in (0, 1) or (done.returncode and not failures):
        failures.append(f"crashed (exit code {done.returncode}) after: {' / '.join(lines[-5:])}")
    return failures


def main() -> int:
    """Exit code 0 if all was as it should be, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="processes, with the seeds 0, 1, ... (default: 20)")
    parser.add_argument("--seed", type=int, help="play this one, in this process")
    parser.add_argument("--count", type=int, default=300, help="actions of each (default: 300)")
    parser.add_argument("--output", type=Path, default=Path("out/soak/random_actions.json"))
    options = parser.parse_args()
    if options.seed is not None:
        faulthandler.dump_traceback_later(LONGEST_SECONDS, file=sys.stdout, exit=True)
        sys.stderr = sys.stdout
        with errors_in_a_file() as reader:
            failures = play(options.seed, options.count, Log(reader))
        print(*(f"FAILED: {failure}" for failure in failures), sep="\n")
        return int(bool(failures))
    found: dict[int, list[str]] = {}
    for seed in range(options.seeds):
        found[seed] = run(seed, options.count)
        print(f"seed {seed}:", *(found[seed] or ["well"]), sep="\n  ", flush=True)
    failures = [f"seed {seed}: {failure}" for seed, seen in found.items() for failure in seen]
    words = f"{len(found)} times {options.count} random actions"
    return leave({"passed": not failures, "failures": failures}, words, options.output)


if __name__ == "__main__":
    sys.exit(main())
