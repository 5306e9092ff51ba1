"""A stroke in the panel: from the mouse button to slices and surface, and how long the window stands still.

``python -m Testing.benchmark.panel_clicks``: on the bench, with a synthetic CT of 512×512×300 voxels whose liver is
shown in 3D; clicks on its rim, Add and Remove in turn. By default a stand-in answers at once in the place of the
network, so that what is measured is what the panel adds; ``--network`` runs the bundled one. The first click, for which
the network is loaded, is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from Testing.bench import slicer_application
from Testing.benchmark.panel import Heart, large_ct
from Testing.widget.actions import draw, open_section, take
from Testing.widget.refiner_stand_in import RefinerStandIn
from Testing.widget.stand_in import StandIn

SLICES, SURFACE = "slices", "surface"
BEFORE, IN_IT = "longest standstill before the slices", "longest standstill afterwards"


class Known(StandIn):
    """In the place of the network that finds the liver: labels that are known."""

    def __init__(self, labels: np.ndarray) -> None:
        super().__init__()
        self._labels = labels

    def segment(self, ct: Any, options: Any = None, progress: Any = None, cancel: Any = None) -> Any:
        found = super().segment(ct, options, progress, cancel)
        found.labels = self._labels
        return found


def click(application: Any, panel: Any, volume_node: Any, voxel: tuple[int, ...], button: str) -> dict[str, float]:
    """Seconds from the click to each of what it changes."""
    take(application, panel, button)
    application.wait_until(lambda: not panel._correct.busy)
    before, heart, started = panel.ui.correctionsLabel.text, Heart(), time.perf_counter()
    draw(application, volume_node, voxel)
    moments = {}

    def changed() -> bool:
        if SLICES not in moments and not panel._correct.running:
            moments[SLICES] = time.perf_counter()
        return not panel._correct.busy

    application.wait_until(changed, 600)
    moments[SURFACE] = time.perf_counter()
    heart.stop()
    if panel.ui.correctionsLabel.text == before:
        raise SystemExit(panel.ui.correctNoteLabel.text or "The click changed nothing.")
    slices = moments.get(SLICES, moments[SURFACE])
    return {
        SLICES: slices - started,
        SURFACE: moments[SURFACE] - started,
        BEFORE: heart.longest_block(started, slices),
        IN_IT: heart.longest_block(slices, moments[SURFACE]),
    }


def main() -> None:
    """Click, print the table, and leave it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=50)
    parser.add_argument("--network", action="store_true", help="run the network")
    parser.add_argument("--output", type=Path, default=Path("out/bench/panel_clicks.json"))
    options = parser.parse_args()
    from LiverSegLib import mrml

    ct, labels = large_ct()
    liver = labels > 0
    rim = np.argwhere(liver & ~ndimage.binary_erosion(liver))
    voxels = np.random.default_rng(0).permutation(rim)[: options.clicks + 1]
    with slicer_application() as application:
        module = application.load_module()
        module._bundledSegmenter = Known(labels)
        if not options.network:
            module._bundledRefiner = RefinerStandIn()
        panel, volume_node = application.open_panel(), mrml.volume_from_ct(ct)
        application.process_events()
        application.click(panel.ui.segmentButton)
        application.wait_until(lambda: not panel._runner.running, 600)
        open_section(application, panel.ui.correctSection)
        clicks = [
            click(application, panel, volume_node, tuple(voxel), ("addButton", "removeButton")[n % 2])
            for n, voxel in enumerate(voxels)
        ][1:]
    print(f"{len(clicks)} clicks, {os.cpu_count()} cores, {'the network' if options.network else 'a stand-in'}")
    for name in clicks[0]:
        seconds = sorted(one[name] for one in clicks)
        print(f"{name:<40} median {seconds[len(seconds) // 2]:.3f} s, worst {seconds[-1]:.3f} s")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(clicks, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
