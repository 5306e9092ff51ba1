"""What the panel adds to the network, stage by stage, and how long the window stands still: ``make bench-panel``.

A click on "Segment Liver" on the bench (Testing/bench), with a synthetic CT of 512×512×300 voxels; the surface is made
and the slices are framed, as for a user. By default a stand-in answers in the place of the network, at once and as the
network should, so that a run takes seconds; all that comes before and after it is the real thing. ``--network`` runs
the network too. Of several runs the best counts: others on the same computer only ever add time. The first run of a
process also loads PyTorch and the weights, and is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PySide6 import QtCore

from Testing.bench import slicer_application

NODE, AFTERWARDS = "click to segmentation node, network apart", "surface, views and table"
STAGES = ("copy", "preprocess", "postprocess", "write", "hand-over")
LATER_STAGES = ("surface", "framing", "table", "rest")


class Heart:
    """Beats every few milliseconds in the event loop, and remembers where it missed."""

    def __init__(self, every_ms: int = 2) -> None:
        self.beats: list[float] = []
        self._timer = QtCore.QTimer()
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(lambda: self.beats.append(time.perf_counter()))
        self._timer.start(every_ms)

    def stop(self) -> None:
        self._timer.stop()

    def longest_block(self, start: float, end: float) -> float:
        """The longest time between two beats, in s, of what lies between two moments."""
        moments = np.clip([start, *self.beats, end], start, end)
        return float(np.diff(moments).max())


class Clock:
    """Adds up the time spent in functions, by the name of a stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.first: dict[str, float] = {}

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            self.first.setdefault(stage, started)
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started

        return run


def large_ct():
    """A synthetic CT of 512×512×300 voxels and its labels; each voxel of a smaller phantom eight times."""
    from LiverSegLib.data.volume import CTVolume
    from LiverSegLib.phantom import make_phantom

    small = make_phantom(seed=0, shape=(150, 256, 256), spacing=(2.5, 1.5, 1.5))
    hu, labels = (array.repeat(2, 0).repeat(2, 1).repeat(2, 2) for array in (small.ct.hu, small.labels))
    affine = small.ct.affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    return CTVolume(hu, affine, "CT"), labels


class KnownAnswer:
    """In the place of the network: log-odds of labels that are known, for one batch after the other."""

    def __init__(self, labels: np.ndarray, shape: tuple[int, int]) -> None:
        import torch

        sizes = zip(labels.shape[1:], shape, strict=True)
        rows, columns = (np.linspace(0, size - 1, wanted).round().astype(int) for size, wanted in sizes)
        self._liver = torch.from_numpy(labels[:, rows][:, :, columns] > 0).float()
        self._next = 0

    def __call__(self, images):
        import torch

        first, self._next = self._next, (self._next + len(images)) % len(self._liver)
        logits = torch.zeros(len(images), 3, *images.shape[2:])
        rows, columns = self._liver.shape[1:]
        logits[:, 1, :rows, :columns] = 12 * self._liver[first : first + len(images)] - 6
        logits[:, 2] = -12
        return logits


def stand_in_factory(ct, labels) -> Callable[[str], Any]:
    """Makes the real segmenter, with the known answer in the place of its network."""

    def make(device: str) -> Any:
        from LiverSegLib.inference.segmenter import Segmenter

        # The known answer is for one slice after the other, each as a whole.
        segmenter = Segmenter(device="cpu", everywhere=True)
        pixel = segmenter.model.card.spacing_mm
        shape = tuple(max(1, round(n * mm / pixel)) for n, mm in zip(ct.hu.shape[1:], ct.spacing[1:], strict=True))
        segmenter.predictor.network = KnownAnswer(labels, shape)
        return segmenter

    return make


@contextmanager
def timed_stages(panel: Any, clock: Clock) -> Iterator[None]:
    """Let the clock see what happens on the main thread between the click and the end."""
    from LiverSegLib import mrml
    from LiverSegLib.inference import worker

    places = [
        (worker.Worker, "start", "worker starts"),
        (type(panel.logic._sceneSegmenter()), "_write", "write"),
        (mrml, "set_surface", "surface"),
        (mrml, "frame_slices", "framing"),
        (mrml, "centre_3d_views", "framing"),
        (mrml, "write_report_table", "table"),
        (type(panel), "_onSegmented", "after the node"),
    ]
    originals = [getattr(place, name) for place, name, _ in places]
    for (place, name, stage), original in zip(places, originals, strict=True):
        setattr(place, name, clock.timed(stage, original))
    try:
        yield
    finally:
        for (place, name, _), original in zip(places, originals, strict=True):
            setattr(place, name, original)


