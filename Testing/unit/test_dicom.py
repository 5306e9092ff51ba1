"""DICOM: a folder with one CT series is a volume in HU; anything else is refused with the way out."""

from __future__ import annotations

import locale
from collections.abc import Iterator

import numpy as np
import pytest
import SimpleITK as sitk

from LiverSegLib.dicom import read_series
from LiverSegLib.io.files import read_ct

SHAPE = (5, 8, 9)
SLICES_APART = 2.5
UID = "1.2.826.0.1.3680043.2.1125.1"


@pytest.fixture
def hu():
    return np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)


@pytest.fixture
def same_language() -> Iterator[None]:
    """SimpleITK's writer of DICOM sets the language of the whole process to "C" for tags like these, and leaves it so.

    Later tests would then read what other processes say as ASCII.
    """
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.fixture
def write_series(tmp_path, hu, same_language):
    """Write a series, one file a slice, the uppermost first, with HU + 1024 as stored values."""

    def write_series(series=1, modality="CT", folder=tmp_path):
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        for k in range(SHAPE[0]):
            image = sitk.GetImageFromArray(hu[k])
            image.SetSpacing((0.7, 0.8))
            tags = {
                "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
                "0008|0018": f"{UID}.{series}.{k + 1}",
                "0008|0060": modality,
                "0008|103e": f"series number {series}",
                "0020|000d": f"{UID}.9",
                "0020|000e": f"{UID}.{series}",
                "0020|0013": str(SHAPE[0] - k),
                "0020|0032": f"-100\\-120\\{300 + SLICES_APART * k}",
                "0020|0037": "1\\0\\0\\0\\1\\0",
                "0028|1052": "-1024",
                "0028|1053": "1",
            }
            for tag, value in tags.items():
                image.SetMetaData(tag, value)
            writer.SetFileName(str(folder / f"{series}_{SHAPE[0] - k}.dcm"))
            writer.Execute(image)
        return folder

    return write_series


def test_slices_come_in_order_of_position_in_hu_and_in_their_place(write_series, hu):
    folder = write_series()
    ct = read_ct(folder)
    assert stored(folder / "1_5.dcm").min() >= 0
    assert ct.hu.dtype == np.int16
    assert np.array_equal(ct.hu, hu)
    assert ct.spacing == pytest.approx((SLICES_APART, 0.8, 0.7))
    assert np.allclose(ct.affine[:3, 3], (100, 120, 300))


def stored(file):
    """The numbers in the file, before rescaling: its last bytes, little-endian 16 bit."""
    return np.frombuffer(file.read_bytes()[-SHAPE[1] * SHAPE[2] * 2 :], "<i2")


def test_a_series_of_a_real_scanner_is_read(shared_data):
    ct = read_series(shared_data / "dicom_hcc048_portal")
    assert ct.hu.shape == (89, 512, 512)
    assert ct.spacing == pytest.approx((2.5, 0.703125, 0.703125))
    assert ct.hu.min() < -900  # air, with the rescale intercept applied
    assert np.allclose(ct.affine[:3, 3], (180, 180, -396))
