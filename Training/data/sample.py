"""Draw batches of slices from the prepared scans: held on one device, or read from their files as they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from LiverSegLib.grid import neighbour_stacks

from ..spec import OFFSETS_MM, SPACING_MM
from .density import SHIFT_HU, change_density
from .fluid import fill_regions
from .splits import get_split
from .stored import StoredSlices, find_slices
from .unenhanced import remove_contrast

AIR_HU = -250.0
# At the dome and at the lower tip, where a slice shows little of the liver, most mistakes are made.
LIVER_END_MM = 15.0


@dataclass(frozen=True)
class PreparedScan:
    """One scan on the network's grid: HU and labels (k, rows, columns), spacing of its slices in mm.

    Of HU, labels and regions, held or stored, only runs of slices are taken: ``hu[3:8]``. Regions are those that
    :mod:`Training.data.fluid` fills, of a copy that has such. Which slices hold liver and which
    labelled tumour is found in the labels where it is not given.
    """

    name: str
    hu: Tensor | StoredSlices
    labels: Tensor | StoredSlices
    slice_spacing: float
    tumour_labelled: bool
    kind: str
    liver_slices: Tensor | None = None
    tumour_slices: Tensor | None = None
    regions: Tensor | StoredSlices | None = None

    def __post_init__(self) -> None:
        if self.liver_slices is None or self.tumour_slices is None:
            for name, indices in find_slices(self.labels[:]).items():
                object.__setattr__(self, name, indices)

    @property
    def end_slices(self) -> Tensor:
        """Indices of the slices, in the liver or beyond it, within 15 mm of its highest or lowest slice."""
        liver = self.liver_slices
        if len(liver) == 0:
            return liver
        position = torch.arange(len(self.hu))
        distance = torch.minimum((position - liver[0]).abs(), (position - liver[-1]).abs())
        return (distance * self.slice_spacing <= LIVER_END_MM).nonzero()[:, 0]


@dataclass(frozen=True)
class Batch:
    """HU (n, neighbour, rows, columns), labels (n, rows, columns), and per sample whether tumours are labelled."""

    hu: Tensor
    labels: Tensor
    tumour_labelled: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on another device; to a GPU by way of pinned memory, while the host goes on."""
        tensors = (self.hu, self.labels, self.tumour_labelled)
        if device.type == "cuda":
            tensors = tuple(tensor.pin_memory() for tensor in tensors)
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in tensors))


def load_scans(
    folder: Path,
    part: str,
    device: torch.device,
    split: str = "bundled",
    spacing_mm: float = SPACING_MM,
    stream: bool = False,
) -> list[PreparedScan]:
    """The scans of one part ("train" or "validation") of a split of :mod:`Training.data.splits`, in name's order.

    They are held on ``device``, or with ``stream`` left on disk, whence their slices are read when they are wanted.

    Raises
    ------
    FileNotFoundError
        If there are none.
    ValueError
        If they were prepared with other pixels than ``spacing_mm``, or cannot be streamed.
    """
    membership = get_split(split)
    scans = []
    for path in sorted(folder.glob("[!.]*.npz")):  # a hidden one is being written
        with np.load(path) as stored:
            if membership.part_of(path.stem, str(stored["kind"]), str(stored["split"])) == part:
                _check_spacing(path, float(stored.get("spacing_mm", 1.5)), spacing_mm)
                arrays = {
                    name: StoredSlices.find(path, stored, name) if stream else torch.from_numpy(stored[name]).to(device)
                    for name in ("hu", "labels", "regions")
                    if name in stored
                }
                # Scans that were prepared before have no such lists; their labels are then read through once.
                indices = {
                    name: torch.from_numpy(stored[name]) for name in ("liver_slices", "tumour_slices") if name in stored
                }
                scans.append(
                    PreparedScan(
                        name=path.stem,
                        slice_spacing=float(stored["slice_spacing"]),
                        tumour_labelled=bool(stored["tumour_labelled"]),
                        kind=str(stored["kind"]),
                        **arrays,
                        **indices,
                    )
                )
    if not scans:
        raise FileNotFoundError(
            f"no prepared scans of split {split}, part {part}, in {folder}; run python -m Training.data.prepare first"
        )
    return scans


def _check_spacing(path: Path, stored_mm: float, wanted_mm: float) -> None:
    if abs(stored_mm - wanted_mm) > 1e-6:
        raise ValueError(
            f"{path} has pixels of {stored_mm} mm, not {wanted_mm}; "
            f"run python -m Training.data.prepare --spacing-mm {wanted_mm} into a folder of its own"
        )


