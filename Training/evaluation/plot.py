"""Draw a run's curves and an evaluation's results: ``python -m Training.evaluation.plot``."""

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


def plot_evaluation(results: Path, output: Path) -> None:
    """Volume Dice of every case as it is, by group."""
    rows = as_they_are(read_rows(results))
    figure, axis = plt.subplots(figsize=(8, 0.32 * len(rows) + 1.2), layout="constrained")
    groups = sorted({row["group"] for row in rows})
    colours = {group: f"C{index}" for index, group in enumerate(groups)}
    names = [f"{row['name']} ({row['group']})" for row in rows]
    bars = axis.barh(names, [float(row["dice"]) for row in rows], color=[colours[row["group"]] for row in rows])
    axis.bar_label(bars, fmt="%.3f", padding=3)
    axis.set(title="Liver Dice by volume", xlim=(0, 1.08))
    axis.invert_yaxis()
    figure.savefig(output, dpi=120)
    plt.close(figure)


def as_they_are(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of scans that were not degraded; results of earlier versions have no others."""
    return [row for row in rows if row.get("degradation", NONE) == NONE]


def plot_boxes(results: Path, output: Path) -> None:
    """Box plots of the volume Dice: each group as it is, at the top, and below under each degradation."""
    rows = read_rows(results)
    groups = sorted({row["group"] for row in rows})
    degradations = list(dict.fromkeys(row.get("degradation", NONE) for row in rows))
    figure, axis = plt.subplots(figsize=(8, 1.5 + 0.15 * len(groups) * len(degradations)), layout="constrained")
    width = 0.8 / len(groups)
    for index, group in enumerate(groups):
        boxes, places = [], []
        for place, degradation in enumerate(degradations):
            here = [r for r in rows if r["group"] == group and r.get("degradation", NONE) == degradation]
            scores = [float(row["dice"]) for row in here]
            if scores:
                boxes.append(scores)
                places.append(place - 0.4 + (index + 0.5) * width)
        colour = f"C{index}"
        # Groups can be two cases: the points tell what a box of them hides.
        axis.boxplot(
            boxes,
            positions=places,
            orientation="horizontal",
            widths=0.8 * width,
            showfliers=False,
            boxprops={"color": colour},
            medianprops={"color": colour},
            whiskerprops={"color": colour},
            capprops={"color": colour},
        )
        for place, scores in zip(places, boxes, strict=True):
            axis.plot(scores, [place] * len(scores), ".", color=colour, alpha=0.6)
        axis.plot([], [], "s-", color=colour, label=f"{group} (n = {max(map(len, boxes))})")
    axis.set_yticks(range(len(degradations)), map(title_of, degradations))
    axis.set(title="Liver Dice by volume", xlabel="Dice", ylim=(len(degradations) - 0.4, -0.6))
    axis.legend(fontsize=8, loc="lower left")
    axis.grid(axis="x", alpha=0.3)
    figure.savefig(output, dpi=120)
    plt.close(figure)


def plot_bland_altman(results: Path, output: Path) -> None:
    """Volume found minus reference over the mean of both (Bland and Altman, Lancet 327, 1986), scans as they are.

    Phantoms, and the test patient's second scan at native size, are left out unless there is nothing else. The lines
    are the mean difference and the limits of agreement, 1.96 standard deviations off.
    """
    everyone = as_they_are(read_rows(results))
    rows = [row for row in everyone if row["group"] not in ("phantom", "native")] or everyone
    found, truth = (np.array([float(row[key]) for row in rows]) for key in ("volume_ml", "reference_volume_ml"))
    mean, difference = (found + truth) / 2, found - truth
    figure, axis = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    for index, group in enumerate(sorted({row["group"] for row in rows})):
        members = [row["group"] == group for row in rows]
        axis.plot(mean[members], difference[members], "o", color=f"C{index}", label=group)
    levels = [(difference.mean(), "mean")]
    if len(rows) > 1:
        spread = 1.96 * difference.std(ddof=1)
        levels += [(difference.mean() - spread, "−1.96 SD"), (difference.mean() + spread, "+1.96 SD")]
    for level, text in levels:
        axis.axhline(level, color="0.3", ls="-" if text == "mean" else "--", lw=1)
        axis.annotate(
            f"{text} {level:+.0f} ml",
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8,
        )
    axis.set(title="Liver volume: found against reference", xlabel="mean of both, ml", ylabel="found − reference, ml")
    axis.margins(x=0.1, y=0.15)
    axis.legend(fontsize=8, loc="upper left")
    axis.grid(alpha=0.3)
    figure.savefig(output, dpi=120)
    plt.close(figure)


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


def plot_results(results: Path, output: Path) -> list[Path]:
    """Every figure that the results and what lies beside them allow; returns the files."""
    figures = [output / "evaluation.png", output / "boxes.png"]
    plot_evaluation(results, figures[0])
    plot_boxes(results, figures[1])
    if "volume_ml" in read_rows(results)[0]:
        figures.append(output / "bland_altman.png")
        plot_bland_altman(results, figures[-1])
    for name, degraded in (("worst_slices", False), ("worst_slices_degraded", True)):
        if slices := worst_slices(results.parent / "worst_slices", degraded):
            figures.append(output / f"{name}.png")
            plot_worst_slices(slices, figures[-1])
    return figures


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    logs = sorted(RECORD.glob("log_*.csv"))
    parser.add_argument("--log", type=Path, nargs="+", default=logs, help="of runs that followed each other")
    parser.add_argument("--results", type=Path, default=Path("out/evaluation/results.csv"))
    parser.add_argument("--output", type=Path, default=Path("out/figures"))
    options = parser.parse_args(argv)
    options.output.mkdir(parents=True, exist_ok=True)
    plot_training(options.log, options.output / "training.png")
    print(f"{options.output / 'training.png'}: {', '.join(map(str, options.log))}")
    if options.results.exists():
        for figure in plot_results(options.results, options.output):
            print(f"{figure}: {options.results}")
    else:
        print(f"{options.results} is not there: run make evaluate for the figure of the results.")


if __name__ == "__main__":
    main()
