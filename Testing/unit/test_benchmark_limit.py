"""Operations of the network and the rate of the machine: both count a multiplication and an addition as two."""

from __future__ import annotations

import pytest
import torch

from LiverSegLib.model.liver_model import LiverModel
from Testing.benchmark import flops, limit


def test_operations_of_a_convolution_are_those_of_the_formula() -> None:
    convolution = torch.nn.Conv2d(3, 5, 3, padding=1)
    assert flops.of_batches(convolution, [(2, 3, 32, 64)]) == 2 * 2 * 9 * 3 * 5 * 32 * 64


def test_what_the_segmenter_adds_at_the_edges_counts() -> None:
    convolution = torch.nn.Conv2d(3, 5, 3, padding=1)
    assert flops.of_batches(convolution, [(1, 3, 33, 20)]) == flops.of_batches(convolution, [(1, 3, 64, 32)])


def test_batches_add_up(an_untrained_model: LiverModel) -> None:
    network = an_untrained_model.network
    parts = [(4, 3, 64, 32), (1, 3, 64, 32), (2, 3, 32, 32)]
    assert flops.of_batches(network, parts) == sum(flops.of_batches(network, [part]) for part in parts) > 0
    assert flops.work(network, parts) == {
        "batches": 3,
        "images": 7,
        "pixels": 5 * 64 * 32 + 2 * 32 * 32,
        "flop": flops.of_batches(network, parts),
    }


def test_counting_leaves_the_network_where_it_is(an_untrained_model: LiverModel) -> None:
    flops.of_batches(an_untrained_model.network, [(1, 3, 32, 32)])
    assert {parameter.device.type for parameter in an_untrained_model.network.parameters()} == {"cpu"}


def test_the_limit_is_the_best_convolution_of_each_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "SIZES", ((4, 8), (8, 16)))
    found = limit.measure("cpu", seconds=0.0)
    assert set(found["gflops"]) == {"float32", "bfloat16"}
    assert found["precision"] in found["gflops"]
    assert len(found["convolutions"]) == 4
    for precision, best in found["gflops"].items():
        assert best == max(each["gflops"] for each in found["convolutions"] if each["precision"] == precision) > 0
