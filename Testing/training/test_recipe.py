"""The stages that made the bundled network follow each other, each going on from the one before."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from Testing.training.phantoms import prepare_phantoms
from Training import recipe
from Training.evaluation.plot import plot_training
from Training.fit import fit
from Training.settings import parse_settings

SMALL = (
    "--prepared prepared --spacing-mm 1.5 --steps 2 --batch 2 --size 32 --sampled-size 40 --base-width 4 --depth 3 "
    "--accelerator cpu"
)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Stages run here, in an empty folder with two phantoms to train on; the commands that were given."""
    monkeypatch.chdir(tmp_path)
    prepare_phantoms(Path("prepared"))
    given: list[list[str]] = []

    def run_stage(words: list[str]) -> int:
        given.append(words)
        fit(parse_settings(words))
        return 0

    monkeypatch.setattr(recipe, "run_stage", run_stage)
    return given


def test_each_stage_goes_on_from_the_one_before_and_the_last_has_all_scans(in_this_process: list[list[str]]) -> None:
    recipe.main(SMALL.split())
    assert len(in_this_process) == 5
    saved = [torch.load(f"{run}/last.ckpt", weights_only=True)["settings"] for run in recipe.STAGES]
    assert saved[0]["start_from"] == ""
    assert [later["start_from"] for _, later in pairwise(saved)] == [f"{one['run']}/last.ckpt" for one in saved[:-1]]
    assert [stage["split"] for stage in saved] == ["bundled", "bundled", "bundled", "bundled", "final"]
    assert all(stage["steps"] == 2 for stage in saved)
    plot_training([Path(run, "log.csv") for run in recipe.STAGES], Path("curves.png"))
    assert Path("curves.png").stat().st_size > 10_000


def test_a_stage_that_fails_ends_the_recipe_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = iter((0, 3))
    monkeypatch.setattr(recipe, "run_stage", lambda words: next(ended))
    with pytest.raises(SystemExit) as exit_:
        recipe.main([])
    assert exit_.value.code == 3
    assert next(ended, None) is None


@pytest.mark.parametrize("option", ["--run=elsewhere", "--split fold0of4", "--start-from other.ckpt"])
def test_what_makes_the_stages_cannot_be_changed_for_all(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        recipe.main(option.split())
    assert exit_.value.code == 2
    assert "is the stage's own" in capsys.readouterr().err
