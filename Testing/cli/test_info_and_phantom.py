"""`liverseg info` and `liverseg phantom`, and what the command costs before it does anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from LiverSegLib import __version__
from LiverSegLib.io import files
from LiverSegLib.model.liver_model import LiverModel

MODULE_FOLDER = Path(__file__).parents[2] / "LiverSeg"


def python(*arguments):
    """A Python of its own that finds the library."""
    environment = {**os.environ, "PYTHONPATH": str(MODULE_FOLDER)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_info_tells_the_version_the_model_and_the_devices(run):
    outcome = run("info", "--json")
    content = json.loads(outcome.output)
    card = LiverModel.load().card
    assert content["version"] == __version__
    assert content["model"]["sha256"] == card.sha256
    assert content["model"]["training_data"] == card.training_data
    assert "cpu" in content["devices"]


def test_info_for_people_names_the_licence_of_the_weights(run):
    output = run("info").output
    assert f"version: {__version__}" in output
    assert LiverModel.load().card.licence in output


def test_phantom_writes_a_ct_and_its_liver_on_one_grid(run, tmp_path):
    outcome = run("phantom", "-o", tmp_path / "new" / "folder")
    assert (outcome.exit_code, outcome.errors) == (0, [])
    ct = files.read_ct(tmp_path / "new" / "folder" / "ct.nii.gz")
    labels, affine = files.read_labels(tmp_path / "new" / "folder" / "liver.nii.gz")
    assert labels.shape == ct.hu.shape
    assert np.array_equal(affine, ct.affine)
    assert 800 < (labels > 0).sum() * ct.voxel_volume_ml < 2500


def test_phantom_into_a_file_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("mine")
    outcome = run("phantom", "-o", tmp_path / "file")
    assert outcome.exit_code == 2
    assert "choose another" in outcome.errors[0]


def test_the_command_runs_as_a_program():
    finished = python("-m", "LiverSegLib.cli", "--version")
    assert (finished.returncode, finished.stdout.strip()) == (0, f"liverseg {__version__}")


def loaded_after(*arguments):
    """The exit code of a command, and which packages that take long to import it has loaded."""
    script = (
        "import sys; from LiverSegLib.cli import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        "print(code, *(name for name in ('torch', 'scipy', 'nibabel', 'numpy') if name in sys.modules))"
    )
    finished = python("-c", script, *arguments)
    code, *loaded = finished.stdout.splitlines()[-1].split()
    return int(code), loaded


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["--help"], 0),
        (["segment", "--help"], 0),
        (["segment", "no_such_ct.nii.gz", "-o", "liver.nii.gz"], 2),
        (["evaluate", "no_such_labels.nii.gz", "no_such_reference.nii.gz"], 2),
        (["segment", "no_such_ct.nii.gz"], 2),
    ],
)
def test_help_and_an_input_that_is_missing_load_nothing(command, code):
    assert loaded_after(*command) == (code, [])


def test_a_usage_error_comes_before_pytorch_is_loaded():
    code, loaded = loaded_after("segment", __file__, "-o", "no/such/l.dcm")
    assert code == 2 and "torch" not in loaded


@pytest.mark.skipif(not version("torch").endswith("+cpu"), reason="which GPUs work, only PyTorch can tell")
@pytest.mark.skipif(sys.platform == "darwin", reason="whether the GPU works, only PyTorch can tell")
def test_info_needs_no_pytorch_where_that_knows_no_gpu():
    assert loaded_after("info") == (0, [])


@pytest.mark.parametrize("command", [(), ("segment",), ("evaluate",), ("info",), ("phantom",)])
def test_every_command_explains_itself(command, capsys):
    from LiverSegLib.cli import main

    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "usage: liverseg" in capsys.readouterr().out
