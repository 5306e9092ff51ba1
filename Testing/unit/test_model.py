"""A model file is used only when it is the one that its card describes."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch

from LiverSegLib.errors import ModelError
from LiverSegLib.model import LiverModel, bundled_model_path


def resign(path: Path) -> None:
    """Let the card name the digest of whatever the weights file holds now."""
    card = json.loads(path.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))


def test_a_fitting_file_loads_ready_to_use(a_model_file: Path) -> None:
    model = LiverModel.load(a_model_file)
    assert not model.network.training
    assert model.card.offsets_mm == (-3.0, 0.0, 3.0)


def test_one_changed_byte_is_refused(a_model_file: Path) -> None:
    content = bytearray(a_model_file.read_bytes())
    content[len(content) // 2] ^= 1
    a_model_file.write_bytes(content)
    with pytest.raises(ModelError, match="does not match its card"):
        LiverModel.load(a_model_file)


def test_a_truncated_file_is_refused(a_model_file: Path) -> None:
    a_model_file.write_bytes(a_model_file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="does not match its card"):
        LiverModel.load(a_model_file)


def test_a_missing_file_is_refused(a_model_file: Path) -> None:
    a_model_file.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        LiverModel.load(a_model_file)


@pytest.mark.parametrize("content", ["", "[]", "{}", "not JSON"])
def test_a_damaged_card_is_refused(a_model_file: Path, content: str) -> None:
    a_model_file.with_suffix(".json").write_text(content)
    with pytest.raises(ModelError, match="model card"):
        LiverModel.load(a_model_file)


def test_a_missing_card_is_refused(a_model_file: Path) -> None:
    a_model_file.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match="model card"):
        LiverModel.load(a_model_file)


@pytest.mark.parametrize("weights", [{}, {"head.weight": torch.zeros(1)}, [1, 2], "text"])
def test_weights_of_another_network_are_refused(a_model_file: Path, weights: object) -> None:
    torch.save(weights, a_model_file)
    resign(a_model_file)
    with pytest.raises(ModelError, match="does not hold this network"):
        LiverModel.load(a_model_file)


class Attack:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("save", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
def test_a_file_that_carries_code_runs_none_of_it(a_model_file: Path, tmp_path: Path, save) -> None:
    save(Attack(tmp_path / "executed"), a_model_file)
    resign(a_model_file)
    with pytest.raises(ModelError, match="does not hold this network"):
        LiverModel.load(a_model_file)
    assert not (tmp_path / "executed").exists()


def test_a_file_larger_than_ours_is_refused_unread(a_model_file: Path) -> None:
    with a_model_file.open("wb") as file:
        file.truncate(25_000_000)
    with pytest.raises(ModelError, match="larger"):
        LiverModel.load(a_model_file)


def test_the_bundled_model_fits_its_card_and_is_small() -> None:
    model = LiverModel.load()
    assert bundled_model_path().stat().st_size <= 20_000_000
    assert model.card.classes == ("background", "liver", "tumour")
    assert {entry["name"] for entry in model.card.training_data} >= {"3D-IRCADb-01", "LiTS 2017 training set"}
    assert "non-commercial" in model.card.licence
