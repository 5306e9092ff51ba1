"""Ellipsoids and tubes in millimetres, organs made of them, and all organs of a patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIVER, LESION = 1, 2
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Blob:
    """An ellipsoid; points are (left, posterior, superior) mm, turned by degrees about the z and the y axis."""

    centre: Point
    radii: Point
    turn_z: float = 0.0
    turn_y: float = 0.0

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Approximate signed distance in mm, negative inside (Quilez, "ellipsoid, bound")."""
        x, y, z = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        if self.turn_z:
            x, y = turn(x, y, self.turn_z)
        if self.turn_y:
            x, z = turn(x, z, self.turn_y)
        a, b, c = (np.float32(1 / radius) for radius in self.radii)
        x, y, z = x * a, y * b, z * c
        inner = np.sqrt(x * x + y * y + z * z)
        x, y, z = x * a, y * b, z * c
        return inner * (inner - 1) / (np.sqrt(x * x + y * y + z * z) + np.float32(1e-6))

    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of a box round the blob."""
        radii = np.array(self.radii)
        if self.turn_z or self.turn_y:
            radii = np.minimum(np.full(3, radii.max()), radii.sum())
        return np.array(self.centre) - radii, np.array(self.centre) + radii


@dataclass(frozen=True)
class Tube:
    """A capsule between two points whose radius runs from `thick` to `thin`."""

    start: Point
    end: Point
    thick: float
    thin: float

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Signed distance in mm, negative inside."""
        start, end = np.array(self.start, np.float32), np.array(self.end, np.float32)
        (ax, ay, az), (bx, by, bz) = start, end - start
        x, y, z = x - ax, y - ay, z - az
        along = np.clip((x * bx + y * by + z * bz) / (bx * bx + by * by + bz * bz), 0, 1)
        x, y, z = x - along * bx, y - along * by, z - along * bz
        return np.sqrt(x * x + y * y + z * z) - (self.thick + np.float32(self.thin - self.thick) * along)

    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of a box round the tube."""
        ends = np.array([self.start, self.end])
        return ends.min(axis=0) - self.thick, ends.max(axis=0) + self.thick


@dataclass(frozen=True)
class Organ:
    """A smooth union of parts, painted in layers of (depth below the surface in mm, HU), outermost first."""

    parts: tuple[Blob | Tube, ...]
    layers: tuple[tuple[float, float], ...]
    blend: float = 0.0  # mm over which the parts melt into each other
    rough: float = 0.0  # mm by which noise moves the surface
    within: str = "cavity"  # cavity, liver or body: where it may be painted
    label: int | None = 0  # None keeps the label that is there
    gas_above: float | None = None  # y in mm in front of which the innermost layer is gas

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Approximate signed distance in mm to the surface, roughened by the noise; negative inside."""
        field = self.parts[0].distance(x, y, z)
        for part in self.parts[1:]:
            field = smooth_min(field, part.distance(x, y, z), self.blend)
        return field + np.float32(self.rough) * noise


@dataclass(frozen=True)
class Anatomy:
    """One patient. The organs lie in a frame of a typical adult; `size` stretches it to the patient."""

    size: Point
    turn: float
    shift: Point
    fat: float
    wall: float
    warp: np.ndarray
    grain: np.ndarray
    liver: Organ
    before: tuple[Organ, ...]
    after: tuple[Organ, ...]
    noise_hu: float
    blur_mm: float


def turn(a: np.ndarray, b: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in axes that are turned by this angle."""
    cosine, sine = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    return a * cosine + b * sine, b * cosine - a * sine


def smooth_min(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Minimum whose edge is rounded over `width` mm (Quilez' polynomial smooth minimum)."""
    if width <= 0:
        return np.minimum(a, b)
    overlap = np.maximum(np.float32(width) - np.abs(a - b), 0) / np.float32(width)
    return np.minimum(a, b) - overlap * overlap * np.float32(width / 4)


def to_point(values: np.ndarray) -> Point:
    """Three numbers as floats of Python's own."""
    x, y, z = (float(value) for value in values)
    return x, y, z
