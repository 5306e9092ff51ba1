"""The options of a run: they change what they name, travel with it, and an older checkpoint goes on without them."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib.errors import ModelError
from LiverSegLib.model import LiverModel
from LiverSegLib.network import UNet
from LiverSegLib.segmenter import fold_batch_norm
from Testing.training.phantoms import prepare_phantoms, short_run
from Training.checkpoint import averaged_weights, build_network, first_network
from Training.data.augment import Clip, augment, default_augmentations, project_e_augmentations
from Training.data.sample import Batch, PreparedScan, SliceSampler, load_scans
from Training.export import export
from Training.fit import fit
from Training.losses import LOSSES, boundary_band, make_loss
from Training.settings import Settings, command_of, parse_settings

CPU = torch.device("cpu")
LABELLED = torch.tensor([True, True])

# Settings that the program which made the bundled network did not have yet.
NEWER_SETTINGS = ("num_nodes", "scans_in", "start_from")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom to train on and one to validate on, with pixels of 2.5 mm."""
    return prepare_phantoms(tmp_path_factory.mktemp("prepared"), spacing_mm=2.5)


@pytest.fixture
def settings(prepared: Path, tmp_path: Path) -> Settings:
    return short_run(prepared, tmp_path / "run")


def liver_with_tumour() -> torch.Tensor:
    labels = torch.zeros(2, 32, 32, dtype=torch.uint8)
    labels[:, 6:24, 6:24] = 1
    labels[:, 12:16, 12:16] = 2
    return labels


def logits_of(classes: torch.Tensor, confidence: float = 12.0) -> torch.Tensor:
    return confidence * torch.nn.functional.one_hot(classes.long(), 3).permute(0, 3, 1, 2).float()


# Settings


def test_every_option_reaches_the_settings_and_the_command_repeats_them() -> None:
    words = (
        "--split fold1of4 --spacing-mm 1.25 --offsets-mm -4 0 4 --base-width 24 --depth 4 --block residual "
        "--deep-supervision --loss focal --tumour-weight 1.0 --end-share 0.2 --augmentation-strength 0.5 "
        "--no-random-window --lesion-probability 0.5 --lesion-hu -120 40 --ema-decay 0.99 --seed 3"
    )
    settings = parse_settings(words.split())
    assert settings.offsets_mm == (-4.0, 0.0, 4.0)
    assert settings.widths == (24, 48, 96, 192)
    assert replace(Settings(), base_width=32, patch=2, max_width=100).widths == (32, 64, 100, 100, 100)
    assert settings.random_window is False
    assert parse_settings(command_of(settings).split()[3:]) == settings


def test_the_defaults_are_those_of_the_bundled_network() -> None:
    card = LiverModel.load().card
    settings = Settings()
    assert settings.widths == card.widths
    assert settings.offsets_mm == card.offsets_mm
    assert settings.spacing_mm == card.spacing_mm
    assert settings.block == card.block == "plain"
    assert settings.patch == card.patch
    assert command_of(settings) == "python -m Training.fit"


