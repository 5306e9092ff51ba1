"""What ctest runs in Slicer: the sample that needs no network is loaded, segmented and compared, as by a user's script.

``Slicer --testing --no-main-window --python-script segment_phantom.py`` ends with 1 when this raises, else with 0.
"""

from __future__ import annotations

import argparse

from LiverSeg import LiverSegLogic
from LiverSegLib import install, mrml, sample_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--least-dice", type=float, default=0.90, help="fail below this Dice coefficient (0.90)")
    options = parser.parse_args()

    missing = install.missing_packages()
    if missing:
        print(f"SKIPPED: not installed in this Slicer: {', '.join(missing)}")
        return
    scene = mrml.ensure_scene()
    volume_node, reference_node = sample_data.load_phantom()
    segmentation_node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "result")
    report = LiverSegLogic().segment(volume_node, segmentation_node, reference=reference_node)
    print(report.summary())
    if not report.dice >= options.least_dice:
        raise AssertionError(f"The liver of the phantom was found with Dice {report.dice:.3f} only.")


if __name__ == "__main__":
    main()
