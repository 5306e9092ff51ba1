"""DICOM series in a folder tree: told apart by UID, and whatever is no CT slice left out with its reason."""

from __future__ import annotations

import os

import numpy as np
import pytest
from pydicom.uid import (
    EncapsulatedPDFStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    generate_uid,
)

from LiverSegLib.dicom import find_series, read_series
from LiverSegLib.errors import InputError
from LiverSegLib.io.files import read_ct
from Testing.dicom_files import save, slices_of

# pytest takes back the filter that LiverSegLib.dicom sets.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

AFFINE = np.diag((-1.0, -1.0, 2.0, 1.0))


def make(count: int = 3, seed: int = 0, **changes: object) -> list:
    """A small series of noise."""
    hu = np.random.default_rng(seed).integers(-1000, 1000, (count, 4, 5)).astype(np.int16)
    return slices_of(hu, AFFINE, **changes)


NO_SLICES = {
    "localizer": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    "secondary capture": {"SOPClassUID": SecondaryCaptureImageStorage},
    "secondary capture of the scanner": {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
    "modality PT": {"Modality": "PT", "SOPClassUID": PositronEmissionTomographyImageStorage},
    "modality SEG": {"Modality": "SEG", "SOPClassUID": SegmentationStorage},
    "no image of a CT or MR series": {"SOPClassUID": EncapsulatedPDFStorage},
}


def test_series_in_a_tree_are_found_by_their_uid_wherever_their_files_lie(tmp_path):
    first, second = make(4, SeriesDescription="first"), make(3, SeriesDescription="second", PatientID="another")
    save(first[:2], tmp_path / "a")
    save(first[2:] + second[:1], tmp_path / "b" / "deeper", "mixed")
    save(second[1:], tmp_path)
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / "ct.nii.gz").write_bytes(b"\x1f\x8b")

    search = find_series(tmp_path)

    assert search.left_out == ()
    assert [series.uid for series in search.series] == sorted({first[0].SeriesInstanceUID, second[0].SeriesInstanceUID})
    found = {series.uid: series for series in search.series}
    one, other = found[first[0].SeriesInstanceUID], found[second[0].SeriesInstanceUID]
    assert (len(one.files), one.description, one.modality) == (4, "first", "CT")
    assert list(one.files) == sorted(one.files)
    assert one.frame_of_reference_uid == first[0].FrameOfReferenceUID
    assert one.patient_key != other.patient_key
    assert not any(name in one.patient_key for name in ("Doe", "4711"))


@pytest.mark.parametrize("kind", NO_SLICES)
def test_what_is_no_slice_of_a_ct_is_left_out_with_its_reason(tmp_path, kind):
    series = make()
    save(series, tmp_path)
    extra = save(make(1, **NO_SLICES[kind]), tmp_path, "extra")
    search = find_series(tmp_path)
    assert [found.uid for found in search.series] == [series[0].SeriesInstanceUID]
    assert [path for path, _ in search.left_out] == extra
    assert kind.startswith(search.left_out[0][1])
    assert read_series(tmp_path).hu.shape == (3, 4, 5)


def test_a_localizer_in_the_series_itself_is_left_out(tmp_path):
    series = make()
    localizer = make(1, **NO_SLICES["localizer"], SeriesInstanceUID=series[0].SeriesInstanceUID)
    localizer[0].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    save(series, tmp_path)
    save(localizer, tmp_path, "localizer")
    ct = read_series(tmp_path)
    assert ct.hu.shape == (3, 4, 5)
    (warning,) = ct.warnings
    assert "left out (1 × localizer)" in warning and "export the series again" in warning


def test_a_series_tells_of_files_with_its_uid_that_were_left_out_and_of_no_others(tmp_path):
    first, second = make(), make()
    lost = make(2, **NO_SLICES["secondary capture"], SeriesInstanceUID=first[0].SeriesInstanceUID)
    save(first, tmp_path / "first")
    save(lost, tmp_path / "elsewhere")
    save(second + make(1, **NO_SLICES["localizer"]), tmp_path / "second")
    warnings = {series.uid: series.warnings for series in find_series(tmp_path).series}
    assert warnings[second[0].SeriesInstanceUID] == ()
    (warning,) = warnings[first[0].SeriesInstanceUID]
    assert "2 × secondary capture" in warning


