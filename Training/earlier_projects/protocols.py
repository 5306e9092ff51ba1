"""Run experiments one after the other: ``python -m Training.earlier_projects.protocols NAME ... [--seeds 0 1] [options of fit]``.

Each is a set of options of :mod:`Training.fit` under a name; `EXPERIMENTS.md` says why and what was expected. A name
may hold ``*``. What is interrupted goes on from its checkpoint when the same command is given again; what is done is in
the table and is left out. Scans are prepared first where they are not.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import sys
import traceback
from pathlib import Path

import torch

from ..data.prepare import FLUID_COPIES, prepare, shared_data
from ..data.splits import get_split
from ..fit import fit
from ..recipe import COARSE, DISEASED_OR_PLAIN, LAST, OUTLINE, RARE, SMALLER
from ..settings import Settings, command_of, parse_settings
from ..spec import SPACING_MM
from ..table import read_rows

COLUMNS = ("name", "command", "commit", "seed", "split", "steps", "seconds", "liver_dice", "tumour_dice", "scans")

# Nine persons of both data sets, with slices of 1.6 to 5 mm and all three kinds of intensity.
SCREENING = {"split": "fold2of4", "steps": 1200, "batch": 8, "validate_every": 600}
# Large pixels first, to learn what a liver is, then those of the bundled network, to learn where it ends.
COARSE_FOLD = {**DISEASED_OR_PLAIN, **COARSE, "steps": 900, "batch": 8, "validate_every": 900}
FOLD = {**DISEASED_OR_PLAIN, "steps": 1200, "batch": 8, "validate_every": 600}
# What tumours need beside that, and weight on the outline, which did well at 3 mm.
LONGER = {**DISEASED_OR_PLAIN, "steps": 2800, "batch": 8, "validate_every": 700, "loss": "boundary"}
# Masses beside the liver that look like it.
MASSES = {**OUTLINE, "steps": 600, "batch": 8, "validate_every": 600, "learning_rate": 1e-3}
# Outline and masses, both at the full rate, as protocol (b) had them.
BOTH = {**OUTLINE, "steps": 2800, "batch": 8, "validate_every": 1400}
# Cysts, iodised oil and children as well.
RARE_FOLD = {**RARE, **SMALLER, "steps": 4000, "batch": 8, "validate_every": 2000}
PROTOCOLS = {"protocol_a": "protocol_a", "protocol_b": "protocol_b"}
FOLDS = {f"crossval_{fold}": f"fold{fold}of4" for fold in range(4)}
# The earlier projects had no phantoms and no tilted copies, and drew no slices by what they show.
AS_THEY_WERE = {"phantom_share": 0.0, "tilted_share": 0.0, "end_share": 0.0, "tumour_share": 0.0}
AS_THEY_WERE |= {"steps": 600, "batch": 8, "validate_every": 600}
PROTOCOL_C = {**AS_THEY_WERE, "split": "protocol_c", "size": 256, "sampled_size": 288}
PROTOCOL_D = {**AS_THEY_WERE, "augmentation": "project_e"}

EXPERIMENTS: dict[str, dict] = {
    "baseline": SCREENING,
    "whole_pixels": {**SCREENING, "patch": 1, "base_width": 16},
    "width_24": {**SCREENING, "base_width": 24, "max_width": 192},
    "width_48": {**SCREENING, "base_width": 48, "max_width": 384},
    "depth_4": {**SCREENING, "depth": 4},
    "residual": {**SCREENING, "block": "residual"},
    "pixels_1.25": {**SCREENING, "spacing_mm": 1.25, "size": 256, "sampled_size": 320},
    "pixels_2": {**SCREENING, "spacing_mm": 2.0, "size": 160, "sampled_size": 208},
    "offsets_1": {**SCREENING, "offsets_mm": (0.0,)},
    "offsets_3": {**SCREENING, "offsets_mm": (-4.0, 0.0, 4.0)},
    "offsets_wide": {**SCREENING, "offsets_mm": (-12.0, -6.0, 0.0, 6.0, 12.0)},
    "offsets_7": {**SCREENING, "offsets_mm": (-12.0, -6.0, -3.0, 0.0, 3.0, 6.0, 12.0)},
    "no_ends": {**SCREENING, "end_share": 0.0},
    "no_tumour_slices": {**SCREENING, "tumour_share": 0.0},
    "tumour_1": {**SCREENING, "tumour_weight": 1.0},
    "no_streaks": {**SCREENING, "streak_probability": 0.0},
    "strength_0.5": {**SCREENING, "augmentation_strength": 0.5},
    "strength_1.5": {**SCREENING, "augmentation_strength": 1.5},
    "no_window": {**SCREENING, "random_window": False},
    "loss_boundary": {**SCREENING, "loss": "boundary"},
    "loss_focal": {**SCREENING, "loss": "focal"},
    "loss_weighted_cross_entropy": {**SCREENING, "loss": "weighted_cross_entropy"},
    "loss_weighted_dice": {**SCREENING, "loss": "weighted_dice"},
    "deep_supervision": {**SCREENING, "deep_supervision": True},
    "adamw": {**SCREENING, "optimizer": "adamw"},
    "ema_0.99": {**SCREENING, "ema_decay": 0.99},
    # As many slices, or as many pixels, as the baseline sees.
    "batch_4": {**SCREENING, "batch": 4, "steps": 2400, "validate_every": 1200},
    "size_160": {**SCREENING, "size": 160, "sampled_size": 208, "steps": 2400, "validate_every": 1200},
    "size_160_batch_4": {
        **SCREENING,
        "batch": 4,
        "size": 160,
        "sampled_size": 208,
        "steps": 4800,
        "validate_every": 2400,
    },
    # Both together take as long as the baseline.
    "coarse": {**SCREENING, **COARSE, "steps": 1800},
    "coarse_then_fine": {**SCREENING, "start_from": "coarse", "steps": 600, "validate_every": 300},
    **{f"coarse_{name}": {**COARSE_FOLD, "split": split} for name, split in (FOLDS | PROTOCOLS).items()},
    **{name: {**FOLD, "split": split, "start_from": f"coarse_{name}"} for name, split in FOLDS.items()},
    **{
        name: {**FOLD, "split": split, "start_from": f"coarse_{name}", "steps": 700, "validate_every": 700}
        for name, split in PROTOCOLS.items()
    },
    **{f"longer_{name}": {**LONGER, "split": split, "start_from": name} for name, split in FOLDS.items()},
    **{f"masses_{name}": {**MASSES, "split": split, "start_from": f"longer_{name}"} for name, split in FOLDS.items()},
    **{f"both_{name}": {**BOTH, "split": split, "start_from": f"masses_{name}"} for name, split in FOLDS.items()},
    **{f"rare_{name}": {**RARE_FOLD, "split": split, "start_from": f"both_{name}"} for name, split in FOLDS.items()},
    # The last stage trains on scans that were held back: here on all but a third of a fold's, which is measured.
    **{
        f"last_crossval_{fold}_{part}": {
            **LAST,
            "split": f"fold{fold}of4_part{part}of3",
            "start_from": f"rare_crossval_{fold}",
            "validate_every": 600,
        }
        for fold in range(4)
        for part in range(3)
    },
    "longer_protocol_b": {**OUTLINE, "split": "protocol_b", "start_from": "protocol_b", "steps": 1600, "batch": 8},
    "protocol_c_cross_entropy_liver": {**PROTOCOL_C, "loss": "weighted_cross_entropy", "tumour_weight": 0.0},
    "protocol_c_dice_liver": {**PROTOCOL_C, "loss": "weighted_dice", "tumour_weight": 0.0},
    "protocol_c_cross_entropy_tumour": {**PROTOCOL_C, "loss": "weighted_cross_entropy", "tumour_weight": 1.0},
    "protocol_c_dice_tumour": {**PROTOCOL_C, "loss": "weighted_dice", "tumour_weight": 1.0},
    **{f"protocol_d_{fold}": {**PROTOCOL_D, "split": f"protocol_d_fold{fold}of3"} for fold in range(3)},
}


def settings_of(name: str, seed: int, runs: Path, fit_options: list[str]) -> Settings:
    """Settings of an experiment; ``fit_options``, a command line, come on top. Its folder's name tells them, too.

    What it starts from is another experiment of the same seed and options.
    """
    settings = parse_settings(fit_options, Settings(**EXPERIMENTS[name], seed=seed))
    words = [word.lstrip("-").replace("/", "-") for word in fit_options]

    def folder(experiment: str) -> Path:
        return runs / "_".join((experiment, *words, f"seed{settings.seed}"))

    settings.run = str(folder(name))
    if settings.start_from in EXPERIMENTS:
        settings.start_from = str(folder(settings.start_from) / "last.ckpt")
    if settings.spacing_mm != SPACING_MM and settings.prepared == Settings.prepared:
        settings.prepared = f"{settings.prepared}_{settings.spacing_mm:g}mm"
    return settings


def missing_scans(settings: Settings) -> list[str]:
    """Names of the prepared files that these settings draw from and that are not there."""
    split = get_split(settings.split)
    wanted = [*split.training, *split.validation]
    if settings.tilted_share > 0:
        wanted += [f"{name}_tilted" for name in split.training]
    if settings.fluid_share > 0:
        wanted += [f"{name}_fluid{copy}" for name in split.training for copy in range(FLUID_COPIES)]
    if settings.phantom_share > 0:
        wanted.append("phantom_000")
    return [name for name in wanted if not (Path(settings.prepared) / f"{name}.npz").exists()]


def run_experiment(name: str, settings: Settings, table: Path) -> bool:
    """Train, or go on training, and append the result to the table; False if it stands there already."""
    command = command_of(settings)
    if table.exists() and any(row["command"] == command for row in read_rows(table)):
        return False
    if missing_scans(settings):
        prepare(shared_data(), Path(settings.prepared), 30, 0, settings.spacing_mm)
    checkpoint = fit(settings)
    append_row(table, {"name": name, "command": command, **result_of(checkpoint)})
    return True


def result_of(checkpoint: Path) -> dict[str, str | int]:
    """What the table says of a finished run, from its checkpoint and its log."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    settings = Settings.from_checkpoint(state["settings"])
    log = read_rows(checkpoint.with_name("log.csv"))
    scans = get_split(settings.split).validation
    last = log[-1]
    return {
        "commit": state["commit"],
        "seed": settings.seed,
        "split": settings.split,
        "steps": state["step"],
        "seconds": training_seconds(log),
        "liver_dice": last.get("liver_dice", ""),
        "tumour_dice": last.get("tumour_dice", ""),
        "scans": " ".join(f"{name}={last[name]}" for name in scans if name in last),
    }


