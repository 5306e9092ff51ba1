"""Deep supervision: coarser levels learn too, and what is kept is the plain network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from LiverSegLib.model import LiverModel
from LiverSegLib.network import UNet
from Testing.training.phantoms import prepare_phantoms, short_run
from Training.checkpoint import averaged_weights, first_network
from Training.deep_supervision import HEADS, DeeplySupervisedUNet, supervise_deeply
from Training.export import export
from Training.fit import fit
from Training.losses import make_loss
from Training.settings import Settings

SHAPE = {"in_channels": 3, "classes": 3, "widths": (4, 8, 16, 16), "block": "plain", "patch": 2}
LABELLED = torch.tensor([True, True])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    prepared = prepare_phantoms(tmp_path / "prepared", spacing_mm=2.5)
    return replace(short_run(prepared, tmp_path / "run"), deep_supervision=True)


def labels_with_tumour() -> torch.Tensor:
    labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
    labels[:, 8:48, 8:48] = 1
    labels[:, 16:32, 16:32] = 2
    return labels


def test_each_level_speaks_in_training_and_the_finest_alone_afterwards() -> None:
    network, images = DeeplySupervisedUNet(**SHAPE), torch.randn(2, 3, 64, 64)
    assert [tuple(logits.shape[1:]) for logits in network(images)] == [(3, 64, 64), (3, 16, 16), (3, 8, 8)]

    plain = UNet(**SHAPE)
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith(HEADS)})
    assert torch.equal(network.eval()(images), plain.eval()(images))


def test_a_wrong_coarse_level_costs_less_than_a_wrong_fine_one() -> None:
    labels = labels_with_tumour()
    right = [12 * torch.nn.functional.one_hot(labels[:, ::step, ::step].long(), 3).movedim(-1, 1) for step in (1, 4, 8)]
    loss = supervise_deeply(make_loss("dice_cross_entropy"))
    perfect = loss(right, labels, LABELLED)
    assert perfect < 0.05
    costs = [
        loss([*right[:level], -right[level], *right[level + 1 :]], labels, LABELLED) - perfect for level in range(3)
    ]
    assert costs[0] > costs[1] > costs[2] > 1


def test_every_level_is_trained() -> None:
    network, labels = DeeplySupervisedUNet(**SHAPE), labels_with_tumour()
    loss = supervise_deeply(make_loss("dice_cross_entropy"))
    loss(network(torch.randn(2, 3, 64, 64)), labels, LABELLED).backward()
    assert all(head.weight.grad.abs().sum() > 0 for head in network.coarse_heads)


def test_a_run_resumes_hands_on_and_is_exported_without_the_heads(settings: Settings, tmp_path: Path) -> None:
    first = fit(settings)
    assert fit(settings) == first, "resumed, with nothing left to do"
    learnt = averaged_weights(torch.load(first, weights_only=True))
    assert not any(name.startswith(HEADS) for name in learnt)
    assert learnt.keys() == first_network(replace(settings, deep_supervision=False)).state_dict().keys()

    for deep in (True, False):
        fit(replace(settings, run=str(tmp_path / f"deep {deep}"), start_from=str(first), deep_supervision=deep))
    export(tmp_path / "deep True" / "last.ckpt", tmp_path / "model.pt", "test", None)
    assert type(LiverModel.load(tmp_path / "model.pt").network) is UNet
