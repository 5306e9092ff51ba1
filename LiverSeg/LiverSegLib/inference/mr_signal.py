"""MR signal has no unit: it is brought to the scale that the network's window is laid on, as HU lie on it in CT."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.volume import CTVolume

# No signal, and what is no background: this share of the way to the strongest that is no outlier.
NOTHING, STRONGEST, BACKGROUND = 0.5, 99.5, 0.1
# Of the body's voxels, those that lie below what fills the window: gallbladder, bowel, cysts and the fat beneath a
# coil, which may be many times as bright as all else, are the rest.
FULL = 98.0
# Voxels looked at.
_SAMPLED_VOXELS = 1_000_000


def signal_range(values: np.ndarray) -> tuple[float, float]:
    """What is no signal, and what the 98th percentile of the body is, of values of any shape.

    The body is what lies above a tenth of the way from the one to the strongest signal, outliers apart; how much air
    is around it, or whether that was blackened, changes neither.
    """
    step = max(1, int(np.cbrt(values.size / _SAMPLED_VOXELS)))
    # Thin stacks keep all their slices.
    sample = values[tuple(slice(None, None, min(step, max(1, n // 8))) for n in values.shape)]
    nothing, strongest = np.percentile(sample, (NOTHING, STRONGEST))
    body = sample[sample > nothing + BACKGROUND * (strongest - nothing)]
    full = float(np.percentile(body, FULL)) if body.size else float(strongest)
    return float(nothing), max(full, float(nothing) + 1e-6)


def on_network_scale(mr: CTVolume, window: tuple[float, float]) -> CTVolume:
    """The volume with no signal at the lower end of the network's window, and the body's brightest at its upper."""
    nothing, full = signal_range(mr.hu)
    low, high = window
    limits = np.iinfo(np.int16)
    scaled = (mr.hu.astype(np.float32) - nothing) * ((high - low) / (full - nothing)) + low
    return replace(mr, hu=np.rint(scaled).clip(limits.min, limits.max).astype(np.int16))
