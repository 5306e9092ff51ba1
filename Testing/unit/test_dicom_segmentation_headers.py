"""What a CT may say and a DICOM SEG or report may not: names survive, distances are right, the rest is left out."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from LiverSegLib.data.structures import LIVER
from LiverSegLib.dicom import measurements, segmentation
from LiverSegLib.errors import OutputError
from Testing.dicom_files import multi_frame_of, save, slices_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
    pytest.mark.filterwarnings("ignore::UserWarning:highdicom"),
]

SHAPE, DISTANCE = (5, 12, 10), 2.5
AFFINE = np.diag((-0.8, -0.7, DISTANCE, 1.0))
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[1:4, 3:8, 2:6] = 1


@pytest.fixture
def written(tmp_path):
    """SEG and report for a CT with these values, which are bytes as they stand in its files, or None."""

    def written(**values: bytes | None) -> tuple[pydicom.Dataset, pydicom.Dataset]:
        return both(files_with(values, tmp_path / "ct"), tmp_path)

    return written


def files_with(values: dict[str, bytes | None], folder: Path) -> list[Path]:
    """A CT whose files say this; pydicom would not write all of it."""
    images = slices_of(np.zeros(SHAPE, np.int16), AFFINE)
    for image in images:
        for keyword in values:
            image.pop(tag_for_keyword(keyword), None)
    files = save(images, folder)
    for file in files:
        start, first, rest = file.read_bytes().partition(b"\x08\x00\x16\x00UI")
        file.write_bytes(
            start + b"".join(encoded(*pair) for pair in values.items() if pair[1] is not None) + first + rest
        )
    return files


def encoded(keyword: str, value: bytes) -> bytes:
    tag = tag_for_keyword(keyword)
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, dictionary_VR(tag).encode(), len(value)) + value


def both(files: list[Path], folder: Path) -> tuple[pydicom.Dataset, pydicom.Dataset]:
    """SEG and report of the labels, once they have been tried."""
    card = segmentation.bundled_card()
    measurements.check_can_write(files)
    segmentation.write_segmentation(folder / "seg.dcm", LABELS, files, card)
    measurements.write_measurements(folder / "sr.dcm", folder / "seg.dcm", files, card, {LIVER: 1.0})
    return pydicom.dcmread(folder / "seg.dcm"), pydicom.dcmread(folder / "sr.dcm")


JAPAN = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
KOREA = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"
CHINA = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"


@pytest.mark.parametrize(
    ("sets", "name", "expected"),
    [
        (b"\\ISO 2022 IR 87", JAPAN, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (b"ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田"),
        (b"ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        (b"\\ISO 2022 IR 149", KOREA, "Hong^Gildong=洪^吉洞"),
        (b"\\ISO 2022 IR 58", CHINA, "Zhang^XiaoDong=张^小东"),
        (b"\\ISO 2022 IR 58", CHINA.replace(b"\x1b$)A", b""), "Zhang^XiaoDong=张^小东"),
        (b"GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
        (b"ISO_IR 192", "Müller^Zoë".encode(), "Müller^Zoë"),
        (b"ISO 2022 IR 100", "Müller^Zoë".encode("latin_1"), "Müller^Zoë"),
        (b"ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
        # Broken, unknown or no sets.
        (b"KLINGON", JAPAN, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (None, KOREA, "Hong^Gildong=洪^吉洞"),
        (None, "山田^太郎".encode(), "山田^太郎"),
        (None, "Müller^Zoë".encode("latin_1"), "Müller^Zoë"),
        (b"ISO_IR 192", "Müller".encode("latin_1"), "M\N{REPLACEMENT CHARACTER}ller"),
    ],
)
def test_a_name_is_that_of_the_ct_whatever_its_character_set(written, sets, name, expected):
    for dataset in written(SpecificCharacterSet=sets, PatientName=name):
        assert str(dataset.PatientName).rstrip("^=") == expected


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PatientAge", b"abc", None),
        ("PatientAge", b"055Y", "055Y"),
        ("PatientWeight", b"80,5", None),
        ("PatientWeight", b"80.5", 80.5),
        ("PatientSize", b"1.234567890123456789", None),
        ("PatientBirthDate", b"anonymous", ""),
        ("StudyDate", b"unknown", ""),
        ("StudyDate", b"20200230", ""),
        ("StudyDate", b"20200101-20200202", ""),
        ("StudyDate", b"2020.01.02", "20200102"),
        ("StudyTime", b"noon", ""),
        ("StudyTime", b"10:11:12", "101112"),
        ("PatientSex", b"female", ""),
        ("PatientSex", b"M\\F", ""),
        ("AccessionNumber", b"x" * 17, ""),
        ("StudyDescription", b"two\nlines", "twolines"),
        ("PatientComments", b"two\r\nlines", "two\r\nlines"),
        # A patient with a shortened identity is another one.
        ("PatientID", b"x" * 65, "x" * 65),
        ("PatientName", b"x" * 65, "x" * 65),
        ("PatientName", b"Doe\\Jane", "Doe/Jane"),
    ],
)
def test_what_is_no_valid_value_is_left_out_or_empty(written, keyword, value, expected):
    for dataset in written(**{keyword: value}):
        assert dataset.get(keyword) == expected


@pytest.mark.parametrize(
    ("number", "expected"), [(b"A", 1000), (b"", 1000), (None, 1000), (b"-7", 1000), (b"12", 1012)]
)
def test_a_series_has_a_number_even_where_that_of_the_ct_is_none(written, number, expected):
    assert [dataset.SeriesNumber for dataset in written(SeriesNumber=number)] == [expected, expected + 1]


@pytest.mark.parametrize("uid", [b"1.02.3", b"1.2.abc", b"1." * 40 + b"1"])
def test_a_uid_of_wrong_form_stays_as_it_is_since_it_is_that_of_the_ct(written, uid):
    for dataset in written(StudyInstanceUID=uid):
        assert dataset.StudyInstanceUID == uid.decode()


@pytest.mark.parametrize(
    ("thickness", "spacing"),
    [(None, None), (b"", b""), (b"0", b"0"), (b"-5", b"-2.5"), (b"2.5", b"5")],
)
def test_distances_are_those_of_the_stack(tmp_path, thickness, spacing):
    files = files_with({"SliceThickness": thickness, "SpacingBetweenSlices": spacing}, tmp_path / "ct")
    segmentation.write_segmentation(tmp_path / "seg.dcm", LABELS, files, segmentation.bundled_card())
    assert distances_in(tmp_path / "seg.dcm") == (DISTANCE, DISTANCE)


def test_distances_of_a_multi_frame_image_are_those_of_its_places(tmp_path):
    image = multi_frame_of(np.zeros(SHAPE, np.int16), AFFINE)
    measures = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SliceThickness, measures.SpacingBetweenSlices = 0, -5
    both(save([image], tmp_path / "ct"), tmp_path)
    assert distances_in(tmp_path / "seg.dcm") == (DISTANCE, DISTANCE)


def distances_in(path: Path) -> tuple[float, float]:
    (measures,) = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    return measures.SliceThickness, measures.SpacingBetweenSlices


@pytest.mark.parametrize("count", [2, SHAPE[0]])
def test_slices_with_one_uid_are_refused_before_the_work(tmp_path, count):
    images = slices_of(np.zeros(SHAPE, np.int16), AFFINE)
    for image in images[:count]:
        image.SOPInstanceUID = "1.2.3"
    files = save(images, tmp_path / "ct")
    for check in (segmentation.check_can_write, measurements.check_can_write):
        with pytest.raises(OutputError, match=r"have the same SOPInstanceUID.*choose \.nii\.gz"):
            check(files)


@pytest.mark.parametrize(
    ("kind", "check"),
    [("seg.Segmentation", segmentation.check_can_write), ("sr.EnhancedSR", measurements.check_can_write)],
)
def test_what_highdicom_does_not_take_is_refused_before_the_work(tmp_path, monkeypatch, kind, check):
    def refuse(*_, **__):
        raise ValueError("Doe^Jane is too long")

    monkeypatch.setattr(f"highdicom.{kind}.__init__", refuse)
    with pytest.raises(OutputError, match=r"headers of the series series_1 .*choose \.nii\.gz") as refusal:
        check(files_with({}, tmp_path / "Doe"), "series_1")
    assert "Doe" not in str(refusal.value)
