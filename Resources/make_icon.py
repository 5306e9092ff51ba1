"""Draws the extension's icon and the module's: a liver with its two lobes on a CT-dark disc. Run from anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy.interpolate import splev, splprep

REPOSITORY = Path(__file__).resolve().parents[1]
TARGETS = (
    REPOSITORY / "LiverSeg/Resources/Icons/LiverSeg.png",
    REPOSITORY / "Resources/LiverSegExtension.png",
)
SIZE = 128
# Drawn larger and reduced at the end, which smooths every edge.
OVERSAMPLING = 8

DISC, RIM = (26, 32, 44), (94, 108, 134)
LIVER, LIGHT, SHADE = (221, 130, 101), (245, 172, 146), (150, 74, 54)

# Outlines in a 100 × 100 box seen from the front: the right lobe, large, is on the left of the picture.
OUTLINE = [(13, 52), (15, 38), (25, 27), (38, 23), (50, 27), (60, 30), (74, 31), (87, 36), (85, 43), (73, 49)]
OUTLINE += [(62, 55), (53, 62), (45, 70), (35, 79), (24, 80), (16, 69)]
LIGAMENT = [(55.5, 28.5), (54, 38), (54.5, 48), (56, 60)]
GALLBLADDER = (37, 68, 46, 86)


def main() -> None:
    side = SIZE * OVERSAMPLING
    icon = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(icon)
    draw.ellipse(_scaled([(2, 2), (98, 98)]), fill=DISC, outline=RIM, width=side // 40)
    draw.ellipse(_scaled([GALLBLADDER[:2], GALLBLADDER[2:]]), fill=(110, 148, 92))
    icon.alpha_composite(_liver(side))
    small = icon.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    for target in TARGETS:
        small.save(target, optimize=True)


def _liver(side: int) -> Image.Image:
    """The organ, lit from above, with the ligament between its lobes."""
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).polygon(_scaled(_curve(OUTLINE, closed=True)), fill=255)
    # Light falls where the blurred shape, moved down, no longer covers the shape; shade where it is moved up.
    liver = Image.new("RGBA", (side, side), LIVER)
    for colour, rise, strength in ((LIGHT, 9, 1.0), (SHADE, -8, 0.9)):
        covered = ImageChops.offset(mask, 0, side * rise // 100).filter(ImageFilter.GaussianBlur(side / 22))
        edge = ImageChops.subtract(mask, covered).point(lambda value, strength=strength: int(value * strength))
        liver.paste(Image.new("RGBA", (side, side), colour), mask=edge)
    draw = ImageDraw.Draw(liver)
    draw.line(_scaled(_curve(LIGAMENT, closed=False)), fill=SHADE, width=side // 55, joint="curve")
    liver.putalpha(mask)
    return liver


def _curve(points: list[tuple[float, float]], closed: bool) -> list[tuple[float, float]]:
    """A smooth line through the points."""
    if closed:
        points = [*points, points[0]]
    spline, _ = splprep(np.array(points, float).T, s=0, per=closed)
    return [(float(x), float(y)) for x, y in zip(*splev(np.linspace(0, 1, 400), spline), strict=True)]


def _scaled(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    factor = SIZE * OVERSAMPLING / 100
    return [(x * factor, y * factor) for x, y in points]


if __name__ == "__main__":
    main()
