"""MR on the network's scale: neither the unit of its signal nor what is bright or black around the liver matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.mr_signal import on_network_scale, signal_range
from Testing.mr_phantom import mr_phantom

WINDOW = (-160.0, 240.0)


@pytest.fixture(scope="module")
def mr() -> CTVolume:
    return mr_phantom().ct


@pytest.fixture(scope="module")
def liver() -> np.ndarray:
    return mr_phantom().labels > 0


def level(mr: CTVolume, liver: np.ndarray) -> float:
    """Where the liver lies in the window, 0 to 1."""
    low, high = WINDOW
    return (float(np.median(on_network_scale(mr, WINDOW).hu[liver])) - low) / (high - low)


def test_no_signal_is_the_lower_end_of_the_window_and_the_body_fills_it(mr: CTVolume) -> None:
    hu = on_network_scale(mr, WINDOW).hu
    assert hu.dtype == np.int16 and np.percentile(hu, 1) == pytest.approx(-160, abs=5)
    assert 0.005 < np.mean(hu > 240) < 0.03


@pytest.mark.parametrize("factor, offset", [(0.1, 0), (20, 0), (1, 50), (1, -50)])
def test_the_unit_of_the_signal_does_not_matter(mr: CTVolume, liver: np.ndarray, factor: float, offset: int) -> None:
    other = replace(mr, hu=np.rint(mr.hu * factor + offset).astype(np.int16))
    assert level(other, liver) == pytest.approx(level(mr, liver), abs=0.02)


def test_a_gallbladder_that_outshines_all_else_does_not_darken_the_liver(mr: CTVolume, liver: np.ndarray) -> None:
    bright = mr.hu.copy()
    bright[20:24, 60:70, 60:70] = 15000
    assert level(replace(mr, hu=bright), liver) == pytest.approx(level(mr, liver), abs=0.02)


def test_neither_blackened_nor_much_air_matters(mr: CTVolume, liver: np.ndarray) -> None:
    blackened = np.where(mr.hu < 100, 0, mr.hu).astype(np.int16)
    assert level(replace(mr, hu=blackened), liver) == pytest.approx(level(mr, liver), abs=0.02)
    margin = ((0, 0), (60, 60), (60, 60))
    in_air = replace(mr, hu=np.pad(blackened, margin))
    assert level(in_air, np.pad(liver, margin)) == pytest.approx(level(mr, liver), abs=0.05)


def test_an_image_of_one_value_has_a_range() -> None:
    nothing, full = signal_range(np.zeros((3, 4, 5), np.int16))
    assert nothing == 0 < full


@pytest.mark.parametrize(
    "values", [np.linspace(0, 1, 60), np.linspace(0, 1e6, 60), np.arange(60, dtype=np.uint32) * 2000]
)
def test_mr_of_fractions_or_large_numbers_keeps_its_shades(values: np.ndarray) -> None:
    volume = CTVolume.from_array(values.reshape(3, 4, 5), np.eye(4), modality="MR")
    assert volume.hu.dtype == np.int16 and len(np.unique(volume.hu)) == 60 and volume.modality == "MR"


def test_mr_of_whole_numbers_and_ct_stay_as_they_are() -> None:
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    assert CTVolume.from_array(values, np.eye(4), modality="MR").hu is values
    assert CTVolume.from_array(values + 0.2, np.eye(4)).hu.max() == 59
