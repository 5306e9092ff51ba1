"""What a program filled in around a scan is taken for air, and named."""

from __future__ import annotations

import numpy as np
import pytest

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.filling import without_filling

SHAPE = (6, 60, 80)
AFFINE = np.diag((-3.0, -3.0, 5.0, 1.0))
AIR_HU = -160.0
y, x = (np.indices(SHAPE[1:]).T - (np.array(SHAPE[1:]) - 1) / 2).T
CIRCLE = np.broadcast_to(np.hypot(y, x) < 30, SHAPE)
TILTED = np.broadcast_to(x + 0.5 * y < 25, SHAPE)
FEW_SLICES = np.broadcast_to((np.arange(6) < 5)[:, None, None], SHAPE)


def scan() -> np.ndarray:
    """HU of a body with lungs in air, all of it noisy and clipped at -1024."""
    lungs = np.hypot(y, np.abs(x) - 10) < 6
    hu = np.broadcast_to(np.select([lungs, np.hypot(y, x) < 24], [-850, 50], -1000), SHAPE)
    return np.maximum(hu + np.random.default_rng(0).normal(0, 15, SHAPE), -1024).astype(np.int16)


@pytest.mark.parametrize("inside", [CIRCLE, TILTED, FEW_SLICES])
@pytest.mark.parametrize("value", [0, -50, 100, 32767])
def test_a_filling_becomes_air_and_all_else_stays(inside: np.ndarray, value: int) -> None:
    ct = CTVolume(np.where(inside, scan(), value).astype(np.int16), AFFINE, "scan")
    given = ct.hu.copy()
    cleared, [warning] = without_filling(ct, AIR_HU)
    assert f"exactly {value} HU" in warning and np.array_equal(ct.hu, given)
    assert np.mean(cleared.hu[~inside] == scan()[inside].min()) > 0.97  # but for spurs of a pixel
    assert np.array_equal(cleared.hu[inside], given[inside])


def test_lungs_that_were_masked_out_become_air_with_the_outside() -> None:
    tissue = scan() > -300
    cleared, [_] = without_filling(CTVolume(np.where(tissue, scan(), 0).astype(np.int16), AFFINE), AIR_HU)
    assert np.mean(cleared.hu[~tissue] == 0) < 0.02
    assert np.array_equal(cleared.hu[tissue], scan()[tissue])


def test_a_filling_is_found_whatever_the_axes() -> None:
    hu = np.where(CIRCLE, scan(), 0).astype(np.int16)
    expected, _ = without_filling(CTVolume(hu, AFFINE), AIR_HU)
    sideways, [_] = without_filling(CTVolume(hu.transpose(2, 1, 0), AFFINE[:, [2, 1, 0, 3]]), AIR_HU)
    assert np.array_equal(sideways.hu.transpose(2, 1, 0), expected.hu)


@pytest.mark.parametrize(
    "hu",
    [
        scan(),
        np.where(CIRCLE, scan(), -3024),
        np.clip(scan(), -160, 240),
        np.clip(np.where(CIRCLE, scan(), -3024), -1024, 100),
        np.where(x + y < -68, 0, scan()),
    ],
    ids=["air", "a scanner's padding", "a window", "clipped tissue", "too little"],
)
def test_what_is_no_filling_is_left_alone_without_a_word(hu: np.ndarray) -> None:
    ct = CTVolume(hu.astype(np.int16), AFFINE)
    assert without_filling(ct, AIR_HU) == (ct, [])
