"""A patient: build, contrast phase and organs, the typical one or a random one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .organs import bowel, drawn_liver, lesions, liver_vessels, midgut, neighbours, viscera
from .regions import carved_liver, lungs, patient_frame, spline_noise, torso_and_cavity
from .shapes import Anatomy, Blob, Organ, to_point

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


def draw_anatomy(seed: int) -> Anatomy:
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
    liver = drawn_liver(rng, vary, hu["liver"])
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
    first = midgut(np.random.default_rng([seed, 2]), hu)
    before = (*first, *bowel(rng, vary, hu), *viscera(vary, hu))
    vessels = tuple(liver_vessels(rng, hu))
    count = int(rng.integers(0, 7)) if free else 3
    after = (*vessels, *lesions(rng, anatomy, hu["liver"], count), *neighbours(vary, hu))
    return replace(anatomy, before=before, after=after)


def _grown(anatomy: Anatomy, millilitres: float) -> Organ:
    """The liver scaled about its upper right to a volume, measured on a 6 mm grid."""
    axes = [np.arange(low, high, 6, dtype=np.float32) for low, high in ((-200, 150), (-150, 120), (-150, 150))]
    x, y, z = patient_frame(anatomy, *axes)
    noise = spline_noise(anatomy.grain, 22.0, *axes)
    cavity = torso_and_cavity(anatomy, x, y, noise)[1]
    room = np.maximum(cavity, 4 - lungs(x, y, z, cavity, noise)) < -1
    x, y, z, noise = x[room], y[room], z[room], noise[room]
    small, large = 0.6, 1.5
    for _ in range(7):
        scale = (small + large) / 2
        organ = _scaled(anatomy.liver, scale)
        inside = carved_liver(organ, organ.distance(x, y, z, noise), x, y, z) < 0
        if np.count_nonzero(inside) * 0.216 < millilitres:
            small = scale
        else:
            large = scale
    return organ


def _scaled(organ: Organ, scale: float) -> Organ:
    anchor = np.array((-85.0, 5.0, 45.0))

    def scaled(part: Blob) -> Blob:
        centre = anchor + scale * (np.array(part.centre) - anchor)
        return replace(part, centre=to_point(centre), radii=to_point(scale * np.array(part.radii)))

    return replace(organ, parts=tuple(scaled(part) for part in organ.parts if isinstance(part, Blob)))
