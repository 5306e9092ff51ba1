"""HU and labels of a patient at the points of a grid."""

from __future__ import annotations

import numpy as np

from .organs import MUSCLE
from .regions import FLAT, box_of_organ, carved_liver, lungs, patient_frame, spline_noise, torso_and_cavity
from .shapes import LIVER, Anatomy, Blob, Organ

AIR, LUNG, FAT, TABLE = -1000.0, -850.0, -100.0, -350.0


def paint(anatomy: Anatomy, gx: np.ndarray, gy: np.ndarray, gz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """HU float32 and labels uint8 (k, j, i) at the voxel centres gx, gy, gz in mm."""
    x, y, z = patient_frame(anatomy, gx, gy, gz)
    noise = spline_noise(anatomy.grain, 22.0, gx, gy, gz)
    texture = spline_noise(anatomy.warp[0], 35.0, gx, gy, gz)
    torso, cavity = torso_and_cavity(anatomy, x, y, noise)
    lung = lungs(x, y, z, cavity, noise)
    hu = np.full(x.shape, AIR, np.float32)
    labels = np.zeros(x.shape, np.uint8)
    hu[np.abs(np.hypot(gx[None, None, :], 1.0 * gy[None, :, None] + 260) - 400) + 0 * z < 5] = TABLE
    hu[torso < anatomy.fat * (1.0 - 0.25 * np.tanh(y / 60)) + 2] = 20.0
    hu[torso < anatomy.fat * (1.0 - 0.25 * np.tanh(y / 60))] = FAT
    hu[torso < 0] = MUSCLE
    hu[cavity < 0] = FAT
    hu[(cavity < 0) & (lung < 4)] = MUSCLE
    hu[lung < 0] = LUNG
    _paint_ribs(hu, anatomy, x, y, z, torso)
    _paint_spine(hu, x, y, z)
    places = {"cavity": np.maximum(cavity, np.float32(4) - lung), "body": torso}

    def draw(organ: Organ) -> None:
        box = box_of_organ(anatomy, organ, gx, gy, gz)
        if box is None:
            return
        field = organ.distance(x[box], y[box], z[box], noise[box])
        inside = labels[box] == LIVER if organ.within == "liver" else places[organ.within][box] < -1
        if organ is anatomy.liver:
            field = carved_liver(organ, field, x[box], y[box], z[box])
        for depth, value in organ.layers:
            hu[box][inside & (field < -depth)] = value
        if organ.gas_above is not None:
            hu[box][inside & (field < -organ.layers[-1][0]) & (y[box] < organ.gas_above)] = -950.0
        if organ.label is not None:
            labels[box][inside & (field < 0)] = organ.label

    for organ in (*anatomy.before, anatomy.liver, *anatomy.after):
        draw(organ)
    hu += np.where(hu > -200, 3.0, 15.0).astype(np.float32) * texture
    return hu, labels


def _paint_ribs(
    hu: np.ndarray, anatomy: Anatomy, x: np.ndarray, y: np.ndarray, z: np.ndarray, torso: np.ndarray
) -> None:
    """Ribs run in the muscle wall, falling from the spine to the front."""
    slope = z - 0.55 * y
    across = np.mod(slope, 27.0) - 13.5
    depth = torso + anatomy.wall * 0.5
    field = np.hypot(depth * 1.4, across * 0.75) - 6.0
    # The costal arch: no ribs below the twelfth, none over the upper abdomen, none on the spine.
    there = (slope > -75) & (z + 0.9 * y + 0.35 * np.abs(x) > 5) & (np.abs(x) > 30)
    hu[there & (field < 0)] = 480.0
    hu[there & (field < -2.2)] = 230.0


def _paint_spine(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    """Vertebral bodies with discs, pedicles, laminae, spinous and transverse processes and the canal."""
    level = np.mod(z + 400, 34.0) - 17.0
    body = Blob((0, 50, 0), (23, 18, 1e4)).distance(x, y, FLAT)
    arch = np.minimum(
        Blob((0, 76, 0), (18, 15, 1e4)).distance(x, y, FLAT),
        Blob((0, 96, 0), (4.5, 17, 1e4)).distance(x, y, FLAT) + np.abs(level) * 0.25 - 1,
    )
    wing = Blob((0, 80, 0), (42, 6, 8)).distance(x, y, level)
    arch = np.minimum(arch, wing)
    disc = (np.abs(level) > 13.5) & (body < 0)
    hu[arch < 0] = 480.0
    hu[arch < -3] = 300.0
    hu[body < 0] = 460.0
    hu[body < -2] = 210.0
    hu[(np.abs(level) > 11.8) & (body < 0)] = 430.0
    hu[disc] = 85.0
    hu[Blob((0, 76, 0), (11, 9, 1e4)).distance(x, y, FLAT) < 0] = 30.0
