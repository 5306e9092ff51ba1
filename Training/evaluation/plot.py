"""Draw a run's curves and an evaluation's worst slices: ``python -m Training.evaluation.plot``."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from .summary import NONE
from .table import read_rows

matplotlib.use("Agg")
from matplotlib import pyplot as plt

RECORD = Path(__file__).parents[1] / "record"
WINDOW_HU = (-160, 240)
# The worst slices shown: four columns of them fit a page.
GALLERY, GALLERY_COLUMNS = 12, 4
FOUND_COLOUR, TRUTH_COLOUR = "#e69f00", "#56b4e9"


def plot_training(logs: Sequence[Path], output: Path) -> None:
    """Loss and validation Dice over the steps of one run, or of several that followed each other."""
    rows = [{**row, "step": start + int(row["step"])} for start, log in _starts(logs) for row in read_rows(log)]
    steps = [row["step"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot(steps, [float(row["loss"]) for row in rows], color="tab:red")
    left.set(title="Training loss", xlabel="step", ylabel="cross-entropy + Dice loss")
    fixed = ("step", "seconds", "loss", "learning_rate")
    for name in dict.fromkeys(column for row in rows for column in row if column not in fixed):
        mean = name == "liver_dice"
        label = {"liver_dice": "liver, mean", "tumour_dice": "tumour, pooled"}.get(name, name)
        # The last stage has no scans left to validate on.
        dice = [float(row.get(name, math.nan)) for row in rows]
        right.plot(steps, dice, label=label, lw=2.5 if mean else 1)
    right.set(title="Validation Dice (averaged weights)", xlabel="step", ylim=(0, 1))
    if right.lines:
        right.legend(fontsize=8)
    for axis in (left, right):
        axis.grid(alpha=0.3)
        for start, _ in _starts(logs)[1:]:
            axis.axvline(start, color="grey", lw=1, ls=":")
    figure.savefig(output, dpi=120)
    plt.close(figure)


def _starts(logs: Sequence[Path]) -> list[tuple[int, Path]]:
    """Each log with the steps that lie before it."""
    steps = [int(read_rows(log)[-1]["step"]) for log in logs]
    return list(zip(itertools.accumulate(steps[:-1], initial=0), logs, strict=True))


def plot_worst_slices(slices: list[dict[str, np.ndarray]], output: Path) -> None:
    """The slices of :func:`worst_slices` in a grid, both outlines drawn, the worst first."""
    lines = math.ceil(len(slices) / GALLERY_COLUMNS)
    figure, axes = plt.subplots(
        lines, GALLERY_COLUMNS, figsize=(14, 3.3 * lines + 0.5), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, shown in zip(axes.flat, slices, strict=False):
        aspect = float(shown["spacing"][0] / shown["spacing"][1])
        axis.imshow(shown["hu"], cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect=aspect)
        for mask, colour in ((shown["truth"], TRUTH_COLOUR), (shown["found"], FOUND_COLOUR)):
            if (mask > 0).any():
                axis.contour(mask > 0, [0.5], colors=[colour], linewidths=1.2)
        what = f"{shown['name']} ({shown['group']}), {title_of(str(shown['degradation']))}"
        axis.set_title(f"{what}\nslice {int(shown['k']) + 1}, Dice {float(shown['dice']):.3f}", fontsize=8)
    handles = [
        plt.Line2D([], [], color=TRUTH_COLOUR, label="reference"),
        plt.Line2D([], [], color=FOUND_COLOUR, label="found"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    figure.savefig(output, dpi=120)
    plt.close(figure)


def worst_slices(folder: Path, degraded: bool) -> list[dict[str, np.ndarray]]:
    """One slice a case of the folder that evaluation left: of the scan as it is, or of its worst degradation."""
    worst: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for path in sorted(folder.glob("*.npz")):
        shown = dict(np.load(path))
        case = (str(shown["group"]), str(shown["name"]))
        if (shown["degradation"] != NONE) == degraded and (
            case not in worst or _wrong_mm2(shown) > _wrong_mm2(worst[case])
        ):
            worst[case] = shown
    return sorted(worst.values(), key=_wrong_mm2, reverse=True)[:GALLERY]


def title_of(degradation: str) -> str:
    """A degradation's name in words."""
    words = {NONE: "as it is", "slices_5mm": "5 mm slices", "slices_07mm": "0.7 mm slices"}
    return words.get(degradation, degradation.replace("_", " "))


def _wrong_mm2(shown: dict[str, np.ndarray]) -> float:
    """The area of disagreement."""
    return float(((shown["found"] > 0) != (shown["truth"] > 0)).sum() * shown["spacing"].prod())


def plot_results(slices: Path, output: Path) -> list[Path]:
    """The figures that the folder of worst slices allows; returns the files."""
    figures = []
    for name, degraded in (("worst_slices", False), ("worst_slices_degraded", True)):
        if worst := worst_slices(slices, degraded):
            figures.append(output / f"{name}.png")
            plot_worst_slices(worst, figures[-1])
    return figures


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    logs = sorted(RECORD.glob("log_*.csv"))
    parser.add_argument("--log", type=Path, nargs="+", default=logs, help="of runs that followed each other")
    parser.add_argument("--slices", type=Path, default=Path("out/evaluation/worst_slices"), help="of an evaluation")
    parser.add_argument("--output", type=Path, default=Path("out/figures"))
    options = parser.parse_args(argv)
    options.output.mkdir(parents=True, exist_ok=True)
    plot_training(options.log, options.output / "training.png")
    print(f"{options.output / 'training.png'}: {', '.join(map(str, options.log))}")
    for figure in plot_results(options.slices, options.output):
        print(f"{figure}: {options.slices}")
    if not options.slices.exists():
        print(f"{options.slices} is not there: run make evaluate for the figures of the results.")


if __name__ == "__main__":
    main()
