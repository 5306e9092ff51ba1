"""The organs of a patient, typical or drawn at random, in the frame of a typical adult."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from .regions import carved_liver
from .shapes import LESION, LIVER, Anatomy, Blob, Organ, Point, Tube, to_point

MUSCLE = 55.0
# Gives (typical, low, high) the typical value for seed 0, a uniform draw for any other.
Vary = Callable[[float, float, float], float]


def drawn_liver(rng: np.random.Generator, vary: Vary, hu: float) -> Organ:
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


def viscera(vary: Vary, hu: dict[str, float]) -> Iterator[Organ]:
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


def neighbours(vary: Vary, hu: dict[str, float]) -> Iterator[Organ]:
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


def liver_vessels(rng: np.random.Generator, hu: dict[str, float]) -> Iterator[Organ]:
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
                tubes.append(Tube(to_point(fork), to_point(target), radius * 0.5, 1.3))
        yield Organ(tuple(tubes), ((0, hu[name]),), blend=2, rough=0.5, within="liver", label=None)


def lesions(rng: np.random.Generator, anatomy: Anatomy, liver_hu: float, count: int) -> Iterator[Organ]:
    """Tumours of 4 to 22 mm radius whose centres lie in the liver."""
    zero = np.zeros(1, np.float32)
    while count:
        centre = rng.uniform((-130, -75, -70), (50, 70, 75)).astype(np.float32)
        radius = float(rng.uniform(4, 12) if rng.random() < 0.7 else rng.uniform(12, 22))
        x, y, z = (centre[axis : axis + 1] for axis in range(3))
        if carved_liver(anatomy.liver, anatomy.liver.distance(x, y, z, zero), x, y, z)[0] > -0.7 * radius - 3:
            continue
        count -= 1
        value = float(np.clip(liver_hu - rng.uniform(25, 75), 5, 80))
        blob = Blob(to_point(centre), to_point(radius * rng.uniform(0.8, 1.25, 3)))
        yield Organ((blob,), ((0, value),), rough=0.15 * radius, within="liver", label=LESION)


def bowel(rng: np.random.Generator, vary: Vary, hu: dict[str, float]) -> Iterator[Organ]:
    """A colon round loops of small bowel, some of them with gas."""
    for _ in range(34):
        start = rng.uniform((-78, -72, -240), (82, 18, -42))
        end = start + rng.normal(0, (26, 14, 16))
        radius = rng.uniform(9, 14)
        gas = start[1] - 0.3 * radius if rng.random() < 0.2 else None
        tube = Tube(to_point(start), to_point(end), radius, radius * 0.9)
        yield Organ((tube,), ((0, hu["gut"]), (2.5, rng.uniform(10, 45))), rough=1.5, gas_above=gas)
    course: tuple[Point, ...] = ((-98, 22, -260), (-98, 14, -88), (-66, -52, -82), (0, -68, -78))
    course = (*course, (62, -58, -46), (100, 8, -12), (108, 26, -90), (104, 22, -260))
    for here, there in pairwise(course):
        radius = vary(17, 12, 22)
        gas = (here[1] + there[1]) / 2 + rng.uniform(-12, 4)
        layers = ((0, hu["gut"]), (3, rng.uniform(-10, 50)))
        yield Organ((Tube(here, there, radius, radius),), layers, rough=3, gas_above=gas)


def midgut(rng: np.random.Generator, hu: dict[str, float]) -> Iterator[Organ]:
    """Duodenum, packed small bowel and the mesentery's vessels, drawn first: all else lies over them."""
    for name, aside in (("artery", 6.0), ("portal", -6.0)):
        twigs = [Tube((aside, 2, -20), (aside - 4, -22, -110), 4.5, 3.5)]
        for _ in range(9):
            fork = np.array((4 + aside, -8, rng.uniform(-100, -40)))
            twigs.append(Tube(to_point(fork), to_point(fork + rng.normal((0, -18, -25), (38, 16, 18))), 2.4, 1.4))
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
        yield Organ((Tube(to_point(start), to_point(end), radius, radius),), layers, rough=1.5, gas_above=gas)
