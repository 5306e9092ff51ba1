"""The slices in which an evaluation found most wrong are drawn; the curves, by test_fit.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from Training.evaluation.plot import plot_results, title_of, worst_slices


def store_slice(folder: Path, name: str, wrong_rows: int, degradation: str = "none") -> None:
    """A worst slice, 24×30, whose masks differ by so many rows of 20 pixels."""
    truth = np.zeros((24, 30), np.uint8)
    truth[4:20, 5:25] = 1
    found = truth.copy()
    found[4 : 4 + wrong_rows] = 0
    folder.mkdir(exist_ok=True)
    np.savez(
        folder / f"test_{name}_{degradation}.npz",
        hu=np.where(truth, 100, -80).astype(np.int16),
        found=found,
        truth=truth,
        k=7,
        dice=0.9,
        spacing=(2.0, 1.5),
        group="test",
        name=name,
        degradation=degradation,
    )


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """The worst slices of two cases, as they are and under two degradations."""
    folder = tmp_path / "worst_slices"
    for name, wrong_rows in (("a", 2), ("b", 5)):
        store_slice(folder, name, wrong_rows)
        store_slice(folder, name, wrong_rows + 1, "streaks")
        store_slice(folder, name, wrong_rows - 1, "cropped")
    return folder


def test_outlines_of_reference_and_result_are_drawn(slices: Path, tmp_path: Path) -> None:
    figures = plot_results(slices, tmp_path)
    assert [figure.stem for figure in figures] == ["worst_slices", "worst_slices_degraded"]
    picture = np.asarray(Image.open(figures[0]).convert("RGB")).astype(int)
    upper = picture[: int(0.85 * len(picture))]  # above the legend
    for colour in ((86, 180, 233), (230, 159, 0)):
        assert (np.abs(upper - colour).max(axis=2) < 12).sum() > 100


def test_the_gallery_shows_each_case_once_the_worst_first(slices: Path) -> None:
    plain, degraded = worst_slices(slices, degraded=False), worst_slices(slices, degraded=True)
    assert [str(shown["name"]) for shown in plain] == ["b", "a"]
    assert [str(shown["name"]) for shown in degraded] == ["b", "a"]
    assert {str(shown["degradation"]) for shown in degraded} == {"streaks"}


def test_degradations_have_names_in_words() -> None:
    assert [title_of(name) for name in ("none", "slices_07mm", "shift_plus_30")] == [
        "as it is",
        "0.7 mm slices",
        "shift plus 30",
    ]
