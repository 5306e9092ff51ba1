"""Looks at what the batch left that ctest has run in Slicer; ends with 1 if a case or a file is missing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder of the batch's results")
    parser.add_argument("--cases", type=int, default=2, help="how many there have to be (2)")
    parser.add_argument("--least-dice", type=float, default=0.90, help="fail below this Dice coefficient (0.90)")
    options = parser.parse_args()

    if not (options.output / "results.json").exists():
        print("SKIPPED: the batch was not run")
        return
    records = [json.loads(path.read_text(encoding="utf-8")) for path in options.output.glob("cases/*/record.json")]
    found = {record["name"]: record["report"]["dice"] for record in records}
    print(found)
    if len(found) != options.cases or not all(dice >= options.least_dice for dice in found.values()):
        raise AssertionError(f"{options.cases} cases with Dice {options.least_dice} or more were expected.")
    written = [options.output / path for record in records for path in record["files"].values()]
    missing = [path for path in (*written, options.output / "index.html") if not path.is_file()]
    if missing:
        raise AssertionError(f"These files are missing: {', '.join(map(str, missing))}.")


if __name__ == "__main__":
    main()
