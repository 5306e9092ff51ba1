"""Leaves scans for the batch that ctest runs in Slicer: CTs and livers of phantoms; apart from them, a broken one."""

from __future__ import annotations

import argparse
from pathlib import Path

from LiverSegLib import install

CASES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="gets the folders cts, references and broken")
    folder = parser.parse_args().folder

    missing = install.missing_packages()
    if missing:
        print(f"SKIPPED: not installed in this Slicer: {', '.join(missing)}")
        return
    from LiverSegLib.io import files
    from LiverSegLib.phantom import make_phantom

    for name in ("cts", "references", "broken"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(CASES):
        phantom = make_phantom(seed=number, shape=(32, 128, 128), spacing=(7.5, 2.85, 2.85))
        files.write_ct(folder / "cts" / f"phantom_{number}.nii.gz", phantom.ct)
        files.write_labels(folder / "references" / f"phantom_{number}.nii.gz", phantom.labels, phantom.ct.affine)
    (folder / "broken" / "empty.nii.gz").write_bytes(b"")


if __name__ == "__main__":
    main()
