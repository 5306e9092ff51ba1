"""A synthetic CT abdomen with an exact liver mask, drawn from implicit functions in millimetres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy import ndimage

from . import messages
from .errors import InputError
from .volume import CTVolume

LIVER, LESION = 1, 2
AIR, LUNG, FAT, MUSCLE, TABLE = -1000.0, -850.0, -100.0, 55.0, -350.0
# HU by contrast phase (plain, arterial, portal venous).
HU = {
    "liver": (55, 68, 110),
    "spleen": (48, 115, 120),
    "cortex": (34, 170, 180),
    "medulla": (32, 75, 160),
    "artery": (42, 290, 150),
    "cava": (40, 80, 140),
    "portal": (42, 95, 160),
    "hepatic": (40, 60, 152),
    "heart": (42, 210, 145),
    "pancreas": (40, 95, 92),
    "gut": (38, 75, 80),
}
FLAT = np.zeros(1, np.float32)  # the height at which a column without ends is looked at
Point = tuple[float, float, float]
# Gives (typical, low, high) the typical value for seed 0, a uniform draw for any other.
Vary = Callable[[float, float, float], float]


@dataclass(frozen=True)
class Phantom:
    """A synthetic CT and its labels: uint8 (k, j, i), 0 background, 1 liver, 2 lesion."""

    ct: CTVolume
    labels: np.ndarray


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
            x, y = _turn(x, y, self.turn_z)
        if self.turn_y:
            x, z = _turn(x, z, self.turn_y)
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
        field = self.parts[0].distance(x, y, z)
        for part in self.parts[1:]:
            field = _smooth_min(field, part.distance(x, y, z), self.blend)
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


def make_phantom(
    seed: int = 0,
    shape: tuple[int, int, int] = (60, 192, 192),
    spacing: tuple[float, float, float] = (4.0, 1.9, 1.9),
) -> Phantom:
    """Draw a synthetic abdomen.

    Parameters
    ----------
    seed
        0 is a typical anatomy in the portal venous phase; any other seed draws its own anatomy, HU and noise.
    shape, spacing
        Voxels and mm per voxel along (k, j, i) = (superior, posterior, left). The grid is centred on the abdomen; the
        anatomy of a seed is the same at every shape and spacing, only the noise differs.

    Returns
    -------
    Phantom
        The CT, int16 HU with a diagonal affine, and labels of what is painted at each voxel's centre: blur and
        noise alone make the voxels at the liver's edge mixed.

    Raises
    ------
    InputError
        If a number of voxels or a spacing is not positive.
    """
    if min(shape) < 1 or not all(0 < step < np.inf for step in spacing):
        raise InputError(messages.BAD_PHANTOM_SIZE.format(shape=shape, spacing=spacing))
    anatomy = _anatomy(seed)
    z, y, x = (((np.arange(n) - (n - 1) / 2) * step).astype(np.float32) for n, step in zip(shape, spacing, strict=True))
    hu, labels = np.empty(shape, np.float32), np.zeros(shape, np.uint8)
    slab = max(1, 400_000 // (shape[1] * shape[2]))
    for first in range(0, shape[0], slab):
        part = slice(first, first + slab)
        hu[part], labels[part] = _paint(anatomy, x, y, z[part])
    crumbs = _crumbs(labels)
    hu[crumbs], labels[crumbs] = FAT, 0
    _scan(hu, spacing, anatomy, np.random.default_rng([seed, 1]))
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    affine[:3, 3] = -x[0], -y[0], z[0]
    return Phantom(CTVolume.from_array(hu, affine, f"phantom {seed}"), labels)


def _crumbs(labels: np.ndarray) -> np.ndarray:
    """Mask of what the neighbouring organs have cut off the liver, mostly single voxels."""
    pieces, count = ndimage.label(labels)
    if count < 2:
        return np.zeros(labels.shape, bool)
    sizes = np.bincount(pieces.ravel())
    return (pieces > 0) & (pieces != 1 + np.argmax(sizes[1:]))


def _scan(hu: np.ndarray, spacing: tuple[float, float, float], anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Blur and add spatially correlated noise, in place, as a scanner's kernel does."""
    pixels = [0.4 / spacing[0], anatomy.blur_mm / spacing[1], anatomy.blur_mm / spacing[2]]
    ndimage.gaussian_filter(hu, pixels, output=hu, truncate=3)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    ndimage.gaussian_filter(noise, pixels, output=noise, truncate=3)
    noise *= anatomy.noise_hu / max(float(noise.std()), 1e-6)
    hu += noise
    np.clip(hu, -1024, 3071, out=hu)