def training_seconds(log: list[dict[str, str]]) -> int:
    """Seconds that a run took; its log's clock starts anew each time it is resumed."""
    seconds = [int(row["seconds"]) for row in log]
    ends = [now for now, after in zip(seconds, [*seconds[1:], -1], strict=True) if after < now]
    return sum(ends)


def append_row(table: Path, row: dict) -> None:
    """Append a row to the table; a new one begins with its header."""
    fresh = not table.exists()
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def chosen_names(patterns: list[str]) -> list[str]:
    """The experiments that the patterns name, each once, in the order of the plan.

    Raises
    ------
    ValueError
        If a pattern names none.
    """
    for pattern in patterns:
        if not fnmatch.filter(EXPERIMENTS, pattern):
            raise ValueError(f"There is no experiment {pattern!r}; --list shows all.")
    return [name for name in EXPERIMENTS if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def main(argv: list[str] | None = None) -> int:
    """Command line: 0 done, 1 an experiment failed (the others were run all the same), 2 bad usage."""
    parser = argparse.ArgumentParser(
        prog="python -m Training.earlier_projects.protocols", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="show the experiments and their commands")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--table", type=Path, default=Path("runs/experiments/table.csv"))
    options, fit_options = parser.parse_known_args(argv)
    if any(option.startswith(("--devices", "--num-nodes")) for option in fit_options):
        # Each further process would go through the whole list again.
        parser.error("experiments run on one device each; give --devices and --num-nodes to Training.fit.")
    try:
        names = chosen_names(options.names or ["*"] * options.list)
    except ValueError as error:
        parser.error(str(error))
    failed = False
    for name in names:
        for seed in options.seeds:
            settings = settings_of(name, seed, options.runs, fit_options)
            if options.list:
                print(f"{name}: {command_of(settings)}")
                continue
            try:
                done = run_experiment(name, settings, options.table)
            except Exception:
                failed = True
                traceback.print_exc()
                print(f"{name}, seed {seed}: failed, see above", file=sys.stderr)
            else:
                print(f"{name}, seed {seed}: {'done' if done else 'is in the table'}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
