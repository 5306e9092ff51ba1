"""A model file is used only when it is the one that its card describes."""

from __future__ import annotations

import collections
import hashlib
import io
import json
import pickle
import struct
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch

from LiverSegLib.errors import ModelError
from LiverSegLib.model.liver_model import LiverModel, bundled_model_path
from LiverSegLib.model.weights import read_tensors


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


def test_a_missing_file_is_refused(a_model_file: Path) -> None:
    a_model_file.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        LiverModel.load(a_model_file)


@pytest.mark.parametrize("content", ["", "[]", "{}", "not JSON"])
def test_a_damaged_card_is_refused(a_model_file: Path, content: str) -> None:
    a_model_file.with_suffix(".json").write_text(content)
    with pytest.raises(ModelError, match="model card"):
        LiverModel.load(a_model_file)


IMPOSSIBLE = [
    {"widths": [1_000_000] * 5},
    {"widths": [1] * 100_000},
    {"widths": [0, 4]},
    {"widths": [4.0, 8.0]},
    {"widths": []},
    {"patch": 1_000_000},
    {"patch": 0},
    {"classes": ["liver"] * 100_000},
    {"offsets_mm": [0.0] * 100_000},
    {"offsets_mm": [1e300]},
    {"offsets_mm": [10**400]},
    {"spacing_mm": 1e-6},
    {"spacing_mm": float("nan")},
    {"window_hu": [240.0, -160.0]},
    {"block": "unheard of"},
    {"tumour_above": 0.0},
    {"tumour_above": 1.0},
    {"tumour_above": "0.5"},
    {"calibration": [1]},
    {"sha256": None},
]


@pytest.mark.parametrize("change", IMPOSSIBLE, ids=lambda change: str(change)[:40])
def test_a_card_of_an_impossible_network_is_refused_before_memory_is_taken(a_model_file: Path, change: dict) -> None:
    card = json.loads(a_model_file.with_suffix(".json").read_text())
    a_model_file.with_suffix(".json").write_text(json.dumps(card | change))
    with pytest.raises(ModelError) as refused, memory_for_at_most(megabytes=300):
        LiverModel.load(a_model_file)
    assert "memory" not in str(refused.value.__cause__), "refused only because there was none"


def test_a_card_nested_a_hundred_thousand_deep_is_refused(a_model_file: Path) -> None:
    a_model_file.with_suffix(".json").write_text("[" * 100_000)
    with pytest.raises(ModelError, match="model card"):
        LiverModel.load(a_model_file)


@contextmanager
def memory_for_at_most(megabytes: int) -> Iterator[None]:
    """Lets larger demands fail, where the system can do that; nothing of that kind is a ModelError."""
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + megabytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


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


class Greed:
    """Takes a gigabyte when unpickled, with what PyTorch's weights_only lets through."""

    def __reduce__(self) -> tuple:
        return bytearray, (2**30,)


def test_a_file_that_asks_for_memory_gets_none(a_model_file: Path) -> None:
    torch.save({"head.weight": Greed()}, a_model_file)
    resign(a_model_file)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="does not hold this network"):
            LiverModel.load(a_model_file)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


# The instructions of a pickle for a gigabyte, in the ways that PyTorch's reader and a check in front may differ about.
GREEDY = pickle.dumps(Greed(), 2)
IN_FRONT = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
OTHER_NAME = pickle.dumps(Greed(), 4)


def with_instructions(content: bytes, instructions: bytes, name: str = "data.pkl") -> bytes:
    """An archive of torch.save with others in place of its instructions."""
    packed = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as archive, ZipFile(packed, "w") as changed:
        for part in archive.namelist():
            is_it = part.endswith("data.pkl")
            changed.writestr(part.replace("data.pkl", name), instructions if is_it else archive.read(part))
    return packed.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        lambda content: with_instructions(content, GREEDY),
        lambda content: with_instructions(content, GREEDY, "DATA.PKL"),
        lambda content: with_instructions(content, GREEDY, "Data.pkl"),
        lambda content: with_instructions(content, OTHER_NAME),
        lambda content: IN_FRONT + GREEDY + content,
        lambda content: b"\0" + content,
    ],
    ids=[
        "as it is called",
        "in capitals",
        "in one capital",
        "named on the stack",
        "an old stream in front",
        "a byte in front",
    ],
)
def test_instructions_reach_pytorch_in_no_way(a_model_file: Path, change: Callable[[bytes], bytes]) -> None:
    a_model_file.write_bytes(change(a_model_file.read_bytes()))
    resign(a_model_file)
    with pytest.raises(ModelError, match="does not hold this network"), memory_for_at_most(megabytes=300):
        LiverModel.load(a_model_file)


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict])
def test_tensors_are_read_as_pytorch_reads_them(kind: type) -> None:
    base = torch.arange(24, dtype=torch.float16)
    tensors = kind(
        whole=base.reshape(2, 3, 4),
        turned=base.reshape(4, 6).t(),
        part=base[5:9],
        other=torch.tensor([0.5, -1.5], dtype=torch.bfloat16),
        count=torch.tensor(7),
    )
    saved = io.BytesIO()
    torch.save(tensors, saved)
    read = read_tensors(saved.getvalue())
    assert list(read) == list(tensors)
    assert all(torch.equal(read[name], values) and read[name].dtype == values.dtype for name, values in tensors.items())


def test_a_file_whose_parts_unpack_to_more_than_itself_is_refused(a_model_file: Path) -> None:
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(100_000_000))
    a_model_file.write_bytes(packed.getvalue())
    resign(a_model_file)
    with pytest.raises(ModelError, match="does not hold this network"), memory_for_at_most(megabytes=50):
        LiverModel.load(a_model_file)


@pytest.mark.parametrize("claims", ["storage", "shape"])
def test_a_tensor_that_claims_more_than_it_has_is_refused(a_model_file: Path, claims: str) -> None:
    """Of 1000 values it says that it has 500 million."""
    saved = io.BytesIO()
    torch.save({"head.weight": torch.zeros(1000)}, saved)
    said, lie = b"M" + struct.pack("<H", 1000), b"J" + struct.pack("<i", 500_000_000)
    with ZipFile(saved) as archive, ZipFile(a_model_file, "w") as lying:
        for part in archive.infolist():
            content = archive.read(part)
            if part.filename.endswith("data.pkl"):
                before, storage, rest = content.partition(said)
                content = before + lie + rest if claims == "storage" else before + storage + rest.replace(said, lie)
            lying.writestr(part.filename, content)
    resign(a_model_file)
    with pytest.raises(ModelError, match="does not hold this network"):
        LiverModel.load(a_model_file)


def test_a_file_larger_than_ours_is_refused_unread(a_model_file: Path) -> None:
    with a_model_file.open("wb") as file:
        file.truncate(25_000_000)
    with pytest.raises(ModelError, match="larger"):
        LiverModel.load(a_model_file)


def test_the_bundled_model_fits_its_card_and_is_small() -> None:
    model = LiverModel.load()
    assert bundled_model_path().stat().st_size <= 20_000_000
    assert model.card.classes[:4] == ("background", "liver", "tumour", "spleen")
    assert {entry["name"] for entry in model.card.training_data} >= {"3D-IRCADb-01", "LiTS 2017 training set"}
    assert "non-commercial" in model.card.licence