class SliceSampler:
    """Endless random batches: a scan by the weight of its kind, then a slice, then a square around a random centre.

    Parameters
    ----------
    scans
        Prepared scans.
    size
        Side of the square in pixels; what lies outside the scan is air.
    weights
        Share of each kind of scan ("real", "tilted", "fluid", "phantom") among the samples.
    liver_share
        Share of samples drawn from slices with liver; the others are drawn from all slices of the scan.
    seed
        Seed of the generator.
    offsets_mm
        Where the neighbouring slices lie, in mm towards superior.
    end_share
        Share of samples drawn from the ends of the liver; ``liver_share`` then divides the rest.
    tumour_share
        Likewise from slices with labelled tumour, in scans that have any; in others these samples join the rest.
    density_share
        Share of samples whose liver is made darker or brighter (:mod:`Training.data.density`).
    unenhanced_share
        Share of samples without contrast medium (:mod:`Training.data.unenhanced`); ``density_share`` is of the others.
    """

    def __init__(
        self,
        scans: list[PreparedScan],
        size: int,
        weights: dict[str, float],
        liver_share: float,
        seed: int,
        offsets_mm: Sequence[float] = OFFSETS_MM,
        end_share: float = 0.0,
        tumour_share: float = 0.0,
        density_share: float = 0.0,
        unenhanced_share: float = 0.0,
    ) -> None:
        self.scans = scans
        self.size = size
        self.liver_share = liver_share
        self.generator = np.random.default_rng(seed)
        self.offsets_mm = tuple(offsets_mm)
        self.end_share = end_share
        self.tumour_share = tumour_share
        self.density_share = density_share
        self.unenhanced_share = unenhanced_share
        self.liver_slices = [scan.liver_slices.numpy() for scan in scans]
        self.end_slices = [scan.end_slices.numpy() for scan in scans]
        self.tumour_slices = [scan.tumour_slices.numpy() for scan in scans]
        self.probability = self._scan_probability(weights)

    def _scan_probability(self, weights: dict[str, float]) -> np.ndarray:
        # The square root keeps thin-slice scans from drowning the thick ones, and the thick from being learnt by heart.
        share = np.sqrt([len(slices) for slices in self.liver_slices])
        for kind in {scan.kind for scan in self.scans}:
            members = np.array([scan.kind == kind for scan in self.scans])
            share[members] *= weights.get(kind, 0.0) / share[members].sum()
        return share / share.sum()

    def batch(self, size: int) -> Batch:
        """A batch of ``size`` samples."""
        samples = [
            self._sample(int(index)) for index in self.generator.choice(len(self.scans), size, p=self.probability)
        ]
        hu, labels, labelled = zip(*samples, strict=True)
        device = hu[0].device
        return Batch(torch.stack(hu), torch.stack(labels), torch.tensor(labelled, device=device))

    def _sample(self, index: int) -> tuple[Tensor, Tensor, bool]:
        scan = self.scans[index]
        position = self._position(index)
        # Stretched offsets stand for wrong slice spacing; mirrored ones never occur, since orientation is known.
        offsets = np.array(self.offsets_mm) * self.generator.uniform(0.7, 1.3) * (self.generator.random() > 0.05)
        low, high = self._slices_around(scan, position)
        around = scan.hu[low:high].float()
        if scan.regions is not None:
            around = fill_regions(around, scan.regions[low:high], self.generator)
        wanted = torch.tensor([position - low], device=around.device)

        def stack_of(slices: Tensor) -> Tensor:
            return neighbour_stacks(slices.float(), wanted, scan.slice_spacing, offsets.tolist())[0]

        stack = stack_of(around)
        if self.unenhanced_share and self.generator.random() < self.unenhanced_share:
            near = scan.labels[low:high]
            stack = remove_contrast(stack, stack_of(near > 0), stack_of(near == 1), self.generator)
        elif self.density_share and self.generator.random() < self.density_share:
            parenchyma = stack_of(scan.labels[low:high] == 1)
            stack = change_density(stack, parenchyma, self.generator.uniform(*SHIFT_HU))
        box = self._square(scan)
        labels = scan.labels[position : position + 1][0]
        return _cut(stack, box, AIR_HU), _cut(labels, box, 0), scan.tumour_labelled

    def _position(self, index: int) -> int:
        draw = self.generator.random()
        if draw < self.end_share:
            return int(self.generator.choice(self.end_slices[index]))
        tumour_share = self.tumour_share if len(self.tumour_slices[index]) else 0.0
        if draw < self.end_share + tumour_share:
            return int(self.generator.choice(self.tumour_slices[index]))
        rest = 1 - self.end_share - tumour_share
        if draw < 1 - rest * (1 - self.liver_share):
            return int(self.generator.choice(self.liver_slices[index]))
        return int(self.generator.integers(len(self.scans[index].hu)))

    def _slices_around(self, scan: PreparedScan, position: int) -> tuple[int, int]:
        reach = int(np.ceil(1.3 * max(map(abs, self.offsets_mm)) / scan.slice_spacing)) + 1
        return max(0, position - reach), min(len(scan.hu), position + reach + 1)

    def _square(self, scan: PreparedScan) -> tuple[int, int, int]:
        rows, columns = scan.hu.shape[1:]
        spread = 20
        top = (rows - self.size) // 2 + int(self.generator.integers(-spread, spread + 1))
        left = (columns - self.size) // 2 + int(self.generator.integers(-spread, spread + 1))
        return top, left, self.size


def draw_ahead(sampler: SliceSampler, size: int) -> Iterator[Batch]:
    """The sampler's batches, the same in the same order; while one is in use, a thread reads and cuts the next."""
    with ThreadPoolExecutor(1, "sampler") as reader:
        upcoming = reader.submit(sampler.batch, size)
        while True:
            batch = upcoming.result()
            upcoming = reader.submit(sampler.batch, size)
            yield batch


def _cut(image: Tensor, box: tuple[int, int, int], fill: float) -> Tensor:
    top, left, size = box
    rows, columns = image.shape[-2:]
    return functional.pad(image, (-left, left + size - columns, -top, top + size - rows), value=fill)
