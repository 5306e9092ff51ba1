"""All stages of the bundled network's training, one run after the other: ``python -m Training.recipe``.

The first learns on large pixels what a liver is; the second goes on from its averaged weights and learns on the
network's own pixels where it ends; the third puts weight on the outline and sees more masses beside the liver; the
fourth sees large cysts, iodised oil and bodies as small as children's, too; the last trains on the validation scans as
well, with a smaller rate. Each is a run of :mod:`Training.fit`, so all of it stops and resumes at any checkpoint.
Options of ``Training.fit`` that are given count for every stage.
"""

from __future__ import annotations

import argparse
import subprocess  # nosec B404 # see where it is used
import sys
from dataclasses import replace

from .settings import Settings, command_of

# What the data set lacks, and clinics have.
DISEASED_OR_PLAIN = {
    "density_share": 0.4,
    "fluid_share": 0.25,
    "lesion_probability": 0.5,
    "lesion_hu": (-120.0, 50.0),
    "unenhanced_share": 0.35,
    "mass_probability": 0.15,
}

# Weight on the outline, and what is taken for liver.
OUTLINE = {**DISEASED_OR_PLAIN, "mass_probability": 0.3, "loss": "boundary"}

# Cysts through much of the liver, iodised oil after chemoembolisation, tumours brighter than the liver, and children.
RARE = {**OUTLINE, "lesion_hu": (-120.0, 80.0), "heavy_lesion_share": 0.5, "smallest_scale": 0.6}

# A quarter of the pixels, for a third of the time.
COARSE = {"prepared": "prepared_3mm", "spacing_mm": 3.0, "size": 128, "sampled_size": 160}

# Half of the pixels, and so twice the steps in the same time: of 240 mm of the body, in place of 336.
SMALLER = {"size": 160, "sampled_size": 208}

# On all scans, at half the rate.
LAST = {**RARE, "steps": 600, "batch": 8, "learning_rate": 1e-3}

# The folder of a stage, and what it has other than the defaults.
STAGES: dict[str, dict] = {
    "runs/coarse": {**DISEASED_OR_PLAIN, **COARSE, "steps": 2500, "batch": 8, "validate_every": 500},
    "runs/fine": {
        **DISEASED_OR_PLAIN,
        "start_from": "runs/coarse/last.ckpt",
        "steps": 4500,
        "batch": 8,
        "validate_every": 500,
    },
    "runs/outline": {
        **OUTLINE,
        "start_from": "runs/fine/last.ckpt",
        "steps": 1500,
        "batch": 8,
        "validate_every": 500,
    },
    "runs/rare": {
        **RARE,
        **SMALLER,
        "start_from": "runs/outline/last.ckpt",
        "steps": 4000,
        "batch": 8,
        "validate_every": 1000,
    },
    "runs/bundled": {
        **LAST,
        "start_from": "runs/rare/last.ckpt",
        "split": "final",
    },
}


def stage_commands(options: list[str]) -> list[list[str]]:
    """The words after ``python -m Training.fit`` of each stage."""
    settings = (replace(Settings(run=run), **stage) for run, stage in STAGES.items())
    return [[*command_of(stage).split()[3:], *options] for stage in settings]


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    _, options = parser.parse_known_args(argv)
    for option in ("--run", "--start-from", "--split"):
        if any(word.partition("=")[0] == option for word in options):
            parser.error(f"{option} is the stage's own; for another run, give it to Training.fit.")
    for words in stage_commands(options):
        print("python -m Training.fit", *words, flush=True)
        if code := run_stage(words):
            sys.exit(code)


def run_stage(words: list[str]) -> int:
    """The exit code of Training.fit, in a process of its own: a launcher of several cannot set them up twice in one."""
    command = [sys.executable, "-m", "Training.fit", *words]
    return subprocess.run(command, check=False).returncode  # nosec B603 # our own program, without a shell


if __name__ == "__main__":
    main()
