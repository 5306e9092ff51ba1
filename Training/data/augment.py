"""Augmentation of whole batches on their device: every random number and every image operation is batched.

Each class is one augmentation: called with a :class:`Batch` of HU and labels, it returns a new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from .dilate import dilate
from .sample import AIR_HU, Batch

Augmentation = Callable[[Batch], Batch]


def uniform(like: Tensor, low: float, high: float, *shape: int) -> Tensor:
    """One random number a sample (or a tensor of ``shape`` a sample), shaped to broadcast over (n, ...)."""
    return torch.empty(len(like), *(shape or (1, 1, 1)), device=like.device).uniform_(low, high)


def chosen(like: Tensor, probability: float) -> Tensor:
    """Which samples an augmentation applies to, shape (n, 1, 1, 1), bool."""
    return torch.rand(len(like), 1, 1, 1, device=like.device) < probability


@dataclass
class Warp:
    """Flip, rotate, scale, shear, move and bend in one interpolation, and cut to the network's size.

    A patient on the belly is both axes flipped. Mirroring one axis is off by default: orientation is known, and a
    network that saw livers on either side took full stomachs and spleens for liver.
    """

    size: int
    mirror_probability: float = 0.0
    prone_probability: float = 0.05
    rotation_degrees: float = 20.0
    scale: tuple[float, float] = (0.8, 1.25)
    stretch: float = 0.08
    shift_pixels: float = 16.0
    elastic_probability: float = 0.5
    elastic_pixels: float = 5.0

    def __call__(self, batch: Batch) -> Batch:
        grid = functional.affine_grid(
            self._affine(batch.hu), [len(batch.hu), 1, self.size, self.size], align_corners=False
        )
        grid = grid + self._elastic(batch.hu)
        hu = functional.grid_sample(batch.hu - AIR_HU, grid, align_corners=False) + AIR_HU
        labels = functional.grid_sample(batch.labels[:, None].float(), grid, mode="nearest", align_corners=False)
        return replace(batch, hu=hu, labels=labels[:, 0].round().to(batch.labels.dtype))

    def _affine(self, hu: Tensor) -> Tensor:
        n, side = len(hu), hu.shape[-1]
        angle = torch.empty(n).uniform_(-1, 1) * math.radians(self.rotation_degrees)
        size = torch.empty(n).uniform_(math.log(self.scale[0]), math.log(self.scale[1])).exp()
        stretch = torch.empty(n, 2).uniform_(1 - self.stretch, 1 + self.stretch)
        flip = 1 - 2 * (torch.rand(n, 2) < self.mirror_probability).float()
        flip = flip * (1 - 2 * (torch.rand(n, 1) < self.prone_probability).float())
        # Pixels keep their size: the output is a smaller square of the same grid.
        factor = (flip * stretch / size[:, None]) * (self.size / side)
        cos, sin = angle.cos(), angle.sin()
        rotation = torch.stack((torch.stack((cos, -sin), 1), torch.stack((sin, cos), 1)), 1)
        shift = torch.empty(n, 2, 1).uniform_(-1, 1) * 2 * self.shift_pixels / side
        return torch.cat((rotation * factor[:, None, :], shift), dim=2).to(hu.device)

    def _elastic(self, hu: Tensor) -> Tensor:
        coarse = torch.randn(len(hu), 2, 6, 6, device=hu.device) * self.elastic_pixels * 2 / hu.shape[-1]
        coarse = coarse * uniform(hu, 0, 1) * chosen(hu, self.elastic_probability)
        field = functional.interpolate(coarse, size=(self.size, self.size), mode="bicubic", align_corners=True)
        return field.permute(0, 2, 3, 1)


@dataclass
class Lesions:
    """Darken or brighten smooth blobs inside the liver and label them tumour: lesions of every look are rare.

    A ``heavy_share`` of these samples gets blobs through much of the liver instead, full of water as large and many
    cysts are, or as bright as iodised oil after chemoembolisation. Whether those are tumours is not told.
    """

    probability: float = 0.25
    contrast_hu: tuple[float, float] = (-80.0, 50.0)
    heavy_share: float = 0.0
    water_hu: tuple[float, float] = (-5.0, 25.0)
    oil_hu: tuple[float, float] = (100.0, 500.0)
    oil_share: float = 0.4
    grain_hu: float = 10.0

    def __call__(self, batch: Batch) -> Batch:
        hu = batch.hu
        # Nothing is drawn where none is wanted: runs without heavy lesions keep their random numbers.
        heavy = chosen(hu, self.heavy_share) if self.heavy_share else torch.zeros_like(hu[:, :1, :1, :1], dtype=bool)
        cells = int(torch.randint(5, 14, ()))
        noise = torch.randn(len(hu), 1, cells, cells, device=hu.device)
        field = functional.interpolate(noise, size=hu.shape[-2:], mode="bicubic", align_corners=False)
        limit = uniform(hu, 1.0, 1.8)
        # Heavy ones fill anything from half of the liver to single blobs of it.
        blob = torch.sigmoid(8 * (field - torch.where(heavy, 2 * limit - 2, limit)))
        inside = (batch.labels > 0)[:, None] & chosen(hu, self.probability)
        contrast = uniform(hu, *self.contrast_hu)
        change = torch.where(heavy, self._level(hu) - hu, contrast) if heavy.any() else contrast
        lesion = (inside & (blob > 0.5) & ((contrast.abs() > 15) | heavy))[:, 0]
        labels = torch.where(lesion, torch.full_like(batch.labels, 2), batch.labels)
        told = batch.tumour_labelled & ~(heavy & inside.any((1, 2, 3), keepdim=True)).flatten()
        return Batch(hu + blob * inside * change, labels, told)

    def _level(self, hu: Tensor) -> Tensor:
        """HU of water or oil with some grain, shaped like ``hu``."""
        level = torch.where(chosen(hu, self.oil_share), uniform(hu, *self.oil_hu), uniform(hu, *self.water_hu))
        return level + self.grain_hu * torch.randn_like(hu)


@dataclass
class Masses:
    """Draw an ellipse of soft tissue or fluid beside the liver, as tumours of kidney and adrenal gland and cysts are.

    It takes the place of fat, bowel and organs, not of air, and leaves the liver and a rim about it as they are. Half
    of them lie anywhere in the middle of the picture; of the others, the middle is no further than ``reach_pixels``
    from the liver and the level nearly its own: those are what is taken for it.
    """

    probability: float = 0.15
    radius_pixels: tuple[float, float] = (6.0, 40.0)
    level_hu: tuple[float, float] = (0.0, 150.0)
    beside_liver_hu: tuple[float, float] = (-70.0, 30.0)
    grain_hu: float = 20.0
    rim_pixels: int = 2
    reach_pixels: int = 30

    def __call__(self, batch: Batch) -> Batch:
        hu = batch.hu
        liver = (batch.labels > 0)[:, None].float()
        rim = dilate(liver, self.rim_pixels)
        beside = chosen(hu, 0.5) & liver.any((1, 2, 3), keepdim=True)
        share = self._ellipse(hu, torch.where(beside, self._middle_beside(rim), self._middle_anywhere(hu)))
        share = share * (1 - rim) * (hu > AIR_HU / 2) * chosen(hu, self.probability)
        return replace(batch, hu=torch.lerp(hu, self._tissue(hu, liver, beside), share))

    def _middle_anywhere(self, hu: Tensor) -> Tensor:
        """Row and column, shape (n, 2, 1, 1)."""
        return torch.cat([uniform(hu, 0.25, 0.75) * side for side in hu.shape[2:]], dim=1)

    def _middle_beside(self, rim: Tensor) -> Tensor:
        ring = dilate(rim, self.reach_pixels) - rim
        pixel = (ring * torch.rand_like(ring)).flatten(1).argmax(dim=1)
        columns = rim.shape[-1]
        return torch.stack((pixel // columns, pixel % columns), dim=1)[:, :, None, None].to(rim.dtype)

    def _ellipse(self, hu: Tensor, middle: Tensor) -> Tensor:
        """How much of each pixel is the mass, shaped like ``hu``."""
        rows, columns = hu.shape[2:]
        y = torch.arange(rows, device=hu.device).view(1, 1, -1, 1) - middle[:, :1]
        x = torch.arange(columns, device=hu.device).view(1, 1, 1, -1) - middle[:, 1:]
        # Slices of the stack cut it at different heights.
        radii = [uniform(hu, *self.radius_pixels) * uniform(hu, 0.8, 1.0, hu.shape[1], 1, 1) for _ in range(2)]
        # An edge of about two pixels, whatever the size.
        return torch.sigmoid(2 * (1 - torch.hypot(y / radii[0], x / radii[1])) * torch.minimum(*radii))

    def _tissue(self, hu: Tensor, liver: Tensor, beside: Tensor) -> Tensor:
        """HU of the mass, coarse and fine grain on its level."""
        slices, rows, columns = hu.shape[1:]
        middle = slices // 2
        of_liver = (hu[:, middle : middle + 1] * liver).sum((1, 2, 3), keepdim=True)
        near = of_liver / liver.sum((1, 2, 3), keepdim=True).clamp(min=1) + uniform(hu, *self.beside_liver_hu)
        level = torch.where(beside, near, uniform(hu, *self.level_hu))
        grain = torch.randn_like(hu)
        for fields, cells in ((slices, rows // 8), (1, 6)):
            field = torch.randn(len(hu), fields, cells, cells, device=hu.device)
            grain = grain + functional.interpolate(field, size=(rows, columns), mode="bicubic", align_corners=False)
        return level + uniform(hu, 0, self.grain_hu) * grain


@dataclass
class Enhancement:
    """Weaken or strengthen what lies above 40 HU, as another contrast phase, or none, would."""

    probability: float = 0.4
    factor: tuple[float, float] = (0.2, 1.4)

    def __call__(self, batch: Batch) -> Batch:
        factor = torch.where(chosen(batch.hu, self.probability), uniform(batch.hu, *self.factor), 1.0)
        return replace(batch, hu=batch.hu.clamp(max=40) + (batch.hu - 40).clamp(min=0) * factor)


@dataclass
class Intensity:
    """Scale and shift HU, and add a smooth field, as calibration, beam hardening and uneven fat do."""

    scale: tuple[float, float] = (0.85, 1.15)
    shift_hu: float = 25.0
    field_hu: float = 12.0

    def __call__(self, batch: Batch) -> Batch:
        hu = (batch.hu - 60) * uniform(batch.hu, *self.scale) + 60 + uniform(batch.hu, -self.shift_hu, self.shift_hu)
        coarse = torch.randn(len(hu), 1, 4, 4, device=hu.device) * self.field_hu * uniform(hu, 0, 1)
        field = functional.interpolate(coarse, size=hu.shape[-2:], mode="bicubic", align_corners=True)
        return replace(batch, hu=hu + field)


@dataclass
class Blur:
    """Blur in-plane, or sharpen by unsharp masking, as reconstruction kernels do."""

    probability: float = 0.4
    strength: tuple[float, float] = (-0.7, 1.0)

    def __call__(self, batch: Batch) -> Batch:
        blurred = batch.hu
        for _ in range(2):
            # Two box filters make a triangle of 1.15 pixels' deviation, several times as fast as a Gaussian here.
            blurred = functional.avg_pool2d(functional.pad(blurred, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        strength = chosen(batch.hu, self.probability) * uniform(batch.hu, *self.strength)
        return replace(batch, hu=torch.lerp(batch.hu, blurred, strength))


@dataclass
class Noise:
    """Gaussian noise, white or grainy, up to ``sigma_hu``; each slice of the stack has its own."""

    probability: float = 0.5
    sigma_hu: float = 30.0

    def __call__(self, batch: Batch) -> Batch:
        noise = torch.randn_like(batch.hu)
        if torch.rand(()) < 0.5:
            # A 3×3 mean leaves a third of the deviation: multiplied back, the grain is coarser and as strong.
            noise = 3 * functional.avg_pool2d(noise, 3, stride=1, padding=1)
        sigma = chosen(batch.hu, self.probability) * uniform(batch.hu, 0, self.sigma_hu)
        return replace(batch, hu=batch.hu + noise * sigma)


@dataclass
class Streaks:
    """Draw a piece of metal and streaks from it: random HU by direction, fading with the distance."""

    probability: float = 0.1
    radius_pixels: tuple[float, float] = (1.0, 6.0)
    sigma_hu: tuple[float, float] = (10.0, 150.0)
    reach_pixels: tuple[float, float] = (30.0, 120.0)
    directions: int = 180
    metal_hu: float = 3000.0

    def __call__(self, batch: Batch) -> Batch:
        where = torch.nonzero(torch.rand(len(batch.hu)) < self.probability)[:, 0].to(batch.hu.device)
        if len(where) == 0:
            return batch
        hu = batch.hu[where]
        rows, columns = hu.shape[2:]
        y = torch.arange(rows, device=hu.device).view(1, 1, -1, 1) - uniform(hu, 0.2, 0.8) * rows
        x = torch.arange(columns, device=hu.device).view(1, 1, 1, -1) - uniform(hu, 0.2, 0.8) * columns
        distance = torch.hypot(y, x)
        # Cubes of normal numbers: most directions are quiet, a few strong.
        star = torch.randn(len(hu), self.directions, device=hu.device) ** 3 / 15**0.5
        direction = (torch.atan2(y, x) / (2 * math.pi) * self.directions).remainder(self.directions)
        before = direction.floor().long() % self.directions
        along = [star.gather(1, index.flatten(1)).view_as(y + x) for index in (before, (before + 1) % self.directions)]
        pattern = torch.lerp(*along, direction - direction.floor()) * uniform(hu, *self.sigma_hu)
        pattern = pattern * torch.exp(-distance / uniform(hu, *self.reach_pixels))
        # The slices of a stack lie at different heights of the metal.
        hu = hu + pattern * uniform(hu, 0.3, 1.0, hu.shape[1], 1, 1)
        metal = (distance < uniform(hu, *self.radius_pixels)) & (batch.labels[where] == 0)[:, None]
        return replace(batch, hu=batch.hu.index_copy(0, where, hu.masked_fill(metal, self.metal_hu)))


@dataclass
class FieldOfView:
    """Black out what a smaller field of view would not show: a strip at each side of the image."""

    probability: float = 0.1
    strip_pixels: int = 60

    def __call__(self, batch: Batch) -> Batch:
        rows, columns = batch.hu.shape[2:]
        row = torch.arange(rows, device=batch.hu.device).view(1, 1, -1, 1)
        column = torch.arange(columns, device=batch.hu.device).view(1, 1, 1, -1)
        top, bottom, left, right = (uniform(batch.hu, -self.strip_pixels, self.strip_pixels) for _ in range(4))
        hidden = (row < top) | (row >= rows - bottom) | (column < left) | (column >= columns - right)
        hidden = hidden & chosen(batch.hu, self.probability)
        return replace(
            batch,
            hu=batch.hu.masked_fill(hidden, AIR_HU),
            labels=batch.labels.masked_fill(hidden[:, 0], 0),
        )


@dataclass
class Clip:
    """Clip to a random window inside the network's, since some training scans are clipped and some users' are."""

    probability: float = 0.4
    low: tuple[float, float] = (-160.0, -40.0)
    high: tuple[float, float] = (160.0, 240.0)

    def __call__(self, batch: Batch) -> Batch:
        clip = chosen(batch.hu, self.probability)
        low = torch.where(clip, uniform(batch.hu, *self.low), -torch.inf)
        high = torch.where(clip, uniform(batch.hu, *self.high), torch.inf)
        return replace(batch, hu=batch.hu.clamp(low, high))


def default_augmentations(
    size: int,
    strength: float = 1.0,
    random_window: bool = True,
    streak_probability: float = 0.0,
    lesions: Lesions = Lesions(),  # noqa: B008 # never changed
    mass_probability: float = 0.0,
    smallest: float = Warp.scale[0],
) -> list[Augmentation]:
    """What the bundled network was trained with, in a scanner's order: anatomy, contrast, optics, noise, window.

    ``strength`` scales all but the clipping, which ``random_window`` switches: 1 as for the bundled network, 0 none.
    ``streak_probability`` is how many samples have metal and streaks from it, ``lesions`` what is drawn in livers,
    ``mass_probability`` how many have a mass beside it, ``smallest`` how small a body may become, of its own size 1.
    Amplitudes grow with it, ranges of factors by their logarithm; what happens or not happens that much more often.
    """
    warp, intensity = Warp(size, scale=(smallest, Warp.scale[1])), Intensity()
    augmentations: list[Augmentation] = [
        replace(
            warp,
            prone_probability=_often(warp.prone_probability, strength),
            rotation_degrees=warp.rotation_degrees * strength,
            scale=_spread(warp.scale, strength),
            stretch=warp.stretch * strength,
            shift_pixels=warp.shift_pixels * strength,
            elastic_pixels=warp.elastic_pixels * strength,
        ),
        replace(lesions, probability=_often(lesions.probability, strength)),
        *([Masses(_often(mass_probability, strength))] if mass_probability else []),
        Enhancement(probability=_often(Enhancement.probability, strength)),
        Intensity(_spread(intensity.scale, strength), intensity.shift_hu * strength, intensity.field_hu * strength),
        *([Streaks(_often(streak_probability, strength))] if streak_probability else []),
        Blur(probability=_often(Blur.probability, strength)),
        Noise(sigma_hu=Noise.sigma_hu * strength),
        FieldOfView(probability=_often(FieldOfView.probability, strength)),
    ]
    return [*augmentations, Clip()] if random_window else augmentations


def project_e_augmentations(size: int, strength: float = 1.0) -> list[Augmentation]:
    """The four of the earlier project E: left-right flip, top-bottom flip, rotation, blur.

    How often and how much it does not say: each flip in half of the samples, up to 20 degrees, blur in half; here
    ``strength`` scales rotation and blur. The blur is a triangle of 1.15 pixels' deviation in place of a Gaussian.
    """
    still = {"prone_probability": 0.0, "scale": (1.0, 1.0), "stretch": 0.0, "shift_pixels": 0.0}
    flips = Warp(size, mirror_probability=0.5, rotation_degrees=20.0 * strength, elastic_probability=0.0, **still)
    return [flips, Blur(probability=_often(0.5, strength), strength=(1.0, 1.0))]


def _often(probability: float, strength: float) -> float:
    return min(1.0, probability * strength)


def _spread(factors: tuple[float, float], strength: float) -> tuple[float, float]:
    return factors[0] ** strength, factors[1] ** strength


def augment(batch: Batch, augmentations: list[Augmentation]) -> Batch:
    """Apply the augmentations one after the other."""
    for augmentation in augmentations:
        batch = augmentation(batch)
    return batch
