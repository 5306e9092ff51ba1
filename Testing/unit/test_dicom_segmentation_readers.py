"""What programs of others read from our DICOM SEG: the CT's geometry, and each voxel in its place.

``Testing/seg-readers.sh`` installs dciodvfy, dcmqi and pydicom-seg; where one is missing, its tests are skipped. The
way in which both readers place the frames is done here once more, so that it is looked at in any case.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.dicom import measurements, read_files, segmentation
from Testing.dicom_files import LPS_TO_RAS, multi_frame_of, save, slices_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
    pytest.mark.filterwarnings("ignore::UserWarning:highdicom"),
]

INSTALLED = Path(__file__).parents[2] / ".venv-readers" / "bin"
SHAPE = (8, 12, 10)
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[2, 3:8, 2:6] = LABELS[3, 4:6, 3:9] = LABELS[5, 1:3, 2:9] = 1
LABELS[3, 4, 5] = 2

UPRIGHT = np.diag((-0.8, -0.7, 2.5, 1.0))
UPRIGHT[:3, 3] = (101.5, 77.25, -412.5)
OBLIQUE = UPRIGHT.copy()
OBLIQUE[:3, :3] = np.linalg.qr(np.array([[9, 2, -1], [-1, 8, 3], [2, -2, 9]]))[0] @ np.diag((0.8, 0.7, 2.5))
FLIPPED = UPRIGHT @ np.diag((1.0, -1.0, 1.0, 1.0))
WRONG_DISTANCES = {"SliceThickness": "7", "SpacingBetweenSlices": "-4"}

# With pydicom-seg, in an environment of its own.
PYDICOM_SEG = """
import sys, pydicom, pydicom_seg, SimpleITK
result = pydicom_seg.SegmentReader().read(pydicom.dcmread(sys.argv[1]))
SimpleITK.WriteImage(result.segment_image(1), sys.argv[2])
"""


@pytest.fixture(params=["upright", "oblique", "flipped", "wrong distances", "multi-frame"])
def ct_files(request, tmp_path) -> list[Path]:
    """A CT of no interest but for its grid."""
    hu = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    if request.param == "multi-frame":
        return save([multi_frame_of(hu, OBLIQUE, order=[5, 1, 0, 7, 3, 2, 4, 6])], tmp_path / "ct")
    affine = {"oblique": OBLIQUE, "flipped": FLIPPED}.get(request.param, UPRIGHT)
    changes = WRONG_DISTANCES if request.param == "wrong distances" else {}
    return save(slices_of(hu, affine, **changes), tmp_path / "ct")


@pytest.fixture
def seg(ct_files, tmp_path) -> Path:
    """The labels as a SEG for it."""
    path = tmp_path / "seg.dcm"
    segmentation.write_segmentation(path, LABELS, ct_files, segmentation.bundled_card())
    return path


def placed_by_declared_distance(seg: Path) -> sitk.Image:
    """The liver on the grid that orientation, distances and the lowest frame span, as dcmqi and pydicom-seg make it."""
    dataset = pydicom.dcmread(seg)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    along_i, along_j = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)).astype(float)
    normal = np.cross(along_i, along_j)
    frames = dataset.PerFrameFunctionalGroupsSequence
    positions = np.array([frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames], float)
    heights = positions @ normal / float(measures.SpacingBetweenSlices)
    places = np.rint(heights - heights.min()).astype(int)
    liver = np.zeros((places.max() + 1, dataset.Rows, dataset.Columns), np.uint8)
    for frame, place, mask in zip(frames, places, dataset.pixel_array, strict=True):
        if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1:
            liver[place] = mask
    image = sitk.GetImageFromArray(liver)
    image.SetOrigin(positions[heights.argmin()])
    image.SetSpacing([float(mm) for mm in (*measures.PixelSpacing[::-1], measures.SpacingBetweenSlices)])
    image.SetDirection(np.stack([along_i, along_j, normal], axis=1).ravel())
    return image


def placed_by_dcmqi(seg: Path) -> sitk.Image:
    folder = seg.parent / "dcmqi"
    folder.mkdir()
    options = ["--inputDICOM", seg, "--outputDirectory", folder, "--outputType", "nrrd"]
    run(program("segimage2itkimage"), *options)
    # Segments that overlap come in files of their own.
    return sitk.ReadImage(folder / "1.nrrd") > 0


def placed_by_pydicom_seg(seg: Path) -> sitk.Image:
    out = seg.with_suffix(".nrrd")
    run(program("python"), "-c", PYDICOM_SEG, seg, out)
    return sitk.ReadImage(out)


def program(name: str) -> Path:
    found = INSTALLED / name
    if not found.exists():
        pytest.skip(f"{found} is missing: bash Testing/seg-readers.sh")
    return found


def run(*command: str | Path) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


@pytest.mark.parametrize("reader", [placed_by_declared_distance, placed_by_dcmqi, placed_by_pydicom_seg])
def test_others_find_the_liver_on_the_grid_of_the_ct(seg, ct_files, reader):
    image = reader(seg)
    theirs = np.eye(4)
    theirs[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    theirs[:3, 3] = image.GetOrigin()
    on_ours = np.linalg.inv(read_files(ct_files).affine) @ LPS_TO_RAS @ theirs
    liver = sitk.GetArrayFromImage(image)
    lowest = int(np.flatnonzero(LABELS.any(axis=(1, 2)))[0])
    expected = np.eye(4)
    expected[2, 3] = lowest
    assert np.allclose(on_ours, expected, atol=1e-4)
    assert np.array_equal(liver, LABELS[lowest : lowest + len(liver)] > 0)
    assert liver.sum() == (LABELS > 0).sum()


def test_dciodvfy_finds_no_error(seg, ct_files):
    dciodvfy = shutil.which("dciodvfy")
    if not dciodvfy:
        pytest.skip("dciodvfy is missing: bash Testing/seg-readers.sh")
    report = seg.with_name("sr.dcm")
    measurements.write_measurements(report, seg, ct_files, segmentation.bundled_card(), {LIVER: 1.0, TUMOUR: 0.1})
    for path in (seg, report):
        said = subprocess.run([dciodvfy, path], capture_output=True, text=True, timeout=60, check=False)
        assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []
