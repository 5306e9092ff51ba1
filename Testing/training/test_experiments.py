"""The list of experiments is runnable and is the written plan; the table tells what was run, once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from Training import experiments
from Training.data.prepare import LabelledScan, save_on_model_grid
from Training.data.splits import get_split
from Training.earlier_projects.protocols import EXPERIMENTS, chosen_names, missing_scans, settings_of, training_seconds
from Training.settings import Settings
from Training.table import read_rows

PLAN = Path(experiments.__file__).with_name("EXPERIMENTS.md")

TINY = (
    "--accelerator cpu --steps 2 --validate-every 1 --save-every 1 --batch 1 --size 32 --sampled-size 40 "
    "--base-width 2 --depth 3"
)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """The patients of protocol (a), each the same small phantom."""
    from LiverSegLib.phantom import make_phantom

    folder = tmp_path / "prepared"
    folder.mkdir()
    phantom = make_phantom(2000, shape=(6, 32, 32), spacing=(40.0, 11.0, 11.0))
    split = get_split("protocol_a")
    for name in split.training + split.validation:
        scan = LabelledScan(phantom.ct, phantom.labels, True)
        save_on_model_grid(scan, folder / f"{name}.npz", "train", "real", 4.5)
    return folder


@pytest.fixture
def command(tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line that runs the experiments "one" and "two" in seconds."""
    small = {"split": "protocol_a", "spacing_mm": 4.5, "tilted_share": 0.0, "phantom_share": 0.0}
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"one": small, "two": {**small, "loss": "focal"}})
    places = ["--runs", str(tmp_path / "runs"), "--table", str(tmp_path / "table.csv")]
    return [*places, "--prepared", str(prepared), *TINY.split()]


def test_every_experiment_is_in_the_plan_and_the_plan_names_no_other() -> None:
    named = set(re.findall(r"`python -m Training\.experiments ([^\s`]+)", PLAN.read_text(encoding="utf-8")))
    assert all(chosen_names([pattern]) for pattern in named)
    assert chosen_names(sorted(named)) == list(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_s_settings_fit_together(name: str) -> None:
    settings = settings_of(name, 3, Path("runs"), [])
    assert settings.seed == 3
    assert get_split(settings.split).training


def test_a_screening_experiment_changes_one_thing() -> None:
    baseline = EXPERIMENTS["baseline"]
    for name, options in EXPERIMENTS.items():
        alike = options.get("split") == baseline["split"] and options["steps"] == baseline["steps"]
        if alike and "start_from" not in options:
            changed = {key for key in options if options[key] != baseline.get(key)}
            # Other pixels want another number of them, so that the network sees as much of the patient; widths go
            # with each other and with the number of pixels that the first level works on.
            along = {"size", "sampled_size", "max_width"} | ({"base_width"} if "patch" in changed else set())
            assert len(changed - along) == (name != "baseline"), name


def test_an_experiment_may_go_on_from_another_of_the_same_seed() -> None:
    first, second = (settings_of(name, 3, Path("runs"), ["--batch", "4"]) for name in ("coarse", "coarse_then_fine"))
    assert Path(second.start_from) == Path(first.run) / "last.ckpt"


def test_experiments_run_in_turn_and_leave_a_row_each(command: list[str], tmp_path: Path) -> None:
    assert experiments.main(["*", "--seeds", "0", "1", *command]) == 0
    rows = read_rows(tmp_path / "table.csv")
    assert [(row["name"], row["seed"], row["steps"]) for row in rows] == [
        ("one", "0", "2"),
        ("one", "1", "2"),
        ("two", "0", "2"),
        ("two", "1", "2"),
    ]
    for row in rows:
        assert re.fullmatch(r"ircad_e10=[\d.]+ ircad_e16=[\d.]+", row["scans"])
        assert row["commit"] and int(row["seconds"]) >= 0
        assert 0 <= float(row["liver_dice"]) <= 1
    assert "--loss focal" in rows[2]["command"]

    assert experiments.main(["one", *command]) == 0
    assert len(read_rows(tmp_path / "table.csv")) == 4


def test_an_interrupted_experiment_goes_on(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from Training import fit as program

    steps = []
    honest = program.validate

    def interrupted(*arguments: object) -> dict[str, float]:
        steps.append(len(steps))
        if len(steps) == 2:
            raise KeyboardInterrupt
        return honest(*arguments)

    monkeypatch.setattr(program, "validate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiments.main(["one", *command])
    assert not (tmp_path / "table.csv").exists()
    assert experiments.main(["one", *command]) == 0
    assert len(steps) == 3, "the first step was not repeated"
    assert len(read_rows(tmp_path / "table.csv")) == 1


def test_a_failure_does_not_stop_the_others(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments.EXPERIMENTS["one"]["spacing_mm"] = 3.0  # not as prepared
    assert experiments.main(["*", *command]) == 1
    assert [row["name"] for row in read_rows(tmp_path / "table.csv")] == ["two"]


def test_several_devices_are_for_fit_alone(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as refused:
        experiments.main(["baseline", "--devices", "2"])
    assert refused.value.code == 2
    assert "Training.fit" in capsys.readouterr().err


def test_an_unknown_experiment_is_bad_usage(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as refused:
        experiments.main(["nonsense"])
    assert refused.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_the_clock_of_a_run_that_was_resumed_is_summed() -> None:
    assert training_seconds([{"seconds": str(value)} for value in (10, 25, 7, 30, 4)]) == 25 + 30 + 4


def test_what_is_not_prepared_is_named(prepared: Path) -> None:
    settings = Settings(prepared=str(prepared), split="protocol_a", phantom_share=0.0, tilted_share=0.0)
    assert missing_scans(settings) == []
    (prepared / "ircad_e16.npz").unlink()
    assert missing_scans(settings) == ["ircad_e16"]
    settings = Settings(prepared=str(prepared), split="protocol_a", phantom_share=0.0)
    assert "ircad_e01_tilted" in missing_scans(settings)
    assert "ircad_e16_tilted" not in missing_scans(settings)
