"""Make a network from nothing, in one command: ``python -m Training.recipe NETWORK``.

It prepares the scans, trains in seven stages and exports. The first stage learns on large pixels what a liver is; the
second goes on from its averaged weights and learns on the network's own pixels where it ends; the third puts weight on
the outline and sees more masses beside the liver; the fourth sees large cysts, iodised oil and bodies as small as
children's, too; the fifth has a smaller rate. These see the first data set alone, the fifth its validation scans as
well. The sixth brings all data sets, single slices and the liver's neighbours, the seventh the patients that the sixth
held back. Networks to measure by have three shorter stages, which all see all data sets. Each stage is a run of
:mod:`Training.fit` in ``runs/NETWORK/``, so all of it stops and resumes at any checkpoint. Options of ``Training.fit``
that are given count for every stage.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from LiverSegLib.data.modality import CT, MR
from LiverSegLib.model.liver_model import BUNDLED, bundled_model_path

from .checkpoint import REPOSITORY
from .couinaud.recipe import make as make_couinaud
from .data.catalogue import shared_data
from .data.prepare import prepare
from .export import export
from .fit import fit
from .refine.recipe import make as make_refine
from .settings import Settings, command_of, parse_settings
from .vessels.recipe import make as make_vessels

# Networks with a program of their own: those of segments and of vessels, and the one that corrects.
OTHERS = {"couinaud": make_couinaud, "vessels": make_vessels, "refine": make_refine}

# A quarter of the pixels, for a third of the time.
COARSE = {"spacing_mm": 3.0, "size": 128, "sampled_size": 160}
# Half of the pixels, and so twice the steps in the same time: of 240 mm of the body, in place of 336.
SMALLER = {"size": 160, "sampled_size": 208}
# Weight on the outline, and on what is taken for liver.
OUTLINE = {"mass_probability": 0.3, "outline_weight": 5.0}
# Cysts through much of the liver, iodised oil after chemoembolisation, tumours brighter than the liver, and children.
RARE = {**OUTLINE, "lesion_hu": (-120.0, 80.0), "heavy_lesion_share": 0.5, "smallest_scale": 0.6}

# All data sets, and the liver's neighbours beside it.
NEIGHBOURS = {"classes": "neighbours.json", "slices_share": 0.1, "missing_neighbours": 0.15}
ALL_FOLDERS = ["train", "more", "slices"]

# The stages, and what each has other than the defaults.
STAGES: dict[str, dict] = {
    "coarse": {**COARSE, "steps": 2500},
    "fine": {"steps": 4500},
    "outline": {**OUTLINE, "steps": 1500},
    "rare": {**RARE, **SMALLER, "steps": 4000, "validate_every": 1000},
    "last": {**RARE, "steps": 600, "learning_rate": 1e-3},
    "neighbours": {**RARE, **SMALLER, **NEIGHBOURS, "steps": 4600, "validate_every": 1000},
    "all_patients": {**RARE, **SMALLER, **NEIGHBOURS, "steps": 700, "learning_rate": 1e-3},
}
# Of the bundled network, whom a stage holds back unless that is whom the defaults do. These six patients of BTCV, two
# of them the hardest for a network that has seen no other, are what the network is measured on before its last stage.
HELD_OUT: dict[str, tuple[str, ...]] = {
    "last": (),
    "neighbours": ("btcv_0005", "btcv_0008", "btcv_0025", "btcv_0028", "btcv_0033", "btcv_0038"),
    "all_patients": (),
}
# Those of networks to measure by: a fifth of the steps, for nearly the same Dice on another hospital's patients.
SHORT_STAGES: dict[str, dict] = {
    "coarse": {**COARSE, **NEIGHBOURS, "steps": 1200, "validate_every": 1200},
    "neighbours": {**RARE, **SMALLER, **NEIGHBOURS, "steps": 2000, "validate_every": 2000},
    "last": {**RARE, **SMALLER, **NEIGHBOURS, "steps": 300, "learning_rate": 1e-3},
}
# Networks to measure by, which hold back the same scans in all stages, and learn from all others in each.
MEASURED: dict[str, tuple[str, ...]] = {
    **{f"fold{fold}of4": (f"fold{fold}of4",) for fold in range(4)},
    "without_btcv": ("btcv_*",),
    "without_ircad": ("ircad_*",),
    "without_lits": ("lits_*",),
}
NETWORKS = ("bundled", *MEASURED)

# For MR, the bundled network goes on with CT of any contrast, then, twice, with T2-weighted MR as well.
ANY_CONTRAST = {
    **SMALLER,
    **NEIGHBOURS,
    "modality": "MR",
    "outline_weight": 5.0,
    "mass_probability": 0.3,
    "heavy_lesion_share": 0.25,
    "phantom_share": 0.0,
    "tilted_share": 0.15,
    "fluid_share": 0.0,
}
MR_STAGES: dict[str, dict] = {
    "any_contrast": {**ANY_CONTRAST, "steps": 900, "validate_every": 225},
    "t2": {**ANY_CONTRAST, "mr_share": 0.5, "steps": 240, "validate_every": 240},
    "last": {**ANY_CONTRAST, "mr_share": 0.6, "steps": 200, "validate_every": 200},
}
# Networks to measure the later stages by; their first is that of the released one, which saw no MR.
MR_MEASURED: dict[str, tuple[str, ...]] = {
    f"mr_fold{fold}of4": tuple(f"chaos_t2_{number}" for number in numbers)
    for fold, numbers in enumerate(((10, 20, 32, 38), (13, 21, 33, 39), (15, 22, 36), (19, 31, 37)))
}
MR_NETWORKS = ("mr", *MR_MEASURED)


def stages_of(network: str, options: list[str]) -> list[Settings]:
    """The settings of each stage of a network."""
    stages: list[Settings] = []
    for name, changes in (SHORT_STAGES if network in MEASURED else STAGES).items():
        settings = replace(Settings(), **changes, run=f"runs/{network}/{name}")
        if stages:
            settings.start_from = f"{stages[-1].run}/last.ckpt"
        settings.held_out = MEASURED.get(network) or HELD_OUT.get(name, settings.held_out)
        folders = "first" if settings.classes == Settings.classes else "all"
        settings.prepared = f"prepared/{folders}_{settings.spacing_mm:g}mm"
        stages.append(parse_settings(options, settings))
    return stages


def mr_stages_of(network: str, options: list[str]) -> list[Settings]:
    """The settings of each stage of a network for MR."""
    stages: list[Settings] = []
    for name, changes in MR_STAGES.items():
        shared = not stages
        settings = replace(Settings(), **changes, run=f"runs/{'mr' if shared else network}/{name}")
        settings.held_out = ("chaos_*",) if shared else MR_MEASURED.get(network, ())
        released = bundled_model_path().relative_to(REPOSITORY).as_posix()
        settings.start_from = released if shared else f"{stages[-1].run}/last.ckpt"
        settings.prepared = f"prepared/mr_{settings.spacing_mm:g}mm"
        stages.append(parse_settings(options, settings))
    return stages


def make_mr(network: str, data: Path, options: list[str]) -> Path:
    """Prepare, train and export a network for MR; returns its file."""
    stages = mr_stages_of(network, options)
    prepare(data, Path(stages[0].prepared), [*ALL_FOLDERS, "mr"], stages[0].spacing_mm, phantoms=0, fluid_copies=0)
    return _trained(stages, Path("runs") / network / BUNDLED[MR])


def make(network: str, data: Path, options: list[str]) -> Path:
    """Prepare, train and export a network, the mean of what its last two stages end with; returns its file."""
    stages = stages_of(network, options)
    for stage in stages:
        folders = ALL_FOLDERS[:1] if stage.classes == Settings.classes else ALL_FOLDERS
        prepare(data, Path(stage.prepared), folders, stage.spacing_mm)
    return _trained(stages, Path("runs") / network / BUNDLED[CT], mean_of=2)


def _trained(stages: list[Settings], weights: Path, mean_of: int = 1) -> Path:
    """Run the stages and export into a file the mean of what the last ones end with; returns that file."""
    for settings in stages:
        print(command_of(settings), flush=True)
        fit(settings)
    *before, last = (Path(stage.run) / "last.ckpt" for stage in stages[-mean_of:])
    export(last, weights, weights.stem, average_with=before)
    return weights


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.recipe", description=__doc__, allow_abbrev=False)
    parser.add_argument("network", choices=[*NETWORKS, *OTHERS, *MR_NETWORKS])
    parser.add_argument("--data", type=Path, default=shared_data(), help="holds the folders (default: LIVERSEG_DATA)")
    chosen, options = parser.parse_known_args(argv)
    if chosen.network in OTHERS:
        print(OTHERS[chosen.network](chosen.data, options))
        return
    for option in ("--run", "--start-from", "--held-out", "--classes", "--prepared"):
        if any(word.partition("=")[0] == option for word in options):
            parser.error(f"{option} is the network's own; for another run, give it to Training.fit.")
    maker = make_mr if chosen.network in MR_NETWORKS else make
    print(maker(chosen.network, chosen.data, options))


if __name__ == "__main__":
    main()