def test_a_series_tells_of_unreadable_files_in_its_folders_which_may_be_slices_of_it(tmp_path):
    first, second = make(), make()
    save(first, tmp_path / "first")
    save(second, tmp_path / "second")
    (tmp_path / "first" / "last.dcm").write_bytes(b"")
    warnings = {series.uid: series.warnings for series in find_series(tmp_path).series}
    assert warnings[second[0].SeriesInstanceUID] == ()
    (warning,) = warnings[first[0].SeriesInstanceUID]
    assert "cannot be read (1)" in warning


BROKEN = {
    "empty": lambda path, content: path.write_bytes(b""),
    "zeros": lambda path, content: path.write_bytes(bytes(len(content))),
    "cut in its header": lambda path, content: path.write_bytes(content[:600]),
    "cut before its pixels": lambda path, content: path.write_bytes(content[: content.index(b"\xe0\x7f\x10\0")]),
    "a page that says not found": lambda path, content: path.write_text("<html>404</html>"),
    "a link that leads nowhere": lambda path, content: path.symlink_to("/nowhere/at/all"),
    "partly downloaded": lambda path, content: path.with_name(f"{path.name}.part").write_bytes(content[:20]),
}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        *((kind, "IM_{:04}") for kind in BROKEN),
        *(("zeros", names) for names in ("{:04}.img", "1.2.840.{}", "ab{:03}f-c0", "slice_{}.dcm")),
    ],
)
def test_broken_slices_at_the_end_of_a_series_are_noticed_whatever_they_are_called(tmp_path, kind, names):
    contents = [path.read_bytes() for path in sorted(save(make(11), tmp_path / "whole"))]
    folder = tmp_path / "broken"
    folder.mkdir()
    for number, content in enumerate(contents[:9], start=1):
        (folder / names.format(number)).write_bytes(content)
    for number, content in enumerate(contents[9:], start=10):
        BROKEN[kind](folder / names.format(number), content)
    with pytest.raises(InputError, match=r"10.* \(and 1 more\) cannot be read"):
        read_series(folder)
    (series,) = find_series(folder).series
    assert "cannot be read (2)" in " ".join(series.warnings)


def test_what_lies_beside_slices_and_is_called_otherwise_is_no_slice(tmp_path):
    for number, path in enumerate(sorted(save(make(), tmp_path))):
        path.rename(tmp_path / f"IM_{number:04}")
    for name in ("README", "md5sums", "IM_0001.json", "report_2020.pdf", "CT_1", "checks.txt"):
        (tmp_path / name).write_text("no slice")
    assert find_series(tmp_path).left_out == ()
    ct = read_series(tmp_path)
    assert (ct.hu.shape, ct.warnings) == ((3, 4, 5), ())


def test_a_slice_without_series_among_others_is_told(tmp_path):
    images = make()
    images[2].SeriesInstanceUID = ""
    save(images, tmp_path)
    (warning,) = read_series(tmp_path).warnings
    assert "1 × no SeriesInstanceUID" in warning


def test_a_slice_stands_for_its_series(tmp_path):
    files = save(make(3), tmp_path, "first")
    others = save(make(4), tmp_path, "second")
    (tmp_path / "third.dcm").write_bytes(b"")
    assert read_series(files[1]).hu.shape == (3, 4, 5)
    ct = read_ct(others[0])
    assert (ct.hu.shape, ct.name) == ((4, 4, 5), tmp_path.name)
    assert "cannot be read (1)" in " ".join(ct.warnings)
    with pytest.raises(InputError, match=r"third\.dcm cannot be read"):
        read_ct(tmp_path / "third.dcm")


@pytest.mark.parametrize("kind", NO_SLICES)
def test_a_file_that_is_no_slice_of_a_ct_is_refused_with_its_reason(tmp_path, kind):
    (path,) = save(make(1, **NO_SLICES[kind]), tmp_path)
    with pytest.raises(InputError, match=r"no slice of a CT or MR \(.*give .* the folder"):
        read_ct(path)


