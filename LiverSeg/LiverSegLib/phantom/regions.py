"""Where in a patient things are: coordinates, the chest and abdominal cavity, lungs, the liver's bed."""

from __future__ import annotations

import numpy as np

from .shapes import Anatomy, Blob, Organ, smooth_min, turn

FLAT = np.zeros(1, np.float32)  # the height at which a column without ends is looked at


def patient_frame(
    anatomy: Anatomy, gx: np.ndarray, gy: np.ndarray, gz: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates in the typical adult of the grid's points: turned, stretched and gently warped."""
    x, y = turn(gx[None, None, :] - anatomy.shift[0], gy[None, :, None] - anatomy.shift[1], anatomy.turn)
    z = gz[:, None, None] - anatomy.shift[2]
    bent = [spline_noise(nodes, 55.0, gx, gy, gz) for nodes in anatomy.warp]
    left, posterior, superior = (
        (axis / np.float32(size) + np.float32(4.0) * bend).astype(np.float32)
        for axis, size, bend in zip((x, y, z), anatomy.size, bent, strict=True)
    )
    return left, posterior, superior


def box_of_organ(
    anatomy: Anatomy, organ: Organ, gx: np.ndarray, gy: np.ndarray, gz: np.ndarray
) -> tuple[slice, slice, slice] | None:
    """The part of the grid that the organ can reach, or None."""
    lows, highs = zip(*(part.reach() for part in organ.parts), strict=True)
    margin = 16.0 + organ.blend + 3 * organ.rough
    low, high = (np.min(lows, axis=0) - margin) * anatomy.size, (np.max(highs, axis=0) + margin) * anatomy.size
    corners = np.array([turn(cx, cy, -anatomy.turn) for cx in (low[0], high[0]) for cy in (low[1], high[1])])
    low[:2], high[:2] = corners.min(axis=0), corners.max(axis=0)
    slices = []
    for axis, points in zip((2, 1, 0), (gz, gy, gx), strict=True):
        start, stop = np.searchsorted(points, (low[axis] + anatomy.shift[axis], high[axis] + anatomy.shift[axis]))
        if start >= stop:
            return None
        slices.append(slice(int(start), int(stop)))
    return slices[0], slices[1], slices[2]


def torso_and_cavity(
    anatomy: Anatomy, x: np.ndarray, y: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Signed distances to the outside of the muscle wall and to the inside (chest and abdominal cavity)."""
    outline = ((np.abs(x) / 150) ** 2.4 + (np.abs(y) / 103) ** 2.4) ** np.float32(1 / 2.4) + np.float32(1e-6)
    torso = np.hypot(x, y) * (1 - 1 / outline)
    back = Blob((0, 84, 0), (54, 46, 1e4)).distance(x, y, FLAT)
    cavity = -smooth_min(-(torso + np.float32(anatomy.wall) + 1.5 * noise), back, 14.0)
    return torso.astype(np.float32), cavity.astype(np.float32)


def lungs(x: np.ndarray, y: np.ndarray, z: np.ndarray, cavity: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Signed distance to the lungs: the cavity above three diaphragm domes, beside the mediastinum."""
    up = np.maximum(z + 25, 0)
    right = Blob((-64, 4, 0), (78, 92, 100)).distance(x, y, up)
    left = Blob((66, 8, 0), (74, 88, 90)).distance(x, y, up)
    middle = Blob((0, -25, 0), (70, 62, 92)).distance(x, y, up)
    domes = smooth_min(smooth_min(right, left, 10.0), middle, 14.0) + noise
    lower_edge = (0.45 * y + z - 18) * np.float32(0.91)
    mediastinum = smooth_min(
        Blob((2, 0, 0), (24, 110, 1e4)).distance(x, y, FLAT),
        Blob((26, -38, 125), (66, 54, 60)).distance(x, y, z),
        15.0,
    )
    outside = smooth_min(smooth_min(domes, lower_edge, 6.0), mediastinum, 8.0)
    return np.maximum(cavity + 2, -outside)


def carved_liver(organ: Organ, field: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Carve the beds of the right kidney and of the porta hepatis out of the liver."""
    kidney = Blob((-58, 48, -45), (33, 30, 62)).distance(x, y, z)
    porta = Blob((-12, 22, -22), (30, 28, 34)).distance(x, y, z)
    return -smooth_min(-field, smooth_min(kidney, porta, 8.0), 8.0)


def spline_noise(nodes: np.ndarray, pitch: float, gx: np.ndarray, gy: np.ndarray, gz: np.ndarray) -> np.ndarray:
    """Smooth periodic noise (k, j, i) of a cubic B-spline with its nodes every `pitch` mm."""
    field = _spline_weights(gz, pitch, nodes.shape[0]) @ nodes.reshape(nodes.shape[0], -1)
    field = field.reshape(len(gz), *nodes.shape[1:])
    field = _spline_weights(gy, pitch, nodes.shape[1]) @ field
    return field @ _spline_weights(gx, pitch, nodes.shape[2]).T


def _spline_weights(positions: np.ndarray, pitch: float, count: int) -> np.ndarray:
    """Matrix (positions, nodes) of the uniform cubic B-spline's weights."""
    scaled = positions.astype(np.float64) / pitch
    first = np.floor(scaled).astype(int)
    t = scaled - first
    cubes = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((len(positions), count), np.float32)
    for offset, values in enumerate(cubes):
        weights[np.arange(len(positions)), (first + offset - 1) % count] += (values / 6).astype(np.float32)
    return weights