def _paint(anatomy: Anatomy, gx: np.ndarray, gy: np.ndarray, gz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """HU float32 and labels uint8 (k, j, i) at the voxel centres gx, gy, gz in mm."""
    x, y, z = _frame(anatomy, gx, gy, gz)
    noise = _spline_noise(anatomy.grain, 22.0, gx, gy, gz)
    texture = _spline_noise(anatomy.warp[0], 35.0, gx, gy, gz)
    torso, cavity = _torso(anatomy, x, y, noise)
    lung = _lung(x, y, z, cavity, noise)
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
        box = _box(anatomy, organ, gx, gy, gz)
        if box is None:
            return
        field = organ.distance(x[box], y[box], z[box], noise[box])
        inside = labels[box] == LIVER if organ.within == "liver" else places[organ.within][box] < -1
        if organ is anatomy.liver:
            field = _liver(organ, field, x[box], y[box], z[box])
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


def _liver(organ: Organ, field: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Carve the beds of the right kidney and of the porta hepatis out of the liver."""
    kidney = Blob((-58, 48, -45), (33, 30, 62)).distance(x, y, z)
    porta = Blob((-12, 22, -22), (30, 28, 34)).distance(x, y, z)
    return -_smooth_min(-field, _smooth_min(kidney, porta, 8.0), 8.0)


def _torso(anatomy: Anatomy, x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed distances to the outside of the muscle wall and to the inside (chest and abdominal cavity)."""
    outline = ((np.abs(x) / 150) ** 2.4 + (np.abs(y) / 103) ** 2.4) ** np.float32(1 / 2.4) + np.float32(1e-6)
    torso = np.hypot(x, y) * (1 - 1 / outline)
    back = Blob((0, 84, 0), (54, 46, 1e4)).distance(x, y, FLAT)
    cavity = -_smooth_min(-(torso + np.float32(anatomy.wall) + 1.5 * noise), back, 14.0)
    return torso.astype(np.float32), cavity.astype(np.float32)


def _lung(x: np.ndarray, y: np.ndarray, z: np.ndarray, cavity: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Signed distance to the lungs: the cavity above three diaphragm domes, beside the mediastinum."""
    up = np.maximum(z + 25, 0)
    right = Blob((-64, 4, 0), (78, 92, 100)).distance(x, y, up)
    left = Blob((66, 8, 0), (74, 88, 90)).distance(x, y, up)
    middle = Blob((0, -25, 0), (70, 62, 92)).distance(x, y, up)
    domes = _smooth_min(_smooth_min(right, left, 10.0), middle, 14.0) + noise
    lower_edge = (0.45 * y + z - 18) * np.float32(0.91)
    mediastinum = _smooth_min(
        Blob((2, 0, 0), (24, 110, 1e4)).distance(x, y, FLAT),
        Blob((26, -38, 125), (66, 54, 60)).distance(x, y, z),
        15.0,
    )
    outside = _smooth_min(_smooth_min(domes, lower_edge, 6.0), mediastinum, 8.0)
    return np.maximum(cavity + 2, -outside)


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


def _frame(
    anatomy: Anatomy, gx: np.ndarray, gy: np.ndarray, gz: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates in the typical adult of the grid's points: turned, stretched and gently warped."""
    x, y = _turn(gx[None, None, :] - anatomy.shift[0], gy[None, :, None] - anatomy.shift[1], anatomy.turn)
    z = gz[:, None, None] - anatomy.shift[2]
    bent = [_spline_noise(nodes, 55.0, gx, gy, gz) for nodes in anatomy.warp]
    left, posterior, superior = (
        (axis / np.float32(size) + np.float32(4.0) * bend).astype(np.float32)
        for axis, size, bend in zip((x, y, z), anatomy.size, bent, strict=True)
    )
    return left, posterior, superior


def _box(
    anatomy: Anatomy, organ: Organ, gx: np.ndarray, gy: np.ndarray, gz: np.ndarray
) -> tuple[slice, slice, slice] | None:
    """The part of the grid that the organ can reach, or None."""
    lows, highs = zip(*(part.reach() for part in organ.parts), strict=True)
    margin = 16.0 + organ.blend + 3 * organ.rough
    low, high = (np.min(lows, axis=0) - margin) * anatomy.size, (np.max(highs, axis=0) + margin) * anatomy.size
    corners = np.array([_turn(cx, cy, -anatomy.turn) for cx in (low[0], high[0]) for cy in (low[1], high[1])])
    low[:2], high[:2] = corners.min(axis=0), corners.max(axis=0)
    slices = []
    for axis, points in zip((2, 1, 0), (gz, gy, gx), strict=True):
        start, stop = np.searchsorted(points, (low[axis] + anatomy.shift[axis], high[axis] + anatomy.shift[axis]))
        if start >= stop:
            return None
        slices.append(slice(int(start), int(stop)))
    return slices[0], slices[1], slices[2]


def _spline_noise(nodes: np.ndarray, pitch: float, gx: np.ndarray, gy: np.ndarray, gz: np.ndarray) -> np.ndarray:
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


def _turn(a: np.ndarray, b: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    return a * cosine + b * sine, b * cosine - a * sine


def _smooth_min(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Minimum whose edge is rounded over `width` mm (Quilez' polynomial smooth minimum)."""
    if width <= 0:
        return np.minimum(a, b)
    overlap = np.maximum(np.float32(width) - np.abs(a - b), 0) / np.float32(width)
    return np.minimum(a, b) - overlap * overlap * np.float32(width / 4)


def _anatomy(seed: int) -> Anatomy:
    """Draw a patient: the typical one for seed 0, a random one otherwise."""
    rng = np.random.default_rng(seed)
    free = 0.0 if seed == 0 else 1.0

    def vary(typical: float, low: float, high: float) -> float:
        drawn = rng.uniform(low, high)
        return float(drawn) if free else typical

    warp = 1.6 * rng.standard_normal((3, 12, 12, 12), dtype=np.float32)
    grain = 1.6 * rng.standard_normal((24, 24, 24), dtype=np.float32)
    build = vary(1.0, 0.86, 1.12)
    size = (build * vary(1.0, 0.95, 1.07), build * vary(1.0, 0.93, 1.1), vary(1.0, 0.9, 1.08))
    phase = 2 if not free else int(rng.choice(3, p=(0.2, 0.2, 0.6)))
    hu = {name: values[phase] * vary(1.0, 0.88, 1.12) for name, values in HU.items()}
    if free and rng.random() < 0.2:
        hu["liver"] -= rng.uniform(20, 55)
    liver = _drawn_liver(rng, vary, hu["liver"])
    anatomy = Anatomy(
        size=size,
        turn=vary(0.0, -10, 10),
        shift=(vary(0, -10, 10), vary(0, -12, 12), vary(0, -22, 22)),
        fat=min(vary(16.0, 4, 34), 6 + 36 * rng.random()) if free else 16.0,
        wall=vary(14.0, 11, 17),
        warp=warp,
        grain=grain,
        liver=liver,
        before=(),
        after=(),
        noise_hu=vary(12.0, 8, 20),
        blur_mm=vary(0.7, 0.6, 0.8),
    )
    anatomy = replace(anatomy, liver=_grown(anatomy, vary(1500, 900, 2600)))
    # Draws of its own: how much small bowel there is shall not change the rest of the patient.
    midgut = _midgut(np.random.default_rng([seed, 2]), hu)
    before = (*midgut, *_bowel(rng, vary, hu), *_viscera(vary, hu))
    vessels = tuple(_liver_vessels(rng, hu))
    lesions = _lesions(rng, anatomy, hu["liver"], count=int(rng.integers(0, 7)) if free else 3)
    after = (*vessels, *lesions, *_neighbours(vary, hu))
    return replace(anatomy, before=before, after=after)


def _drawn_liver(rng: np.random.Generator, vary: Vary, hu: float) -> Organ:
    """A right lobe with dome and tip, a left lobe before the stomach; its size follows in `_grown`."""
    left = vary(0.0, -45, 45)
    tip = vary(0.0, -15, 10)
    if tip < -9:
        tip = -45.0  # Riedel's lobe
    parts = (
        Blob((-72, 0, 14), (66, 84, 66), turn_y=vary(8, 0, 15)),
        Blob((-94, 8, -38 + tip * 0.6), (34, 50, 42 - tip * 0.4)),
        Blob((-25, -44, 28), (48, 40, 36)),
        Blob((20 + left * 0.5, -52, 32), (58 + left * 0.5, 24, 30), turn_y=-12, turn_z=vary(-6, -14, 4)),
        Blob((-22, 20, 34), (24, 26, 24)),
    )
    return Organ(parts, ((0, hu),), blend=18, rough=2.0, label=LIVER)


def _grown(anatomy: Anatomy, millilitres: float) -> Organ:
    """The liver scaled about its upper right to a volume, measured on a 6 mm grid."""
    axes = [np.arange(low, high, 6, dtype=np.float32) for low, high in ((-200, 150), (-150, 120), (-150, 150))]
    x, y, z = _frame(anatomy, *axes)
    noise = _spline_noise(anatomy.grain, 22.0, *axes)
    cavity = _torso(anatomy, x, y, noise)[1]
    room = np.maximum(cavity, 4 - _lung(x, y, z, cavity, noise)) < -1
    x, y, z, noise = x[room], y[room], z[room], noise[room]
    small, large = 0.6, 1.5
    for _ in range(7):
        scale = (small + large) / 2
        organ = _scaled(anatomy.liver, scale)
        inside = _liver(organ, organ.distance(x, y, z, noise), x, y, z) < 0
        if np.count_nonzero(inside) * 0.216 < millilitres:
            small = scale
        else:
            large = scale
    return organ


def _scaled(organ: Organ, scale: float) -> Organ:
    anchor = np.array((-85.0, 5.0, 45.0))

    def scaled(part: Blob) -> Blob:
        centre = anchor + scale * (np.array(part.centre) - anchor)
        return replace(part, centre=_point(centre), radii=_point(scale * np.array(part.radii)))

    return replace(organ, parts=tuple(scaled(part) for part in organ.parts if isinstance(part, Blob)))


def _viscera(vary: Vary, hu: dict[str, float]) -> Iterator[Organ]:
    """What lies beside the liver and gives way to it."""
    gut, fill = hu["gut"], vary(1.0, 0.72, 1.15)
    for side in (-1, 1):
        psoas = (Tube((side * 34, 52, -10), (side * 46, 40, -260), 11, 26),)
        yield Organ(psoas, ((0, MUSCLE),), rough=1, within="body")
    yield Organ((Blob((28, -38, 118), (56, 46, 46), 25),), ((0, 70), (3, hu["heart"])), rough=2, within="body")
    stomach = (
        Blob((62, 8, 42), (36 * fill, 34 * fill, 34 * fill)),
        Blob((56, -34, 8), (27 * fill, 26 * fill, 44 * fill), turn_y=-15),
        Blob((14, -50, -24), (38, 17 * fill, 18 * fill), turn_y=20),
    )
    content = vary(25, 0, 60)
    yield Organ(stomach, ((0, gut), (4, content)), blend=14, rough=1.5, gas_above=vary(-32, -55, 0))
    yield Organ((Blob((98, 34, 34), (24, 42, 46), vary(-20, -35, -5), 12),), ((0, hu["spleen"]),), rough=2)
    pancreas = (
        Tube((-22, 2, -36), (2, -8, -14), 13, 10),
        Tube((2, -8, -14), (40, 4, -2), 10, 9),
        Tube((40, 4, -2), (76, 28, 10), 9, 8),
    )
    yield Organ(pancreas, ((0, hu["pancreas"]),), blend=4, rough=2)


def _neighbours(vary: Vary, hu: dict[str, float]) -> Iterator[Organ]:
    """What presses into the liver: kidneys, great vessels and gallbladder; their voxels are not liver."""
    for side, height in ((-1, vary(-44, -60, -35)), (1, vary(-22, -45, -8))):
        kidney = (Blob((side * 60, 46, height), (25, 23, 52), side * 25, side * -12),)
        yield Organ(kidney, ((0, hu["cortex"]), (7, hu["medulla"])), rough=1.2)
        sinus = (Blob((side * 46, 42, height), (17, 9, 24), side * 25, side * -12),)
        yield Organ(sinus, ((0, -60),), rough=1.5)
        yield Organ((Tube((side * 46, 40, height), (side * 8, 26, height + 6), 4, 5),), ((0, hu["cava"]),))
    yield Organ((Tube((14, 21, 300), (8, 20, -300), 12, 9),), ((0, hu["artery"]),), within="body")
    cava = (Tube((-17, 22, -300), (-20, 22, 10), 11, 12), Tube((-20, 22, 10), (-14, 4, 100), 12.5, 13))
    yield Organ(cava, ((0, hu["cava"]),), blend=4, within="body")
    yield Organ((Tube((6, 10, -30), (-16, 6, -4), 6.5, 6.5),), ((0, hu["portal"]),), label=None)
    if vary(1.0, 0, 1) > 0.12:
        fill = vary(1.0, 0.6, 1.2)
        gallbladder = (Blob((-52, -40, -32), (14 * fill, 15 * fill, 28 * fill), 20, 15),)
        yield Organ(gallbladder, ((0, 40), (2, vary(10, 0, 18))), rough=0.8)


def _liver_vessels(rng: np.random.Generator, hu: dict[str, float]) -> Iterator[Organ]:
    """Portal branches from the porta, hepatic veins into the cava; part of the liver's label."""
    porta, confluence = (-20, 6, 0), (-17, 12, 62)
    portal = (((-62, 8, 4), 7, 0), ((-112, 5, 28), 4, 3), ((-105, 22, -40), 4, 3), ((-18, -45, 22), 5, 2))
    veins = (((-108, 20, 22), 5, 3), ((-66, -48, 20), 5, 3), ((22, -50, 42), 4, 2))
    for root, ends, name in ((porta, portal, "portal"), (confluence, veins, "hepatic")):
        tubes: list[Tube] = []
        for end, radius, twigs in ends:
            start = root if name == "hepatic" or end[0] > -70 else (-62, 8, 4)
            tubes.append(Tube(start, end, radius, radius * 0.55))
            for _ in range(twigs):
                along = rng.uniform(0.3, 0.9)
                fork = np.array(start) + along * (np.array(end) - np.array(start))
                target = fork + rng.normal(0, 22, 3)
                tubes.append(Tube(_point(fork), _point(target), radius * 0.5, 1.3))
        yield Organ(tuple(tubes), ((0, hu[name]),), blend=2, rough=0.5, within="liver", label=None)


def _lesions(rng: np.random.Generator, anatomy: Anatomy, liver_hu: float, count: int) -> Iterator[Organ]:
    """Tumours of 4 to 22 mm radius whose centres lie in the liver."""
    zero = np.zeros(1, np.float32)
    while count:
        centre = rng.uniform((-130, -75, -70), (50, 70, 75)).astype(np.float32)
        radius = float(rng.uniform(4, 12) if rng.random() < 0.7 else rng.uniform(12, 22))
        x, y, z = (centre[axis : axis + 1] for axis in range(3))
        if _liver(anatomy.liver, anatomy.liver.distance(x, y, z, zero), x, y, z)[0] > -0.7 * radius - 3:
            continue
        count -= 1
        value = float(np.clip(liver_hu - rng.uniform(25, 75), 5, 80))
        blob = Blob(_point(centre), _point(radius * rng.uniform(0.8, 1.25, 3)))
        yield Organ((blob,), ((0, value),), rough=0.15 * radius, within="liver", label=LESION)


def _bowel(rng: np.random.Generator, vary: Vary, hu: dict[str, float]) -> Iterator[Organ]:
    """A colon round loops of small bowel, some of them with gas."""
    for _ in range(34):
        start = rng.uniform((-78, -72, -240), (82, 18, -42))
        end = start + rng.normal(0, (26, 14, 16))
        radius = rng.uniform(9, 14)
        gas = start[1] - 0.3 * radius if rng.random() < 0.2 else None
        tube = Tube(_point(start), _point(end), radius, radius * 0.9)
        yield Organ((tube,), ((0, hu["gut"]), (2.5, rng.uniform(10, 45))), rough=1.5, gas_above=gas)
    course: tuple[Point, ...] = ((-98, 22, -260), (-98, 14, -88), (-66, -52, -82), (0, -68, -78))
    course = (*course, (62, -58, -46), (100, 8, -12), (108, 26, -90), (104, 22, -260))
    for here, there in pairwise(course):
        radius = vary(17, 12, 22)
        gas = (here[1] + there[1]) / 2 + rng.uniform(-12, 4)
        layers = ((0, hu["gut"]), (3, rng.uniform(-10, 50)))
        yield Organ((Tube(here, there, radius, radius),), layers, rough=3, gas_above=gas)


def _midgut(rng: np.random.Generator, hu: dict[str, float]) -> Iterator[Organ]:
    """Duodenum, packed small bowel and the mesentery's vessels, drawn first: all else lies over them."""
    for name, aside in (("artery", 6.0), ("portal", -6.0)):
        twigs = [Tube((aside, 2, -20), (aside - 4, -22, -110), 4.5, 3.5)]
        for _ in range(9):
            fork = np.array((4 + aside, -8, rng.uniform(-100, -40)))
            twigs.append(Tube(_point(fork), _point(fork + rng.normal((0, -18, -25), (38, 16, 18))), 2.4, 1.4))
        yield Organ(tuple(twigs), ((0, hu[name]),), blend=2)
    duodenum: tuple[Point, ...] = ((-20, -30, -26), (-36, -2, -30), (-34, 14, -66), (20, 12, -70), (34, -6, -40))
    loops = [(np.array(here), np.array(there)) for here, there in pairwise(duodenum)]
    for _ in range(int(rng.integers(35, 75))):
        start = rng.uniform((-85, -76, -200), (92, 16, -40))
        loops.append((start, start + rng.normal(0, (24, 12, 16))))
    for _ in range(9):
        start = rng.uniform((22, -55, -60), (84, 15, -12))
        loops.append((start, start + rng.normal(0, (18, 12, 12))))
    for start, end in loops:
        radius = rng.uniform(8, 13)
        gas = start[1] - 0.2 * radius if rng.random() < 0.1 else None
        layers = ((0, hu["gut"]), (3, rng.uniform(8, 50)))
        yield Organ((Tube(_point(start), _point(end), radius, radius),), layers, rough=1.5, gas_above=gas)


def _point(values: np.ndarray) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
