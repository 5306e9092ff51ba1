"""Train as the earlier projects did: ``python -m Training.earlier_projects.protocols NAME``.

==================================  ====================================================================================
protocol_a                          project B: 18 patients of 3D-IRCADb, tested on 19 and 20
protocol_b                          project A: 13 patients of 3D-IRCADb train, 7 test
protocol_c_<loss>_<liver|tumour>    project C: LiTS alone, weighted cross-entropy or weighted Dice
protocol_d_fold0of3 ...             project E: folds over 3D-IRCADb, with its four augmentations
==================================  ====================================================================================

What cannot be repeated of the originals, because their descriptions do not say it or the data is not at hand:

- A: which 13 patients trained, its optimiser, its rate; its result is "near 0.87" on 7 patients that we cannot name.
  Here 1 to 13 train and 14 to 20 test.
- B: it trained on 1,980 slices and validated on 494 of the same 18 patients; how they were drawn is not stated. Here
  whole patients (10 and 16) validate. Its encoder, a ResNet-34, was pretrained; ours is not. Its Dice is a mean over
  slices: compare it with our slice-averaged Dice.
- C: 130 volumes of LiTS, of which 16 are at hand; its weights, its split and its results are not stated. Here the
  squares of 256×256 have pixels of 1.5 mm, whatever the scanner's.
- D: the labelled scans of Decathlon task 3 are those of LiTS; nothing is stated that could be repeated.
- E: its random choice of files, the number of folds, the strength of its augmentations. Its Dice of 0.351 is a mean
  over folds on validation. Here three folds of patients, so that each validates about a third of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..data.augmentation import Augmentation
from ..data.catalogue import FIRST_FOLDER, shared_data
from ..data.classes import Classes
from ..data.prepare import prepare
from ..fit import fit
from ..losses import RegionLoss
from ..recipe import COARSE, OUTLINE
from ..settings import Settings, parse_settings
from .augmentations import project_e_augmentations
from .losses import WeightedCrossEntropy, WeightedDice

LOSSES: dict[str, Callable[[Classes], RegionLoss]] = {
    "cross_entropy": WeightedCrossEntropy,
    "dice": WeightedDice,
}
CLASSES = {"liver": "liver_alone.json", "tumour": "liver.json"}

# The earlier projects had no phantoms and no tilted copies, drew nothing into scans and no slices by what they show.
AS_THEY_WERE = {
    "steps": 600,
    "phantom_share": 0.0,
    "tilted_share": 0.0,
    "fluid_share": 0.0,
    "end_share": 0.0,
    "tumour_share": 0.0,
    "unenhanced_share": 0.0,
    "density_share": 0.0,
    "lesion_probability": 0.25,
    "lesion_hu": (-80.0, 50.0),
    "mass_probability": 0.0,
}
IRCAD = {"scans": ("ircad_*",)}
A = {**IRCAD, "held_out": ("ircad_e10", "ircad_e16")}
B = {**IRCAD, "held_out": tuple(f"ircad_e{number}" for number in range(14, 19))}
C = {**AS_THEY_WERE, "scans": ("lits_*",), "held_out": ("lits_003", "lits_014", "lits_023")}
C |= {"size": 256, "sampled_size": 288}

# The runs of each protocol, one going on from the other, and what they have other than the defaults.
PROTOCOLS: dict[str, list[dict]] = {
    "protocol_a": [{**A, **COARSE, "steps": 900}, {**A, "steps": 700}],
    "protocol_b": [{**B, **COARSE, "steps": 900}, {**B, "steps": 700}, {**B, **OUTLINE, "steps": 1600}],
    **{f"protocol_c_{loss}_{what}": [{**C, "classes": CLASSES[what]}] for loss in LOSSES for what in CLASSES},
    **{f"protocol_d_fold{fold}of3": [{**AS_THEY_WERE, **IRCAD, "held_out": (f"fold{fold}of3",)}] for fold in range(3)},
}


def stages_of(name: str, options: list[str]) -> list[Settings]:
    """The settings of each run of a protocol, in ``runs/NAME/0`` and so on."""
    stages: list[Settings] = []
    for number, changes in enumerate(PROTOCOLS[name]):
        settings = replace(Settings(), **changes, run=f"runs/{name}/{number}")
        settings.prepared = f"prepared/first_{settings.spacing_mm:g}mm"
        settings.start_from = f"{stages[-1].run}/last.ckpt" if stages else ""
        stages.append(parse_settings(options, settings))
    return stages


def run(name: str, options: list[str]) -> Path:
    """Prepare, and train a protocol's network; returns its last checkpoint."""
    for settings in stages_of(name, options):
        prepare(shared_data(), Path(settings.prepared), [FIRST_FOLDER], settings.spacing_mm)
        checkpoint = fit(settings, criterion_of(name, settings), augmentations_of(name, settings))
    return checkpoint


def criterion_of(name: str, settings: Settings) -> RegionLoss | None:
    """The loss that a protocol compares; None for ours."""
    loss = next((loss for loss in LOSSES if name.startswith(f"protocol_c_{loss}_")), None)
    return LOSSES[loss](Classes.read(settings.classes)) if loss else None


def augmentations_of(name: str, settings: Settings) -> list[Augmentation] | None:
    """The augmentations that a protocol has of its own; None for ours."""
    return project_e_augmentations(settings.size) if name.startswith("protocol_d") else None


def main(argv: list[str] | None = None) -> None:
    """Command line of the step; options of ``Training.fit`` may follow."""
    parser = argparse.ArgumentParser(
        prog="python -m Training.earlier_projects.protocols",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", choices=PROTOCOLS)
    chosen, options = parser.parse_known_args(argv)
    print(run(chosen.name, options))


if __name__ == "__main__":
    main()
