"""Draw a run's curves and an evaluation's results: ``python -m Training.plot``."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def plot_training(log: Path, output: Path) -> None:
    """Loss and validation Dice over the steps."""
    rows = read_rows(log)
    steps = [int(row["step"]) for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot(steps, [float(row["loss"]) for row in rows], color="tab:red")
    left.set(title="Training loss", xlabel="step", ylabel="cross-entropy + Dice loss")
    fixed = ("step", "seconds", "loss", "learning_rate")
    for name in [column for column in rows[0] if column not in fixed]:
        mean = name == "liver_dice"
        label = {"liver_dice": "liver, mean", "tumour_dice": "tumour, pooled"}.get(name, name)
        right.plot(steps, [float(row[name]) for row in rows], label=label, lw=2.5 if mean else 1)
    right.set(title="Validation Dice (averaged weights)", xlabel="step", ylim=(0, 1))
    right.legend(fontsize=8)
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.savefig(output, dpi=120)
    plt.close(figure)


def plot_evaluation(results: Path, output: Path) -> None:
    """Volume Dice of every case, by group."""
    rows = read_rows(results)
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


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    own_run, record = Path("runs/bundled/log.csv"), Path(__file__).parent / "record" / "log.csv"
    parser.add_argument("--log", type=Path, default=own_run if own_run.exists() else record)
    parser.add_argument("--results", type=Path, default=Path("out/evaluation/results.csv"))
    parser.add_argument("--output", type=Path, default=Path("out/figures"))
    options = parser.parse_args(argv)
    options.output.mkdir(parents=True, exist_ok=True)
    plot_training(options.log, options.output / "training.png")
    print(f"{options.output / 'training.png'}: {options.log}")
    if options.results.exists():
        plot_evaluation(options.results, options.output / "evaluation.png")
        print(f"{options.output / 'evaluation.png'}: {options.results}")
    else:
        print(f"{options.results} is not there: run make evaluate for the figure of the results.")


if __name__ == "__main__":
    main()
