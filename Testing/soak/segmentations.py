"""Hundreds of segmentations in one process: memory stays flat, and the same scan gives the same liver each time.

``python -m Testing.soak.segmentations --count 500``, a part of ``make soak``. Small synthetic scans of several shapes
and orientations are read from files, segmented by the bundled network, and their labels written, in turn. Memory is
taken after each round through all of them, when what is free has been given back to the system: what it grew by between
the end of the warm-up and the last round is to be less than 20 MB: of 500 segmentations, the images would be 90 MB and
the labels 45 MB if they leaked. Of threads, open files and tensors there must be no more than after the warm-up.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io import files, nrrd
from LiverSegLib.phantom import make_phantom
from Testing.soak.process import Holdings, growth, holdings, leave

WARM_UP_ROUNDS = 2

Work = Callable[[Path, Path], bytes]


@dataclass
class Course:
    """What was seen: the different results of each scan, and what the process held after each round."""

    digests: dict[str, set[str]]
    rounds: list[Holdings] = field(default_factory=list)
    empty: set[str] = field(default_factory=set)

    def failures(self) -> list[str]:
        """What was wrong, a sentence each."""
        found = [f"{name}: {len(seen)} different results" for name, seen in self.digests.items() if len(seen) != 1]
        found += [f"{name}: no liver, so that equal results prove little" for name in sorted(self.empty)]
        return found + list(growth(self.after_warm_up, self.rounds[-1]))

    @property
    def after_warm_up(self) -> Holdings:
        """What the process held when everything had been loaded and allocated once."""
        return self.rounds[WARM_UP_ROUNDS - 1]


def make_scans(folder: Path) -> list[Path]:
    """Files with small scans that take different ways through the library."""
    phantom = make_phantom(shape=(10, 128, 128), spacing=(12.0, 2.75, 2.75)).ct
    hu, affine = phantom.hu[2:8], phantom.affine
    files.write_ct(folder / "axial.nii.gz", CTVolume(hu, affine))
    # The same voxels, stored from left to right in sagittal slices.
    sagittal = affine[:, [2, 1, 0, 3]]
    nrrd.write(folder / "sagittal.nrrd", hu.transpose(2, 1, 0), sagittal, {})
    files.write_ct(folder / "one slice.nii", CTVolume(hu[3:4], affine))
    turn = math.radians(15)
    about_x = np.array(((1, 0, 0), (0, math.cos(turn), -math.sin(turn)), (0, math.sin(turn), math.cos(turn))))
    oblique = affine.copy()
    oblique[:3, :3] = about_x @ affine[:3, :3]
    nrrd.write(folder / "oblique.nrrd", hu[1:5], oblique, {})
    sitk.WriteImage(sitk.ReadImage(folder / "oblique.nrrd"), folder / "oblique.mha")
    (folder / "oblique.nrrd").unlink()
    # Long enough that the network looks for the liver first.
    trunk = make_phantom(shape=(27, 80, 80), spacing=(12.0, 4.4, 4.4)).ct
    files.write_ct(folder / "trunk.nii.gz", trunk)
    return sorted(folder.iterdir())


class Road:
    """From file to file: reads a scan, segments it with one resident network, writes the labels and reads them."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def __call__(self, scan: Path, folder: Path) -> bytes:
        """The labels' bytes."""
        found = self._segmenter.segment(files.read_ct(scan), SegmentOptions(tumour=True))
        files.write_labels(folder / "liver.seg.nrrd", found.labels, found.affine)
        labels, _ = files.read_labels(folder / "liver.seg.nrrd")
        return labels.tobytes()


def soak(
    count: int, work: Work, scans: Sequence[Path], folder: Path, say: Callable[[str], None] = lambda text: None
) -> Course:
    """Do the work on each of the scans in turn, so often in all, rounded up to whole rounds and past the warm-up.

    ``folder`` is for the results.
    """
    course = Course({scan.name: set() for scan in scans})
    rounds = max(math.ceil(count / len(scans)), WARM_UP_ROUNDS + 1)
    for number in range(rounds):
        for scan in scans:
            labels = work(scan, folder)
            course.digests[scan.name].add(hashlib.sha256(labels).hexdigest())
            if not any(labels):
                course.empty.add(scan.name)
        course.rounds.append(holdings())
        say(f"{(number + 1) * len(scans)} of {rounds * len(scans)}: {course.rounds[-1].megabytes:.0f} MB")
    return course


def found_in(course: Course) -> dict[str, Any]:
    """All that was seen, as JSON has it."""
    failures = course.failures()
    return {
        "passed": not failures,
        "failures": failures,
        "segmentations": len(course.rounds) * len(course.digests),
        "after_warm_up": course.after_warm_up.to_dict(),
        "at_the_end": course.rounds[-1].to_dict(),
        "memory_mb_after_each_round": [round(held.megabytes, 1) for held in course.rounds],
        "results": {name: sorted(seen) for name, seen in course.digests.items()},
    }


def main() -> int:
    """Exit code 0 if all was as it should be, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="segmentations (default: 500)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument("--output", type=Path, default=Path("out/soak/segmentations.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        sources, results = Path(temporary, "scans"), Path(temporary, "results")
        sources.mkdir()
        results.mkdir()
        work = Road(Segmenter(device=options.device))
        course = soak(options.count, work, make_scans(sources), results, partial(print, file=sys.stderr, flush=True))
    return leave(found_in(course), f"{options.count} segmentations", options.output)


if __name__ == "__main__":
    sys.exit(main())
