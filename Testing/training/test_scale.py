"""Training by several processes and on many scans: they share the work, and none holds the data.

Run as a script, this file is one of those processes: it trains with the options given and notes what it saw.
"""

from __future__ import annotations

import csv
import ctypes
import gc
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from LiverSegLib.grid import window
from LiverSegLib.phantom import make_phantom
from Training import fit as program
from Training.checkpoint import build_network
from Training.data.prepare import LabelledScan, save_on_model_grid
from Training.data.sample import Batch, PreparedScan, SliceSampler, draw_ahead, load_scans
from Training.fit import fit, share_of
from Training.losses import make_loss
from Training.optimizer import OPTIMIZERS
from Training.settings import Settings, parse_settings
from Training.spec import WINDOW_HU

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
TINY = (
    "--accelerator cpu --spacing-mm 2.5 --steps 3 --batch 4 --size 32 --sampled-size 40 --base-width 4 --depth 3 "
    "--validate-every 1 --save-every 1"
)
INDEX = ("liver_slices", "tumour_slices")


# One of several processes


def note_what_this_process_sees(folder: Path, options: list[str]) -> None:
    """Train, a fresh run to its second validation only, and write ``process<rank>.pt`` into ``folder``."""
    settings = parse_settings(options)
    resumed = (Path(settings.run) / "last.ckpt").exists()
    seen: dict = {"batches": [], "scores": [], "written": set()}
    augment, validate = program.augment, program.validate

    def noted_augment(*arguments: object) -> Batch:
        batch = augment(*arguments)
        seen.setdefault("first_batch", (batch.hu, batch.labels, batch.tumour_labelled))
        seen["batches"].append(hashlib.sha256(batch.hu.numpy().tobytes()).hexdigest())
        return batch

    def noted_validate(fabric, network: torch.nn.Module, *arguments: object) -> dict[str, float]:
        seen["rank"] = fabric.global_rank
        seen["guessed"] = validate(fabric, guessing_network(settings), *arguments)
        seen["scores"].append(validate(fabric, network, *arguments))
        seen["average"] = {name: value.clone() for name, value in network.state_dict().items()}
        if len(seen["scores"]) == 2 and not resumed:
            raise KeyboardInterrupt
        return seen["scores"][-1]

    def parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
        return [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def before_step(optimizer: torch.optim.Optimizer, *_: object) -> None:
        seen.setdefault("first_weights", [each.detach().clone() for each in parameters(optimizer)])
        seen.setdefault("first_gradients", [each.grad.clone() for each in parameters(optimizer)])

    def after_step(optimizer: torch.optim.Optimizer, *_: object) -> None:
        seen["last_weights"] = [each.detach().clone() for each in parameters(optimizer)]

    def on_event(event: str, arguments: tuple) -> None:
        if event == "open" and str(arguments[0]).startswith(settings.run) and arguments[1] not in ("r", "rb"):
            seen["written"].add(Path(arguments[0]).name)

    program.augment, program.validate = noted_augment, noted_validate
    register_optimizer_step_pre_hook(before_step)
    register_optimizer_step_post_hook(after_step)
    sys.addaudithook(on_event)
    try:
        fit(settings)
    except KeyboardInterrupt:
        seen["stopped"] = True
    seen["written"] = sorted(seen["written"])
    torch.save(seen, folder / f"process{seen['rank']}.pt")


def guessing_network(settings: Settings) -> torch.nn.Module:
    """One that takes some pixels for liver and some for tumour; after three steps of training it takes none."""
    torch.manual_seed(1)
    network = build_network(settings)
    torch.nn.init.zeros_(network.head.bias)
    return network


def run_together(*commands: list[str]) -> None:
    """Run the commands at the same time to their end; none is left behind, whatever happens."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "LiverSeg"))),
    }
    started = [
        subprocess.Popen(command, env=environment, start_new_session=True, encoding="utf-8", stderr=subprocess.PIPE)
        for command in commands
    ]
    try:
        for process in started:
            errors = process.communicate(timeout=600)[1]
            assert process.returncode == 0, errors
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def save_phantom(path: Path, seed: int, split: str = "train", slices: int = 12) -> None:
    phantom = make_phantom(seed, shape=(slices, 48, 48), spacing=(240.0 / slices, 7.5, 7.5))
    save_on_model_grid(LabelledScan(phantom.ct, phantom.labels, True), path, split, "real", 2.5)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantoms to train on and three, which two processes cannot share evenly, to validate on."""
    folder = tmp_path_factory.mktemp("prepared")
    for seed, split in enumerate(("train", "train", "validation", "validation", "validation"), start=2000):
        save_phantom(folder / f"{seed}.npz", seed, split)
    return folder


@pytest.fixture(scope="module")
def run(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that two nodes of one process began under torchrun, and one node of two processes finished.

    ``begun`` and ``finished`` hold what the processes saw.
    """
    folder = tmp_path_factory.mktemp("scale")
    options = ["--prepared", str(prepared), "--run", str(folder / "run"), *TINY.split()]
    for name in ("begun", "finished"):
        (folder / name).mkdir()
    port = str(free_port())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    torchrun += ["--master-addr", "127.0.0.1", "--master-port", port]
    run_together(
        *([*torchrun, "--node-rank", str(node), "--", __file__, str(folder / "begun"), *options] for node in range(2))
    )
    (folder / "begun.ckpt").write_bytes((folder / "run" / "last.ckpt").read_bytes())
    run_together([sys.executable, __file__, str(folder / "finished"), *options, "--devices", "2"])
    return folder


def seen_by(run: Path, part: str) -> list[dict]:
    return [torch.load(run / part / f"process{rank}.pt", weights_only=True) for rank in range(2)]


def gradients_of(batch: tuple[torch.Tensor, ...], settings: Settings) -> list[torch.Tensor]:
    """Of a fresh network, as one process alone has them."""
    torch.manual_seed(settings.seed)
    network = build_network(settings).to(memory_format=torch.channels_last)
    hu, labels, tumour_labelled = batch
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(window(hu, WINDOW_HU).contiguous(memory_format=torch.channels_last)).float()
    make_loss(settings.loss, settings.tumour_weight)(logits, labels, tumour_labelled).backward()
    return [parameter.grad for parameter in trained_parameters(network, settings)]


def trained_parameters(network: torch.nn.Module, settings: Settings) -> list[torch.Tensor]:
    """Those of the network in the optimiser's order."""
    optimizer = OPTIMIZERS[settings.optimizer](network, settings.learning_rate, settings.weight_decay)
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def difference(first: list[torch.Tensor], second: list[torch.Tensor]) -> float:
    """Relative, over all tensors together."""
    a, b = (torch.cat([each.flatten() for each in tensors]) for tensors in (first, second))
    return float((a - b).norm() / b.norm())


def test_processes_draw_different_samples_and_share_the_batch(run: Path) -> None:
    for part in ("begun", "finished"):
        first, second = seen_by(run, part)
        assert len(first["batches"]) == len(second["batches"]) == 2
        assert len({*first["batches"], *second["batches"]}) == 4
        assert len(first["first_batch"][0]) == len(second["first_batch"][0]) == 2
    drawn = [digest for part in ("begun", "finished") for seen in seen_by(run, part) for digest in seen["batches"]]
    assert len(set(drawn)) == len(drawn), "a resumed run repeats no samples"


def test_gradients_are_the_mean_of_all_processes(run: Path) -> None:
    settings = parse_settings(TINY.split())
    processes = seen_by(run, "begun")
    alone = [gradients_of(seen["first_batch"], settings) for seen in processes]
    mean = [(a + b) / 2 for a, b in zip(*alone, strict=True)]
    torch.nn.utils.clip_grad_norm_(leaves := [with_gradient(each) for each in mean], 5.0)
    mean = [leaf.grad for leaf in leaves]
    for seen in processes:
        assert difference(seen["first_gradients"], mean) < 0.01
    assert difference(alone[0], alone[1]) > 0.1, "or the mean would prove nothing"


def with_gradient(gradient: torch.Tensor) -> torch.Tensor:
    leaf = torch.zeros_like(gradient, requires_grad=True)
    leaf.grad = gradient.clone()
    return leaf


@pytest.mark.parametrize("part", ["begun", "finished"])
def test_weights_average_and_scores_are_the_same_everywhere(run: Path, part: str) -> None:
    first, second = seen_by(run, part)
    for name in ("first_weights", "last_weights"):
        assert all(torch.equal(a, b) for a, b in zip(first[name], second[name], strict=True))
    assert difference(first["last_weights"], first["first_weights"]) > 0
    assert all(torch.equal(first["average"][name], value) for name, value in second["average"].items())
    assert first["scores"] == second["scores"]


def test_shared_validation_scores_as_one_process_does(run: Path, prepared: Path) -> None:
    network = guessing_network(parse_settings(TINY.split()))
    scans = load_scans(prepared, "validation", CPU, spacing_mm=2.5)
    alone = program.validate(program.Fabric(accelerator="cpu", devices=1), network, scans)
    assert set(alone) == {"2002", "2003", "2004", "liver_dice", "tumour_dice"}
    assert min(alone.values()) > 0
    for part in ("begun", "finished"):
        for seen in seen_by(run, part):
            assert seen["guessed"] == pytest.approx(alone, abs=2e-4)


def test_the_first_process_alone_writes(run: Path) -> None:
    for part in ("begun", "finished"):
        first, second = seen_by(run, part)
        assert "log.csv" in first["written"]
        assert second["written"] == []
    assert sorted(path.name for path in (run / "run").iterdir()) == ["last.ckpt", "log.csv"]


def test_a_run_goes_on_with_other_processes_where_it_stopped(run: Path) -> None:
    begun, finished = (torch.load(path, weights_only=True) for path in (run / "begun.ckpt", run / "run" / "last.ckpt"))
    assert (begun["step"], finished["step"]) == (1, 3)
    assert all(seen["stopped"] for seen in seen_by(run, "begun"))
    taken_up = seen_by(run, "finished")[1]["first_weights"]
    settings = parse_settings(TINY.split())
    network = build_network(settings).to(memory_format=torch.channels_last)
    network.load_state_dict(begun["network"])
    kept = trained_parameters(network, settings)
    assert all(torch.equal(a, b) for a, b in zip(taken_up, kept, strict=True))
    with (run / "run" / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3"]


def test_a_checkpoint_says_on_how_many_processes_and_nodes_it_was_made(run: Path) -> None:
    for path, expected in ((run / "begun.ckpt", (1, 2)), (run / "run" / "last.ckpt", (2, 1))):
        settings = Settings.from_checkpoint(torch.load(path, weights_only=True)["settings"])
        assert (settings.devices, settings.num_nodes) == expected


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    assert share_of(12, 4) == 3
    with pytest.raises(ValueError, match="8 processes cannot share a batch of 12"):
        share_of(12, 8)


# Scans that stay on disk


def as_prepared_before(path: Path) -> None:
    """Rewrite a prepared scan without the lists of its liver's and its tumour's slices."""
    with np.load(path) as stored:
        content = {name: stored[name] for name in stored if name not in INDEX}
    np.savez(path, **content)


@pytest.fixture(params=["as it is", "as it was before"])
def scans_of_both_ages(prepared: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    for name in ("2000.npz", "2001.npz"):
        (tmp_path / name).write_bytes((prepared / name).read_bytes())
        if request.param == "as it was before":
            as_prepared_before(tmp_path / name)
    return tmp_path


def load(folder: Path, stream: bool) -> list[PreparedScan]:
    return load_scans(folder, "train", CPU, spacing_mm=2.5, stream=stream)


def sampler_of(scans: list[PreparedScan], size: int = 40) -> SliceSampler:
    return SliceSampler(scans, size, {"real": 1.0}, 0.6, 3, end_share=0.2, tumour_share=0.2)


def equal(first: Batch, second: Batch) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in vars(first))


def test_a_streamed_scan_is_the_held_one_slice_by_slice(scans_of_both_ages: Path) -> None:
    for streamed, held in zip(load(scans_of_both_ages, True), load(scans_of_both_ages, False), strict=True):
        assert len(streamed.hu) == len(held.hu) == 12
        for wanted in (slice(0, 1), slice(3, 8), slice(10, 12), slice(None), slice(5, 5), slice(9, 40)):
            assert torch.equal(streamed.hu[wanted], held.hu[wanted])
            assert torch.equal(streamed.labels[wanted], held.labels[wanted])
        for index in (*INDEX, "end_slices"):
            assert torch.equal(getattr(streamed, index), getattr(held, index))


def test_streamed_batches_are_the_held_ones_for_a_seed(scans_of_both_ages: Path) -> None:
    streamed, held = (sampler_of(load(scans_of_both_ages, stream)) for stream in (True, False))
    batches = [held.batch(3) for _ in range(8)]
    assert all(equal(streamed.batch(3), batch) for batch in batches)
    assert not equal(batches[0], batches[1])


def test_batches_drawn_ahead_come_in_the_same_order(prepared: Path) -> None:
    ahead = draw_ahead(sampler_of(load(prepared, True)), 2)
    plain = sampler_of(load(prepared, True))
    assert all(equal(next(ahead), plain.batch(2)) for _ in range(6))


def test_a_run_learns_the_same_from_streamed_scans(prepared: Path, tmp_path: Path) -> None:
    options = ["--prepared", str(prepared), *TINY.split()]
    streamed, held = (
        torch.load(fit(parse_settings([*options, "--run", str(tmp_path / where), "--scans-in", where])))["network"]
        for where in ("stream", "device")
    )
    assert all(torch.equal(streamed[name], value) for name, value in held.items())


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_number_of_scans(tmp_path: Path) -> None:
    many = folder_of_links(tmp_path, 40)
    data = sum(path.stat().st_size for path in many.iterdir())
    memory_of(few := folder_of_links(tmp_path, 1), stream=True)  # what is loaded once
    few_streamed, many_streamed = memory_of(few, stream=True), memory_of(many, stream=True)
    assert many_streamed - few_streamed < 0.05 * data
    assert memory_of(many, stream=False) > 0.8 * data, "or the measure would show nothing"


def folder_of_links(folder: Path, count: int) -> Path:
    """As many scans of 4 MB, that take the disk's space of one."""
    one, links = folder / "one.npz", folder / f"links{count}"
    if not one.exists():
        save_phantom(one, 2000, slices=64)
    links.mkdir()
    for number in range(count):
        os.link(one, links / f"{number:03d}.npz")
    return links


def memory_of(folder: Path, stream: bool) -> int:
    """Bytes of its own, page cache left out, by which this process grows while it draws from the folder's scans."""
    gc.collect()
    # What tests before this one left free would be taken first, and no growth be seen.
    ctypes.CDLL(None).malloc_trim(0)
    before = anonymous_bytes()
    sampler = sampler_of(load(folder, stream))
    for _ in range(5):
        sampler.batch(4)
    gc.collect()
    return anonymous_bytes() - before


def anonymous_bytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def compress(path: Path) -> None:
    with np.load(path) as stored:
        content = dict(stored)
    np.savez_compressed(path, **content)


def order_by_columns(path: Path) -> None:
    with np.load(path) as stored:
        content = dict(stored)
    np.savez(path, **{**content, "labels": np.asfortranarray(content["labels"])})


@pytest.mark.parametrize("change", [compress, order_by_columns])
def test_a_file_that_cannot_be_streamed_is_refused_and_can_be_held(
    prepared: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "2000.npz"
    path.write_bytes((prepared / "2000.npz").read_bytes())
    change(path)
    with pytest.raises(ValueError, match=r"2000\.npz cannot be streamed.*--scans-in device"):
        load(tmp_path, True)
    assert torch.equal(load(tmp_path, False)[0].hu, load(prepared, False)[0].hu)


def test_a_file_that_changes_during_a_run_is_noticed(tmp_path: Path) -> None:
    save_phantom(tmp_path / "2000.npz", 2000)
    scan = load(tmp_path, True)[0]
    save_phantom(tmp_path / "2000.npz", 2001)
    with pytest.raises(ValueError, match="was changed while it was in use"):
        scan.hu[0:1]


def test_a_file_that_is_being_written_is_no_scan(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "2000.npz").write_bytes((prepared / "2000.npz").read_bytes())
    (tmp_path / ".0badcafe-2001.npz").write_bytes((prepared / "2001.npz").read_bytes()[:1000])
    assert [scan.name for scan in load(tmp_path, True)] == ["2000"]


def test_where_the_scans_lie_is_an_option_and_no_other_word_will_do(capsys: pytest.CaptureFixture) -> None:
    assert parse_settings([]).scans_in == "stream"
    assert parse_settings(["--scans-in", "device"]).scans_in == "device"
    with pytest.raises(SystemExit):
        parse_settings(["--scans-in", "cloud"])
    assert "scans_in is one of stream, device, not 'cloud'" in capsys.readouterr().err


if __name__ == "__main__":
    note_what_this_process_sees(Path(sys.argv[1]), sys.argv[2:])