def run_once(application: Any, panel: Any) -> dict[str, float]:
    """One click on a volume without result; seconds of each stage, and the longest standstills."""
    from LiverSegLib import mrml

    panel._parameterNode.outputSegmentation = None
    application.process_events()
    clock, heart = Clock(), Heart()
    with timed_stages(panel, clock):
        clicked = time.perf_counter()
        application.click(panel.ui.segmentButton)
        application.wait_until(lambda: not panel._runner.running, 3600)
    heart.stop()
    node = panel._parameterNode.outputSegmentation
    if node is None:
        raise SystemExit(panel.ui.statusLabel.text)
    seconds = mrml.stored_report(node)["seconds"]
    found = {stage: seconds[stage] for stage in ("preprocess", "postprocess", "network")}
    found["copy"] = clock.first["worker starts"] - clicked
    found["write"] = clock.seconds["write"]
    node_there = clock.first["write"] + clock.seconds["write"]
    found["click to segmentation node"] = node_there - clicked
    found[NODE] = node_there - clicked - found["network"]
    found["hand-over"] = found[NODE] - sum(found[stage] for stage in STAGES[:-1])
    found[AFTERWARDS] = clock.seconds["after the node"]
    found |= {stage: clock.seconds.get(stage, 0.0) for stage in LATER_STAGES[:-1]}
    found["rest"] = found[AFTERWARDS] - sum(found[stage] for stage in LATER_STAGES[:-1])
    end = clock.first["after the node"] + clock.seconds["after the node"]
    found["longest standstill before the final update"] = heart.longest_block(clicked, clock.first["write"])
    found["longest standstill in the final update"] = heart.longest_block(clock.first["write"], end)
    application.scene.RemoveNode(node)
    return found


def table(runs: list[dict[str, float]]) -> str:
    """Best, median and worst of each line over the runs, in s."""
    lines = [f"{'s':<46} {'best':>7} {'median':>7} {'worst':>7}"]
    groups = ((NODE, STAGES), (AFTERWARDS, LATER_STAGES))
    names = [name for total, stages in groups for name in (total, *(f"  {stage}" for stage in stages))]
    names += ["network", *(name for name in runs[0] if name.startswith("longest"))]
    for name in names:
        values = sorted(run[name.strip()] for run in runs)
        lines.append(f"{name:<46} {values[0]:7.3f} {values[len(values) // 2]:7.3f} {values[-1]:7.3f}")
    return "\n".join(lines)


def main() -> None:
    """Run, print the table, and leave it as text and as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--network", action="store_true", help="run the network too")
    parser.add_argument("--output", type=Path, default=Path("out/bench/panel.json"))
    options = parser.parse_args()
    from LiverSegLib import mrml

    ct, labels = large_ct()
    shape = "×".join(str(n) for n in ct.hu.shape[::-1])
    network = "the network" if options.network else "a stand-in for the network"
    print(f"The panel: {shape} voxels, {network}, {os.cpu_count()} cores, {options.runs} runs after one to warm up")
    with slicer_application() as application:
        module = application.load_module()
        if not options.network:
            module._bundledSegmenter = stand_in_factory(ct, labels)
        panel = application.open_panel()
        mrml.volume_from_ct(ct)
        application.process_events()
        run_once(application, panel)
        runs = [run_once(application, panel) for _ in range(options.runs)]
        if application.errors or application.dialogs:
            raise SystemExit(f"{application.errors} {application.dialogs}")
    text = table(runs)
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    found = {"voxels": shape, "network": options.network, "cores": os.cpu_count(), "runs": runs}
    options.output.write_text(json.dumps(found, indent=2) + "\n")
    options.output.with_suffix(".txt").write_text(text + "\n")


if __name__ == "__main__":
    main()
