"""CT as scanners of no kind see it: each organ and tissue as bright as chance will have it (as domain randomisation
does; Billot et al., SynthSeg, Medical Image Analysis 86, 2023), so that a network learns shapes and places, and no
contrast.

What is drawn is MR in that air is dark, slices are thick, fat is suppressed or not and shifted along the read-out, and
where fat and water share a pixel they may cancel. Signal lies on the scale of the network's window, 0 at its lower end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..settings import WINDOW_HU
from .classes import BACKGROUND, Classes
from .density import smooth

# Of MR, distance between slices; of that, what a slice is thick.
SLICES_MM, THICK_SHARE, THICKNESS = (2.0, 10.0), 0.6, (0.5, 1.0)
# HU of air, fat, fluid, muscle, organs, vessels and bone, between which tissue is interpolated; they move by so much.
TISSUE_HU, TISSUE_SHIFT_HU = (-190.0, -100.0, 5.0, 50.0, 95.0, 150.0, 230.0), 12.0
FAT, BONE = 1, 6
# Fat that is suppressed has at most that signal.
SUPPRESSED, SUPPRESSED_SHARE = 0.25, 0.5
# Of organs: their level, how it grows with HU, which of them are as bright as the liver, nearly, or much brighter.
LEVEL, SLOPE, NEAR_LIVER, NEAR_SHARE = (0.05, 1.0), 0.003, 0.08, 0.25
BRIGHT = {"gallbladder": ((0.3, 2.5), 0.6), "stomach": ((0.3, 2.0), 0.3)}
# What a scan that was clipped reads at its lower end is dark, be it air or fat: this much above the lowest value.
CLIPPED_HU = 15.0
# Samples in which organs have no level of their own, but one by their HU; in which the map of HU differs by place; in
# which noise of the CT is smoothed away, fat is shifted, and fat and water cancel.
BY_HU_ALONE, TWO_MAPS, SMOOTHED, SHIFTED, CANCELLED = 0.15, 0.5, 0.75, 0.3, 0.25
FAT_SHIFT_PIXELS = 3
# The brightest percentile fills the window as in a scan, but a slice is no scan.
FULL, FULL_RANGE = 0.98, (0.6, 1.4)


def thick_slices(
    count: int, position: int, spacing: float, offsets_mm: Sequence[float] | np.ndarray, rng: np.random.Generator
) -> Tensor:
    """How much each of ``count`` slices of a CT weighs in a slice of MR at a position and in its neighbours.

    The MR has slices of random distance and thickness, and its neighbours are interpolated between them; float32
    (neighbour, slice), rows of sum 1.
    """
    offsets = np.asarray(offsets_mm, float)
    apart = rng.uniform(*SLICES_MM) if rng.random() < THICK_SHARE else 0.0
    if apart <= spacing:
        return torch.from_numpy(_interpolated(position + offsets / spacing, count))
    thick = apart * rng.uniform(*THICKNESS) / spacing
    below = np.floor(offsets / apart)
    weight = (offsets / apart - below)[:, None]
    first, second = (_averaged(position + step * apart / spacing, thick, count) for step in (below, below + 1))
    return torch.from_numpy(((1 - weight) * first + weight * second).astype(np.float32))


def _interpolated(exact: np.ndarray, count: int) -> np.ndarray:
    """Weights of the slices next to exact positions."""
    exact = exact.clip(0, count - 1)
    return np.maximum(0, 1 - np.abs(exact[:, None] - np.arange(count))).astype(np.float32)


def _averaged(middles: np.ndarray, thick: float, count: int) -> np.ndarray:
    """Weights of three of the slices that a thick one about each of these positions covers; more would take longer."""
    covered = np.rint(middles[:, None] + thick * np.array((-1, 0, 1)) / 3).clip(0, count - 1)
    return (covered[:, :, None] == np.arange(count)).mean(axis=1)


def contrast_of_any_kind(
    hu: Tensor, labels: Tensor, weights: Tensor, classes: Classes, rng: np.random.Generator
) -> Tensor:
    """Signal of a slice and its neighbours, float (neighbour, rows, columns).

    Parameters
    ----------
    hu, labels
        Slices of a CT and their labels, (n, rows, columns).
    weights
        What :func:`thick_slices` says, (neighbour, n).
    classes
        What the labels mean.
    rng
        Whence all that is random.
    """
    lowest = float(hu.min())
    dark = hu <= lowest + CLIPPED_HU if lowest > TISSUE_HU[0] else hu <= TISSUE_HU[0]
    calm = smooth(hu) if rng.random() < SMOOTHED else hu
    signal = _by_hu(calm, rng)
    if rng.random() >= BY_HU_ALONE:
        signal = _by_organ(signal, calm, labels, classes, rng)
    fat = ((calm + 40) / -40).clamp(0, 1) * ~dark
    signal = signal.masked_fill(dark, 0.0)
    if rng.random() < SHIFTED:
        signal = _shifted(signal, fat, rng)
    if rng.random() < CANCELLED:
        signal = signal * (1 - 2 * smooth(fat)).abs()
    signal = torch.einsum("on,nyx->oyx", weights, signal)
    low, high = WINDOW_HU
    return low + signal * ((high - low) * float(rng.uniform(*FULL_RANGE)) / _full(signal))


def _full(signal: Tensor) -> float:
    """What the body's brightest percentile is, as :mod:`LiverSegLib.inference.mr_signal` finds it."""
    some = signal[::2, ::5, ::5]
    body = some[some > 0.1 * some.max()]
    return max(float(torch.quantile(body, FULL)), 1e-3) if len(body) else 1.0


