"""One command makes a network: its stages follow each other, and what each holds back stays so to the end."""

from __future__ import annotations

import json
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from LiverSegLib.model.liver_model import LiverModel
from Testing.training.phantoms import prepare_phantoms
from Training import recipe
from Training.checkpoint import read_checkpoint
from Training.earlier_projects import protocols
from Training.settings import Settings, parse_settings

SMALL = shlex.split(
    "--spacing-mm 2.5 --steps 2 --batch 2 --size 32 --sampled-size 40 --base-width 4 --depth 3 --accelerator cpu"
)


@pytest.fixture
def in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a few phantoms that are prepared already."""
    monkeypatch.chdir(tmp_path)

    def prepare(_: Path, output: Path, *__: object) -> None:
        others = recipe.HELD_OUT["neighbours"] if output.name.startswith("all") else ()
        prepare_phantoms(output, *Settings().held_out, *others)

    for module in (recipe, protocols):
        monkeypatch.setattr(module, "prepare", prepare)


@pytest.mark.usefixtures("in_an_empty_folder")
def test_each_stage_goes_on_from_the_one_before_and_the_last_knows_the_neighbours() -> None:
    recipe.main(["bundled", *SMALL])
    saved = [read_checkpoint(f"runs/bundled/{stage}/last.ckpt")["settings"] for stage in recipe.STAGES]
    assert saved[0]["start_from"] == ""
    assert [later["start_from"] for _, later in pairwise(saved)] == [f"{one['run']}/last.ckpt" for one in saved[:-1]]
    assert [bool(stage["held_out"]) for stage in saved] == [True, True, True, True, False, True, False]
    assert "spleen" in LiverModel.load("runs/bundled/liver_unet.pt").card.classes
    record = json.loads(Path("runs/bundled/liver_unet.training.json").read_text())
    assert (len(record["runs"]), record["mean_of"]) == (7, 2)


@pytest.mark.parametrize("network", recipe.MEASURED)
def test_a_network_that_is_to_be_measured_holds_back_the_same_to_the_end(network: str) -> None:
    stages = recipe.stages_of(network, [])
    assert {stage.held_out for stage in stages} == {recipe.MEASURED[network]}
    assert {stage.classes for stage in stages} == {"neighbours.json"}


@pytest.mark.parametrize("option", ["--run=elsewhere", "--held-out fold0of4", "--start-from other.ckpt"])
def test_what_makes_the_stages_cannot_be_changed_for_all(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        recipe.main(["bundled", *option.split()])
    assert exit_.value.code == 2
    assert "is the network's own" in capsys.readouterr().err


@pytest.mark.usefixtures("in_an_empty_folder")
@pytest.mark.parametrize("name", ["protocol_a", "protocol_c_dice_liver", "protocol_d_fold0of3"])
def test_a_protocol_of_an_earlier_project_trains(name: str) -> None:
    changed = {"protocol_c_dice_liver": ["--held-out"], "protocol_d_fold0of3": ["--held-out", "fold0of2"]}
    scans = ["--held-out", "ircad_e10", *changed.get(name, [])]
    last = protocols.run(name, [*SMALL, *scans])
    assert read_checkpoint(last)["step"] == 2


@pytest.mark.parametrize("name", protocols.PROTOCOLS)
def test_each_protocol_has_runs_that_can_be_given(name: str) -> None:
    stages = protocols.stages_of(name, [])
    assert parse_settings([], stages[-1]) == stages[-1]
    assert (protocols.criterion_of(name, stages[0]) is not None) == name.startswith("protocol_c")
    assert (protocols.augmentations_of(name, stages[0]) is not None) == name.startswith("protocol_d")
