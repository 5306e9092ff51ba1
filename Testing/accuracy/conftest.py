"""The bundled network, loaded once, and the cases it is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from LiverSegLib.data.volume import CTVolume
    from LiverSegLib.inference.segmenter import Segmenter


@pytest.fixture(scope="session")
def the_segmenter() -> Segmenter:
    """The bundled network on the CPU."""
    from LiverSegLib.inference.segmenter import Segmenter

    return Segmenter(device="cpu")


@pytest.fixture(scope="session")
def a_test_patient(shared_data: Path) -> CTVolume:
    """Patient 20 of 3D-IRCADb-01 at 256×256 with 2 mm slices, never trained on: the trunk around the liver."""
    from LiverSegLib.data.volume import CTVolume
    from LiverSegLib.io.files import read_ct

    ct = read_ct(shared_data / "train" / "ircad_e20_ct.nii.gz").canonical()
    first, last = 112, 222  # the liver and some centimetres below and above it, to save time
    affine = ct.affine.copy()
    affine[:3, 3] += first * affine[:3, 2]
    return CTVolume(ct.hu[first:last], affine, ct.name)