def test_a_slice_of_another_orientation_in_the_series_is_refused(tmp_path):
    series = make()
    scout = make(1, SeriesInstanceUID=series[0].SeriesInstanceUID)
    scout[0].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    save(series + scout, tmp_path)
    with pytest.raises(InputError, match="differ in size, pixel spacing, direction"):
        read_series(tmp_path)


def test_a_folder_with_localizers_only_says_so(tmp_path):
    save(make(2, **NO_SLICES["localizer"]), tmp_path)
    with pytest.raises(InputError, match=r"no slices of a CT or MR \(2 × localizer"):
        read_series(tmp_path)


def test_several_series_of_one_patient_are_listed(tmp_path):
    save(make(3, SeriesDescription="arterial"), tmp_path, "a")
    save(make(1, SeriesDescription="portal"), tmp_path, "b")
    with pytest.raises(InputError, match=r"2 series \(.*arterial, CT, 3 files") as refusal:
        read_series(tmp_path)
    assert "portal, CT, 1 file" in str(refusal.value)
    assert "patients" not in str(refusal.value)


def test_a_folder_of_many_series_is_told_in_a_short_sentence(tmp_path):
    images = [image for _ in range(20) for image in make(1, SeriesDescription="x" * 64)]
    save(images, tmp_path)
    with pytest.raises(InputError, match=r"20 series \(.* \(and 17 more\)") as refusal:
        read_series(tmp_path)
    assert len(str(refusal.value).replace(str(tmp_path), "")) < 400


def test_series_of_two_patients_are_listed_without_their_names(tmp_path):
    save(make(SeriesDescription="arterial"), tmp_path, "a")
    save(make(SeriesDescription="portal", PatientName="Roe^Richard", PatientID="0815"), tmp_path, "b")
    with pytest.raises(InputError, match=r"2 series of 2 patients .*(arterial.*portal|portal.*arterial)") as refusal:
        read_series(tmp_path)
    assert not any(name in str(refusal.value) for name in ("Doe", "Roe", "4711", "0815"))


@pytest.mark.parametrize("content", [b"", b"\0" * 128 + b"DICM" + b"\xff" * 40, b"no DICOM at all" * 20])
def test_a_file_that_claims_to_be_dicom_but_cannot_be_read_is_named(tmp_path, content):
    save(make(), tmp_path)
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(content)
    search = find_series(tmp_path)
    assert [(path, "cannot be read" in reason) for path, reason in search.left_out] == [(broken, True)]
    assert len(search.series[0].files) == 3
    with pytest.raises(InputError, match=r"broken\.dcm"):
        read_series(tmp_path)


def test_a_directory_of_a_medium_is_no_slice(tmp_path):
    from pydicom.fileset import FileSet

    FileSet().write(tmp_path)
    assert (tmp_path / "DICOMDIR").exists()
    save(make(), tmp_path)
    assert [reason for _, reason in find_series(tmp_path).left_out] == ["no image of a CT or MR series"]
    with pytest.raises(InputError, match=r"give .* the folder that holds the slices"):
        read_ct(tmp_path / "DICOMDIR")
    assert read_series(tmp_path).hu.shape == (3, 4, 5)


def test_companion_files_of_macos_are_passed_over(tmp_path):
    save(make(), tmp_path)
    (tmp_path / "._slice_001.dcm").write_bytes(b"\0\5\x16\7")
    assert find_series(tmp_path).left_out == ()
    assert read_series(tmp_path).hu.shape == (3, 4, 5)


def test_another_modality_is_read_when_forced_but_no_segmentation(tmp_path):
    save(make(**NO_SLICES["modality PT"]), tmp_path)
    save(make(1, **NO_SLICES["modality SEG"], SeriesInstanceUID=generate_uid()), tmp_path, "seg")
    with pytest.raises(InputError, match="modality PT"):
        read_series(tmp_path)
    assert read_series(tmp_path, force=True).hu.shape == (3, 4, 5)


@pytest.mark.parametrize("read", [find_series, read_series])
def test_a_folder_that_is_not_there_is_refused(tmp_path, read):
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_tree_holds_up_nothing(tmp_path):
    save(make(), tmp_path)
    os.mkfifo(tmp_path / "pipe.dcm")
    assert len(find_series(tmp_path).series) == 1
