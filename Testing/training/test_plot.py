"""Each figure is drawn from what evaluation leaves, also from little, and from results of earlier versions."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from Training.evaluation.plot import as_they_are, plot_results, title_of, worst_slices
from Training.evaluation.table import read_rows


def write_results(folder: Path, rows: list[dict[str, object]]) -> Path:
    path = folder / "results.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def row_of(group: str, name: str, dice: float, degradation: str = "none") -> dict[str, object]:
    volumes = {"volume_ml": 1500 * dice, "reference_volume_ml": 1500.0}
    return {"group": group, "name": name, "dice": dice, "degradation": degradation, **volumes}


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
def results(tmp_path: Path) -> Path:
    """Two groups, as they are and with streaks, and the worst slices of two cases."""
    for name, wrong_rows in (("a", 2), ("b", 5)):
        store_slice(tmp_path / "worst_slices", name, wrong_rows)
        store_slice(tmp_path / "worst_slices", name, wrong_rows + 1, "streaks")
        store_slice(tmp_path / "worst_slices", name, wrong_rows - 1, "cropped")
    rows = [
        row_of(group, name, dice - 0.02 * (degradation != "none"), degradation)
        for group, name, dice in (("test", "a", 0.97), ("test", "b", 0.95), ("validation", "c", 0.96))
        for degradation in ("none", "streaks")
    ]
    return write_results(tmp_path, rows)


def test_every_figure_is_a_picture(results: Path, tmp_path: Path) -> None:
    figures = plot_results(results, tmp_path)
    assert [figure.stem for figure in figures] == [
        "evaluation",
        "boxes",
        "bland_altman",
        "worst_slices",
        "worst_slices_degraded",
    ]
    for figure in figures:
        picture = np.asarray(Image.open(figure).convert("RGB"))
        assert min(picture.shape[:2]) > 100 and picture.std() > 5


def test_outlines_of_reference_and_result_are_drawn(results: Path, tmp_path: Path) -> None:
    plot_results(results, tmp_path)
    picture = np.asarray(Image.open(tmp_path / "worst_slices.png").convert("RGB")).astype(int)
    upper = picture[: int(0.85 * len(picture))]  # above the legend
    for colour in ((86, 180, 233), (230, 159, 0)):
        assert (np.abs(upper - colour).max(axis=2) < 12).sum() > 100


def test_the_gallery_shows_each_case_once_the_worst_first(results: Path) -> None:
    folder = results.parent / "worst_slices"
    plain, degraded = worst_slices(folder, degraded=False), worst_slices(folder, degraded=True)
    assert [str(shown["name"]) for shown in plain] == ["b", "a"]
    assert [str(shown["name"]) for shown in degraded] == ["b", "a"]
    assert {str(shown["degradation"]) for shown in degraded} == {"streaks"}


def test_one_case_is_enough(tmp_path: Path) -> None:
    path = write_results(tmp_path, [row_of("phantom", "p", 0.9)])
    assert [figure.stem for figure in plot_results(path, tmp_path)] == ["evaluation", "boxes", "bland_altman"]


def test_results_of_earlier_versions_still_give_their_figure(tmp_path: Path) -> None:
    path = write_results(tmp_path, [{"group": "test", "name": "a", "dice": 0.9}])
    assert as_they_are(read_rows(path)) == [{"group": "test", "name": "a", "dice": "0.9"}]
    assert [figure.stem for figure in plot_results(path, tmp_path)] == ["evaluation", "boxes"]


def test_degradations_have_names_in_words() -> None:
    assert [title_of(name) for name in ("none", "slices_07mm", "shift_plus_30")] == [
        "as it is",
        "0.7 mm slices",
        "shift plus 30",
    ]
