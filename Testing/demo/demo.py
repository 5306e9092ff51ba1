"""The demo: a CT goes through the MRML logic as in Slicer; result, report and two pictures are left in a folder.

``make demo`` runs it. Without a CT of your own it draws a synthetic one whose liver is known exactly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from LiverSeg import LiverSegLogic
from LiverSegLib import mrml, phantom
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled, LiverSegError, OutputError
from LiverSegLib.evaluation import picture
from LiverSegLib.io import files
from LiverSegLib.io.terminal import tell, tell_error
from Testing.demo.views import Views


@dataclass(frozen=True)
class Sample:
    """A CT and, where it is known, its liver: uint8 labels and their own affine."""

    ct: CTVolume
    reference: tuple[np.ndarray, np.ndarray] | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code: 0 done, 2 bad input, 130 stopped, as the command `liverseg` does."""
    options = parsed(arguments)
    try:
        run(load(options.ct, options.reference), output_folder(options.output), options.device)
    except LiverSegError as error:
        tell_error(f"demo: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        tell_error(f"demo: {Cancelled()}")
        return Cancelled.exit_code
    return 0


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("out/demo"), help="folder for the results (out/demo)")
    parser.add_argument("--ct", type=Path, help=".nii, .nii.gz, .nrrd, .mha or a folder with one DICOM series")
    parser.add_argument("--reference", type=Path, help="labelmap to compare with: 1 liver, 2 tumour")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (auto)")
    options = parser.parse_args(arguments)
    if options.reference and not options.ct:
        parser.error("--reference belongs to a CT of yours: give --ct as well")
    return options


def load(ct: Path | None, reference: Path | None) -> Sample:
    if ct is None:
        sample = phantom.make_phantom()
        return Sample(sample.ct, (sample.labels, sample.ct.affine))
    return Sample(files.read_ct(ct), files.read_labels(reference) if reference else None)


def output_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {path} cannot be made ({error.strerror}); choose another --output.") from error
    return path


def run(sample: Sample, output: Path, device: str) -> None:
    """Load the sample into a scene, segment it there, and write all that there is to see."""
    scene = mrml.ensure_scene()
    volume_node = mrml.volume_from_ct(sample.ct)
    mrml.save_node(volume_node, output / "ct.nii.gz")
    reference_node = sample.reference and mrml.labelmap_from_array(*sample.reference, "reference")
    segmentation_node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "liver")

    report = LiverSegLogic().segment(
        volume_node, segmentation_node, reference=reference_node, device=device, progress=show_progress
    )

    mrml.save_node(segmentation_node, output / "liver.seg.nrrd")
    report = replace(report, input=str(output / "ct.nii.gz"), output=str(output / "liver.seg.nrrd"))
    report.write_json(output / "report.json")
    draw_overlay(sample.ct, volume_node, segmentation_node, reference_node, output / "overlay.png")
    draw_3d(volume_node, segmentation_node, output / "view3d.png")
    written = ", ".join(sorted(path.name for path in output.iterdir() if path.is_file()))
    tell(*report.summary().split("\n"), f"In {output}: {written}")


def draw_overlay(ct: CTVolume, volume_node, segmentation_node, reference_node, path: Path) -> None:
    labels = mrml.segmentation_to_labels(segmentation_node, volume_node)
    reference = mrml.reference_to_labels(reference_node, volume_node)[0] if reference_node else None
    picture.write_png(path, picture.overlay(ct, labels, reference))


def draw_3d(volume_node, segmentation_node, path: Path) -> None:
    """The one picture that not every computer can draw; where it cannot, none of an earlier run stays behind."""
    path.unlink(missing_ok=True)
    try:
        picture.write_png(path, captioned(view_3d(volume_node, segmentation_node), volume_node.GetName()))
    except OutputError as error:
        tell(str(error))


def view_3d(volume_node, segmentation_node) -> np.ndarray:
    """The liver before the coronal slice, as Slicer's 3D view shows it; OutputError where nothing can render."""
    views = Views(volume_node.GetScene(), size=(900, 700))
    try:
        views.show(volume_node)
        mrml.set_surface(segmentation_node, True, smoothing=0.5)
        mrml.frame_slices(segmentation_node)
        views.slice_node("Green").SetSliceVisible(True)
        views.view_node.SetBoxVisible(False)
        views.view_node.SetAxisLabelsVisible(False)
        views.view_node.SetOrientationMarkerType(views.view_node.OrientationMarkerTypeCube)
        return views.three_d(azimuth=-25.0, elevation=8.0, zoom=1.35)
    finally:
        views.close()


def captioned(drawn: np.ndarray, text: str) -> np.ndarray:
    """A picture that names the CT, so that nobody takes a synthetic one for a patient."""
    image = Image.fromarray(drawn)
    ImageDraw.Draw(image).text((12, image.height - 12), text, "white", ImageFont.load_default(18), anchor="ls")
    return np.asarray(image)


def show_progress(share: float, stage: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{stage:<24} {share:4.0%}", end="\n" if share >= 1 else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