def _by_hu(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Signal by HU, the same map throughout or two of them, each in places of its own."""
    signal = _mapped(hu, rng)
    if rng.random() >= TWO_MAPS:
        return signal
    noise = torch.from_numpy(rng.normal(size=(1, 1, 5, 5))).to(hu.dtype)
    field = torch.nn.functional.interpolate(noise, size=hu.shape[1:], mode="bicubic", align_corners=True)
    return torch.lerp(signal, _mapped(hu, rng), torch.sigmoid(10 * field[0]))


def _mapped(hu: Tensor, rng: np.random.Generator) -> Tensor:
    nodes = np.sort(np.array(TISSUE_HU) + rng.normal(0, TISSUE_SHIFT_HU, len(TISSUE_HU)))
    levels = rng.uniform(*LEVEL, len(TISSUE_HU))
    levels[0] = 0.0
    if rng.random() < SUPPRESSED_SHARE:
        levels[FAT] *= SUPPRESSED
    if rng.random() < 0.5:  # cortical bone
        levels[BONE] *= 0.2
    # A table by whole HU is quicker than a search for every pixel.
    table = np.interp(np.arange(-260, 401), nodes, levels).astype(np.float32)
    return torch.from_numpy(table)[(hu.clamp(-260, 400) + 260).long()]


def _by_organ(signal: Tensor, hu: Tensor, labels: Tensor, classes: Classes, rng: np.random.Generator) -> Tensor:
    """Organs at levels of their own; within them signal grows or falls with HU, so that vessels stay visible."""
    liver = rng.uniform(*LEVEL)
    for number, name in enumerate(classes.names):
        mask = labels == number
        if name == BACKGROUND or not mask.any():
            continue
        level = liver if name == "liver" else _level_of(name, liver, rng)
        values = hu[mask]
        inside = level + rng.normal(0, SLOPE) * (values - values.mean()).clamp(-100, 150)
        signal = signal.masked_scatter(mask, inside.clamp(0.01, 3.0).to(signal.dtype))
    # The step between two organs is as soft as the picture.
    return smooth(signal)


def _level_of(name: str, liver: float, rng: np.random.Generator) -> float:
    levels, share = BRIGHT.get(name, (LEVEL, 0.0))
    if rng.random() < share:
        return float(rng.uniform(*levels))
    if rng.random() < NEAR_SHARE:
        return float(np.clip(liver + rng.normal(0, NEAR_LIVER), 0.03, 1.5))
    return float(rng.uniform(*LEVEL))


def _shifted(signal: Tensor, fat: Tensor, rng: np.random.Generator) -> Tensor:
    """Fat's signal some pixels along one axis, which leaves a dark border on one side and a bright one on the other."""
    shift = int(rng.integers(1, FAT_SHIFT_PIXELS + 1) * rng.choice((-1, 1)))
    of_fat = signal * fat
    return signal - of_fat + torch.roll(of_fat, shift, dims=int(rng.choice((1, 2))))