@pytest.mark.parametrize(
    "words",
    [
        "--depth 7",
        "--patch 3",
        "--offsets-mm -3 3",
        "--loss guess",
        "--block guess",
        "--split guess",
        "--size 225",
        "--size 320",
    ],
)
def test_settings_that_do_not_fit_together_are_refused(words: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as refused:
        parse_settings(words.split())
    assert refused.value.code == 2
    assert words.split()[0].lstrip("-").replace("-", "_") in capsys.readouterr().err


# Runs


def older(settings: dict) -> dict:
    return {name: value for name, value in settings.items() if name not in NEWER_SETTINGS}


def as_an_older_program_wrote(checkpoint: Path) -> None:
    """Without the settings that came later; the rest of a checkpoint has not changed."""
    state = torch.load(checkpoint, weights_only=True)
    state["settings"] = older(state["settings"])
    torch.save(state, checkpoint)


def stop_at_the_first_validation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train to the last checkpoint before it."""

    def stop(*_: object) -> dict[str, float]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("Training.fit.validate", stop)
        fit(settings)


def test_a_checkpoint_from_before_there_was_a_choice_was_trained_with_adamw() -> None:
    assert Settings().optimizer == "muon"
    assert Settings.from_checkpoint({"steps": 5}).optimizer == "adamw"


def test_a_checkpoint_of_the_older_program_goes_on(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, steps=3, validate_every=2, save_every=1)
    stop_at_the_first_validation(settings, monkeypatch)
    checkpoint = tmp_path / "run" / "last.ckpt"
    as_an_older_program_wrote(checkpoint)
    assert torch.load(checkpoint, weights_only=True)["step"] == 1
    state = torch.load(fit(settings), weights_only=True)
    assert state["step"] == 3
    assert Settings.from_checkpoint(state["settings"]) == settings


def test_the_shape_of_the_network_travels_into_the_card(settings: Settings, tmp_path: Path) -> None:
    settings = replace(settings, block="residual", offsets_mm=(-4.0, 0.0, 4.0), loss="boundary")
    export(fit(settings), tmp_path / "model.pt", "test", None)
    model = LiverModel.load(tmp_path / "model.pt")
    assert (model.card.block, model.card.widths, model.card.offsets_mm) == ("residual", (4, 8, 16), (-4.0, 0.0, 4.0))
    assert model.card.spacing_mm == 2.5
    assert model.card.training["settings"]["loss"] == "boundary"
    assert "phantoms" in model.card.training_data[-1]["name"]

    card = tmp_path / "model.json"
    card.write_text(card.read_text().replace('"residual"', '"guess"'))
    with pytest.raises(ModelError):
        LiverModel.load(tmp_path / "model.pt")


def test_a_split_without_validation_trains_and_logs_its_loss(settings: Settings, tmp_path: Path) -> None:
    export(fit(replace(settings, split="final")), tmp_path / "model.pt", "test", None)
    training = LiverModel.load(tmp_path / "model.pt").card.training
    assert training["validation_scans"] == []
    assert float(training["log"]["loss"]) > 0


def test_a_run_begins_with_what_another_has_learnt_and_its_card_names_both(settings: Settings, tmp_path: Path) -> None:
    first = fit(settings)
    second = replace(settings, start_from=str(first), run=str(tmp_path / "second"), split="final", learning_rate=1e-9)
    learnt = averaged_weights(torch.load(first, weights_only=True))
    found = first_network(second).state_dict()
    assert all(torch.equal(found[name], value) for name, value in learnt.items())
    export(fit(second), tmp_path / "model.pt", "test", None)
    training = LiverModel.load(tmp_path / "model.pt").card.training
    assert training["settings"]["start_from"] == str(first)
    assert [run["settings"]["run"] for run in training["earlier_runs"]] == [settings.run]


def test_a_network_may_be_the_mean_of_the_runs_that_led_to_it(settings: Settings, tmp_path: Path) -> None:
    first = fit(settings)
    second = fit(replace(settings, start_from=str(first), run=str(tmp_path / "second"), learning_rate=0.1))
    export(second, tmp_path / "model.pt", "test", None, average_with=[first])
    one, other = (averaged_weights(torch.load(path, weights_only=True)) for path in (first, second))
    exported = torch.load(tmp_path / "model.pt", weights_only=True)
    for name in (name for name, value in one.items() if value.is_floating_point()):
        torch.testing.assert_close(exported[name].float(), (one[name] + other[name]) / 2, atol=1e-3, rtol=1e-3)
    assert not torch.equal(one["head.weight"], other["head.weight"])
    card = LiverModel.load(tmp_path / "model.pt").card
    assert card.training["mean_of_runs"] == [str(first.parent), str(second.parent)]


def test_no_mean_with_a_run_that_has_seen_what_the_network_is_validated_on(settings: Settings, tmp_path: Path) -> None:
    first = fit(replace(settings, split="final"))
    second = fit(replace(settings, run=str(tmp_path / "second")))
    with pytest.raises(ValueError, match="has trained on ircad_e10, ircad_e16, lits_023, which this one holds back"):
        export(second, tmp_path / "model.pt", "test", None, average_with=[first])
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"start_from": "nowhere/last.ckpt"}, "There is no checkpoint nowhere/last.ckpt: train that run first"),
        ({"block": "residual"}, "has block plain, not residual"),
        ({"split": "fold0of4"}, "has trained on ircad_e04, ircad_e08"),
    ],
)
def test_a_run_cannot_begin_with_what_does_not_fit_it_or_has_seen_what_it_holds_back(
    settings: Settings, tmp_path: Path, change: dict, sentence: str
) -> None:
    second = replace(settings, start_from=str(fit(settings)), run=str(tmp_path / "second"))
    with pytest.raises(ValueError, match=re.escape(sentence)):
        fit(replace(second, **change))


def test_a_resumed_run_names_the_commits_that_made_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Training.commit._commit", lambda: "abc")
    stop_at_the_first_validation(settings, monkeypatch)
    monkeypatch.setattr("Training.commit._commit", lambda: "def")
    assert torch.load(fit(settings), weights_only=True)["commit"] == "abc, def from step 1"


def test_an_older_checkpoint_exports_as_the_defaults_say(tmp_path: Path) -> None:
    network = build_network(Settings())
    state = {
        "average": {f"module.{name}": value for name, value in network.state_dict().items()},
        "settings": older(asdict(Settings())),
        "step": 7,
        "commit": "0123456",
    }
    torch.save(state, tmp_path / "last.ckpt")
    (tmp_path / "log.csv").write_text("step,loss\n7,0.5\n")
    export(tmp_path / "last.ckpt", tmp_path / "model.pt", "test", None)
    model = LiverModel.load(tmp_path / "model.pt")
    assert model.card.widths == Settings().widths
    assert "validation: lits_023" in model.card.training_data[1]["patients"]
    for name, value in network.state_dict().items():
        stored = value.half().float() if value.ndim == 4 else value
        assert torch.equal(model.network.state_dict()[name], stored)


def test_a_run_does_not_turn_into_another_experiment(settings: Settings) -> None:
    fit(settings)
    with pytest.raises(ValueError, match="loss dice_cross_entropy, not focal"):
        fit(replace(settings, loss="focal"))
    with pytest.raises(ValueError, match="base_width 4, not 8"):
        fit(replace(settings, base_width=8))
    fit(replace(settings, save_every=2))


def test_a_seed_fixes_the_first_weights(settings: Settings, tmp_path: Path) -> None:
    one, same, other = (
        torch.load(fit(replace(settings, steps=1, seed=seed, run=str(tmp_path / name))), weights_only=True)["network"]
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert torch.equal(one["stem.0.weight"], same["stem.0.weight"])
    assert not torch.equal(one["stem.0.weight"], other["stem.0.weight"])


def test_scans_prepared_with_other_pixels_are_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"--spacing-mm 1\.5"):
        fit(replace(settings, spacing_mm=1.5))


def test_a_scan_prepared_before_pixels_were_an_option_has_those_of_then(prepared: Path, tmp_path: Path) -> None:
    with np.load(prepared / "2000.npz") as stored:
        np.savez(tmp_path / "2000.npz", **{name: stored[name] for name in stored if name != "spacing_mm"})
    assert len(load_scans(tmp_path, "train", CPU)) == 1
    with pytest.raises(ValueError):
        load_scans(tmp_path, "train", CPU, spacing_mm=2.5)


def test_a_split_decides_who_trains(prepared: Path, tmp_path: Path) -> None:
    content = (prepared / "2000.npz").read_bytes()
    for name in ("ircad_e01", "ircad_e02", "lits_003", "ircad_e19"):
        (tmp_path / f"{name}.npz").write_bytes(content)

    def names(part: str, split: str) -> list[str]:
        return [scan.name for scan in load_scans(tmp_path, part, CPU, split, 2.5)]

    assert names("train", "protocol_b") == ["ircad_e01", "ircad_e02"]
    assert names("train", "fold2of4") == ["ircad_e02"]
    assert names("validation", "fold2of4") == ["ircad_e01", "lits_003"]


# Blocks


def test_folding_batch_normalisation_leaves_a_residual_network_s_answer() -> None:
    torch.manual_seed(0)
    network = UNet(3, 3, (4, 8), "residual")
    images = torch.randn(4, 3, 16, 16)
    for _ in range(3):
        network(images)  # moves the running statistics
    network.eval()
    assert torch.allclose(fold_batch_norm(network)(images), network(images), atol=1e-4)


def test_a_residual_block_hands_its_input_on() -> None:
    network = UNet(3, 3, (4, 8), "residual").eval()
    with torch.no_grad():
        network.stem[3].weight.zero_()
        images = torch.randn(1, 3, 8, 8)
        assert torch.allclose(network.stem(images), network.stem.shortcut(images).relu())


# Losses


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_prefers_the_right_answer_to_a_rough_one_and_that_to_none(name: str) -> None:
    loss, labels = make_loss(name), liver_with_tumour()
    right, rough, nothing = (
        float(loss(logits_of(classes), labels, LABELLED))
        for classes in (labels, labels.roll(3, dims=2), torch.zeros_like(labels))
    )
    assert right < 0.02
    assert right < rough < nothing


@pytest.mark.parametrize("name", LOSSES)
def test_a_tumour_counts_only_where_labelled_and_wanted(name: str) -> None:
    labels = liver_with_tumour()
    missed = logits_of(labels.clamp(max=1))
    assert make_loss(name)(missed, labels, LABELLED) > 0.1
    assert make_loss(name)(missed, labels, ~LABELLED) < 0.02
    assert make_loss(name, tumour_weight=0.0)(missed, labels, LABELLED) < 0.02


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("labels", [torch.zeros(2, 32, 32, dtype=torch.uint8), liver_with_tumour()])
def test_gradients_are_finite_and_lead_downhill(name: str, labels: torch.Tensor) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 32, 32, requires_grad=True)
    loss = make_loss(name)(logits, labels, LABELLED)
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    step = 1e-3 * logits.grad / logits.grad.abs().max().clamp(min=1e-12)
    assert make_loss(name)(logits.detach() - step, labels, LABELLED) < loss


def test_a_weighted_miss_costs_more_than_a_weighted_false_alarm() -> None:
    labels = liver_with_tumour().clamp(max=1)
    missed, invented = labels.clone(), labels.clone()
    missed[:, 6:9, 6:9] = 0
    invented[:, 0:3, 0:3] = 1
    loss = make_loss("weighted_cross_entropy", tumour_weight=0.0)
    costs = [float(loss(logits_of(classes), labels, LABELLED)) for classes in (missed, invented)]
    # The liver's logit is 12 where it is said to be, ln 2 - 12 where it is not: two classes share the other side.
    assert costs[0] / costs[1] == pytest.approx(10 * (12 - np.log(2)) / 12, rel=1e-3)


def test_the_band_of_a_boundary_reaches_three_pixels_to_both_sides() -> None:
    mask = torch.zeros(1, 20, 20)
    mask[:, :, 10:] = 1
    assert boundary_band(mask)[0, 5].nonzero()[:, 0].tolist() == [7, 8, 9, 10, 11, 12]
    assert boundary_band(torch.ones(1, 8, 8)).sum() == 0


# Sampling and augmentation


def test_slices_at_the_ends_of_the_liver_are_drawn_by_their_share() -> None:
    labels = torch.zeros(60, 4, 4, dtype=torch.uint8)
    labels[10:50] = 1
    numbers = torch.arange(60, dtype=torch.float32)[:, None, None].expand(60, 4, 4)
    scan = PreparedScan("a", numbers.contiguous(), labels, 5.0, True, "real")
    assert scan.end_slices.tolist() == [*range(7, 14), *range(46, 53)]

    def share_of_ends(end_share: float) -> float:
        sampler = SliceSampler([scan], 4, {"real": 1.0}, 1.0, 0, (0.0,), end_share)
        drawn = [sampler._position(0) for _ in range(400)]
        return float(np.isin(drawn, scan.end_slices.numpy()).mean())

    assert share_of_ends(0.0) == pytest.approx(8 / 40, abs=0.05)
    assert share_of_ends(0.5) == pytest.approx(0.5 + 0.5 * 8 / 40, abs=0.05)


def test_slices_with_tumour_are_drawn_by_their_share_where_a_scan_has_any() -> None:
    labels = torch.ones(60, 4, 4, dtype=torch.uint8)
    healthy = PreparedScan("a", torch.zeros(60, 4, 4), labels.clone(), 5.0, True, "real")
    labels[20:23, 1, 1] = 2
    ill = PreparedScan("b", torch.zeros(60, 4, 4), labels, 5.0, True, "real")
    sampler = SliceSampler([healthy, ill], 4, {"real": 1.0}, 1.0, 0, (0.0,), tumour_share=0.4)
    drawn = [sampler._position(1) for _ in range(400)]
    assert np.isin(drawn, [20, 21, 22]).mean() == pytest.approx(0.4 + 0.6 * 3 / 60, abs=0.06)
    assert len({sampler._position(0) for _ in range(400)}) > 50


def test_a_sampler_s_offsets_are_its_channels(prepared: Path) -> None:
    scans = load_scans(prepared, "train", CPU, spacing_mm=2.5)
    assert SliceSampler(scans, 32, {"real": 1.0}, 1.0, 0, (-9.0, 0.0, 9.0)).batch(2).hu.shape == (2, 3, 32, 32)


@pytest.fixture
def a_batch() -> Batch:
    torch.manual_seed(0)
    hu = (torch.randn(8, 3, 64, 64) * 40).cumsum(2).cumsum(3) / 20
    return Batch(hu, (hu[:, 1] > 0).to(torch.uint8), torch.ones(8, dtype=torch.bool))


def test_augmentation_of_strength_zero_leaves_the_picture(a_batch: Batch) -> None:
    changed = augment(a_batch, default_augmentations(64, strength=0.0, random_window=False))
    assert torch.allclose(changed.hu, a_batch.hu, atol=1e-2)
    assert torch.equal(changed.labels, a_batch.labels)


def test_augmentation_of_strength_one_is_the_bundled_network_s() -> None:
    names = [repr(augmentation) for augmentation in default_augmentations(224)]
    assert (
        "Warp(size=224, mirror_probability=0.0, prone_probability=0.05, rotation_degrees=20.0, scale=(0.8, 1.25)"
        in (names[0])
    )
    assert names == [
        repr(type(each)(224) if n == 0 else type(each)()) for n, each in enumerate(default_augmentations(224))
    ]


def test_stronger_augmentation_moves_labels_further(a_batch: Batch) -> None:
    def moved(strength: float) -> float:
        torch.manual_seed(1)
        changed = augment(a_batch, default_augmentations(64, strength)[:1])
        return float((changed.labels != a_batch.labels).float().mean())

    assert 0 < moved(0.25) < moved(1.0)


def test_windows_are_random_unless_switched_off() -> None:
    assert any(isinstance(each, Clip) for each in default_augmentations(64))
    assert not any(isinstance(each, Clip) for each in default_augmentations(64, random_window=False))


def test_project_e_flips_turns_and_blurs_and_does_no_more(a_batch: Batch) -> None:
    changed = augment(a_batch, project_e_augmentations(64, strength=0.0))
    flips = [[], [1], [2], [1, 2]]
    found = [
        [n for n, axes in enumerate(flips) if torch.allclose(new, old.flip(axes) if axes else old, atol=1e-2)]
        for new, old in zip(changed.hu, a_batch.hu, strict=True)
    ]
    assert all(found), "only flips are left at strength 0"
    assert len({tuple(each) for each in found}) > 1
    blurred = augment(a_batch, project_e_augmentations(64))
    assert not torch.equal(blurred.hu, changed.hu)
