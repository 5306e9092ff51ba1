"""A volume for which there is too little memory ends in one sentence, and nothing is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from Testing.faults.processes import python

# 512 MB, of which the header tells the truth.
SHAPE = (1000, 512, 512)

SCRIPT = """
import resource, sys
from pathlib import Path
import numpy, nibabel, scipy.ndimage, torch
from LiverSegLib import cli
from LiverSegLib.inference import segmenter
from LiverSegLib.io import files
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 100 * 2**20,) * 2)
sys.exit(cli.main(["segment", sys.argv[1], "-o", sys.argv[2]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a system with a limit for memory, such as Linux")
@pytest.mark.parametrize(
    "name", ["ct.nii.gz", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ct.nrrd", "ct.mha"))]
)
def test_a_volume_larger_than_memory_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    air = np.broadcast_to(np.int16(0), SHAPE)
    if name.endswith(".nii.gz"):
        nibabel.save(nibabel.Nifti1Image(air.T, np.eye(4)), tmp_path / name)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(air)), tmp_path / name, useCompression=True)
    output = tmp_path / "results"
    output.mkdir()
    (output / "liver.nii.gz").write_bytes(b"old")
    finished = python("-c", SCRIPT, tmp_path / name, output / "liver.nii.gz")
    assert finished.returncode == 2, finished.stderr
    assert finished.stderr == (
        "liverseg: error: There is too little memory to segment this volume; close other programs or crop it.\n"
    )
    assert os.listdir(output) == ["liver.nii.gz"]
    assert (output / "liver.nii.gz").read_bytes() == b"old"
