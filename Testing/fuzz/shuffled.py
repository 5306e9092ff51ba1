"""Good and damaged files in one batch, in any order: each gives what it gives alone, bit for bit.

The batch is worked off in one process, and each case alone in one that has read nothing before. `make fuzz` does so
with 60 good and 40 damaged files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from LiverSegLib.batch.cases import Case
from LiverSegLib.batch.find import search_cases
from LiverSegLib.batch.options import BatchOptions
from LiverSegLib.batch.run import run_batch
from Testing.fuzz.corpus import FORMATS, sample_of, write
from Testing.fuzz.mutate import mutated

CT_FORMATS = [name for name in FORMATS if "labels" not in name and name not in ("seg.nrrd", "nrrd detached", "model")]


def make_cases(folder: Path, good: int, damaged: int, seed: int) -> list[Case]:
    """Write files of all formats, and a small network; the cases that a batch finds there, in any order."""
    for number in range(good + damaged):
        make = sample_of if number < good else mutated
        # The numbers go on, so that no two files hold the same voxels.
        write(make(CT_FORMATS[number % len(CT_FORMATS)], 1000 * seed + number), folder / "in" / f"{number:03d}")
    write(sample_of("model"), folder / "model")
    cases = list(search_cases(folder / "in").cases)
    random.Random(seed).shuffle(cases)
    return cases


def outcomes(cases: Sequence[Case], folder: Path) -> dict[str, str]:
    """A line for each case of a batch in this process: its record, and digests of the labels and of the picture."""
    options = BatchOptions("cpu", force=True, model=folder / "model" / "model.pt", suffix=".nii", threads=1)
    lines = {}
    with tempfile.TemporaryDirectory(dir=folder) as output:
        for record in run_batch(cases, options, Path(output)).records:
            told = asdict(record)
            contents = {role: Path(output, path).read_bytes() for role, path in record.files.items()}
            # Times are never the same, and the record holds all else that is reported.
            contents.pop("report", None)
            for holder in (told, told["report"] or told):
                holder.pop("seconds", None)
            lines[record.name] = json.dumps([told, {r: hashlib.sha256(c).hexdigest() for r, c in contents.items()}])
    return lines


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--good", type=int, default=60)
    parser.add_argument("--damaged", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as place, context.Pool(1, maxtasksperchild=1) as processes:
        folder = Path(place)
        cases = processes.apply(make_cases, (folder, options.good, options.damaged, options.seed))
        together, *alone = processes.starmap(
            outcomes, [(cases, folder), *(([case], folder) for case in cases)], chunksize=1
        )
    differing = [(name, line) for one in alone for name, line in one.items() if together.get(name) != line]
    for name, line in differing:
        print(f"{name} alone: {line}\nin the batch: {together.get(name)}")
    done = sum('"status": "done"' in line for line in together.values())
    print(f"{len(together)} cases in one batch, {done} of them done: {len(differing)} differ from what they are alone")
    return int(bool(differing) or not done)


if __name__ == "__main__":
    # Loaded once, for all processes; nothing is read by it.
    import LiverSegLib.evaluation.picture
    import LiverSegLib.inference.segmenter  # noqa: F401

    sys.exit(main())
