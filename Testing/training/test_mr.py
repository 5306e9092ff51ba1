"""A network for MR is made by the same program: another data set, another card, the released network to begin with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from LiverSegLib.io.files import write_ct, write_labels
from LiverSegLib.model.liver_model import LiverModel, bundled_model_path
from Testing.mr_phantom import mr_phantom
from Testing.training.phantoms import short_run, write_data
from Training import recipe
from Training.checkpoint import read_checkpoint
from Training.data.catalogue import person_of, read_catalogue
from Training.data.classes import Classes
from Training.data.prepare import prepare
from Training.data.sample import SliceSampler, load_scans
from Training.data.stored import PreparedScan
from Training.evaluation.evaluate import evaluate_case, named_cases
from Training.export import export
from Training.fit import fit
from Training.settings import WINDOW_HU, parse_settings

NAMES = ("chaos_t2_10", "chaos_t2_13")
NEIGHBOURS = Classes.read("neighbours.json")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT and two MR, as the catalogues have them."""
    folder = write_data(tmp_path_factory.mktemp("data"), "ircad_e01")
    (folder / "mr").mkdir()
    for seed, name in enumerate(NAMES):
        mr = mr_phantom("T2, fat suppressed", seed)
        write_ct(folder / "mr" / f"{name}_mr.nii.gz", mr.ct)
        organs = nibabel.Nifti1Image((mr.labels > 0).astype(np.uint8).T, mr.ct.affine)
        nibabel.save(organs, folder / "mr" / f"{name}_organs.nii.gz")
        write_labels(folder / "mr" / f"{name}_liver.nii.gz", (mr.labels > 0).astype(np.uint8), mr.ct.affine)
    (folder / "mr" / "catalogue.json").write_text(json.dumps([{"id": name} for name in NAMES]))
    return folder


@pytest.fixture(scope="module")
def prepared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    prepare(data, folder, ["train", "mr"], 2.5, phantoms=0, fluid_copies=0)
    return folder


def test_mr_is_a_data_set_like_another(data: Path) -> None:
    entries = read_catalogue(data, ["train", "mr"])
    assert [entry.modality for entry in entries] == ["CT", "MR", "MR"]
    assert len({person_of(name) for name in NAMES}) == 2, "each patient is one person"
    scan = entries[1].read()
    assert scan.labelled == ("liver", "right kidney", "left kidney", "spleen") and scan.liver.any()
    assert WINDOW_HU[0] < np.median(scan.ct.hu[scan.liver]) < WINDOW_HU[1]


def test_mr_is_prepared_once_and_without_copies(prepared: Path) -> None:
    assert sorted(path.name for path in prepared.iterdir()) == [*NAMES, "ircad_e01", "ircad_e01_tilted"]
    scan = PreparedScan.open(prepared / NAMES[0], NEIGHBOURS, 2.5)
    assert (scan.kind, scan.modality) == ("mr", "MR") and len(scan.liver_slices)


def test_samples_for_mr_are_mr_as_it_is_and_ct_of_any_contrast(prepared: Path, tmp_path: Path) -> None:
    settings = replace(short_run(prepared, tmp_path), modality="MR", classes="neighbours.json", held_out=NAMES[1:])
    training, held_out = load_scans(settings, NEIGHBOURS)
    assert [scan.name for scan in held_out] == [NAMES[1]]
    levels = {}
    for share in (0.0, 1.0):
        drawn = replace(settings, mr_share=share, tilted_share=0.0, fluid_share=0.0, phantom_share=0.0)
        sampler = SliceSampler(training, NEIGHBOURS, drawn, 12, 0)
        batch = sampler.batch(np.random.default_rng(0))
        livers = [float(hu[0][liver].median()) for hu, liver in zip(batch.hu, batch.liver, strict=True) if liver.any()]
        levels[share] = np.std(livers)
    assert levels[0.0] > 2 * levels[1.0], "one contrast, and any"


def test_a_run_for_mr_ends_in_a_card_that_says_so(prepared: Path, tmp_path: Path) -> None:
    shares = {"mr_share": 0.5, "fluid_share": 0.0, "phantom_share": 0.0}
    settings = replace(short_run(prepared, tmp_path / "run"), modality="MR", held_out=NAMES[1:], **shares)
    export(fit(settings), tmp_path / "model.pt")
    card = LiverModel.load(tmp_path / "model.pt").card
    assert card.modality == "MR" and "MR" in card.intended_use and card.calibration is None
    assert card.training["validation_scans"] == [NAMES[1]]
    assert any("CHAOS" in entry["name"] and "NC-SA" in entry["licence"] for entry in card.training_data)


def test_mr_is_measured_as_mr(data: Path) -> None:
    taken = []

    class Spy:
        def segment(self, ct, options):
            taken.append((ct.modality, options.modality))
            raise StopIteration

    [case] = named_cases(data, ["mr"], NAMES[:1])
    with pytest.raises(StopIteration):
        evaluate_case(case, Spy())
    assert taken == [("MR", "mr")] and case.reference.any() and not case.tumour_labelled


def test_a_released_network_is_begun_with_and_its_patients_are_remembered() -> None:
    state = read_checkpoint(bundled_model_path())
    runs = [run["settings"]["run"] for run in (*state["earlier"], state)]
    assert "btcv_0003" in state["trained_on"] and (runs[0], runs[-1]) == ("runs/coarse", "runs/bundled/all_patients")
    assert state["settings"]["classes"] == "neighbours.json"
    assert all(name.startswith("module.") for name in state["average"])


def test_what_measures_the_released_network_holds_back_every_patient_once() -> None:
    held = [name for names in recipe.MR_MEASURED.values() for name in names]
    assert len(held) == len(set(held)) == 14
    for network in recipe.MR_NETWORKS:
        first, *later = recipe.mr_stages_of(network, [])
        assert first.held_out == ("chaos_*",) and first.start_from.endswith("liver_unet.pt")
        starts = ["runs/mr/any_contrast/last.ckpt", f"runs/{network}/t2/last.ckpt"]
        assert [stage.start_from for stage in later] == starts
        assert {stage.held_out for stage in later} == {recipe.MR_MEASURED.get(network, ())}


def test_there_is_no_other_modality(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_settings(["--modality", "PET"])
    assert "CT or MR" in capsys.readouterr().err
