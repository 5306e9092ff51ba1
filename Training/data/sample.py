"""Draw batches of slices with their neighbours from the prepared scans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from LiverSegLib.data.modality import CT, MR
from LiverSegLib.inference.preprocess import neighbour_stacks

from .any_contrast import contrast_of_any_kind, thick_slices
from .catalogue import NEVER_TRAINED_ON, person_of
from .classes import Classes
from .density import SHIFT_HU, change_density
from .fluid import fill_regions
from .splits import held_out_persons
from .stored import PreparedScan, is_stored
from .unenhanced import remove_contrast

if TYPE_CHECKING:
    from ..settings import Settings

AIR_HU = -250.0
# Wrong slice spacing stretches the way to the neighbours by this much.
STRETCH = (0.7, 1.3)
# How far the centre of a square may lie from the scan's, in pixels.
SPREAD = 20
# Draws of a process, and of each of its workers, begin farther apart than a run has steps.
SEEDS_OF_A_PROCESS, SEEDS_OF_A_WORKER = 100_000_000, 1_000_000


@dataclass(frozen=True)
class Batch:
    """HU (n, neighbour, rows, columns), labels (n, rows, columns), regions of the loss that are labelled (n, region).

    ``classes`` tells what the labels and regions are.
    """

    hu: Tensor
    labels: Tensor
    labelled: Tensor
    classes: Classes

    @property
    def liver(self) -> Tensor:
        """Where the liver is, its tumours included, bool (n, rows, columns)."""
        return self.classes.liver(self.labels)

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        tensors = (self.hu, self.labels, self.labelled)
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in tensors), self.classes)


def load_scans(settings: Settings, classes: Classes) -> tuple[list[PreparedScan], list[PreparedScan]]:
    """The scans that train, with their copies, and those that are held back, in name's order; all stay on disk.

    Scans of no known person, such as phantoms, train.

    Raises
    ------
    FileNotFoundError
        If none trains.
    ValueError
        If they were prepared with other pixels, or the settings hold back what is not there.
    """
    folder = Path(settings.prepared)
    stored = [path for path in sorted(folder.glob("*")) if is_stored(path) and settings.takes(path.name)]
    scans = [PreparedScan.open(path, classes, settings.spacing_mm) for path in stored]
    scans = [scan for scan in scans if person_of(scan.name) not in NEVER_TRAINED_ON]
    real = [scan for scan in scans if scan.kind == ("mr" if settings.modality == "MR" else "real")]
    at_hand = [scan.name for scan in scans if scan.kind in ("real", "slices", "mr")]
    held_out = held_out_persons(at_hand, settings.held_out)
    training = [scan for scan in scans if person_of(scan.name) not in held_out]
    if not training:
        raise FileNotFoundError(f"There are no scans to train on in {folder}; run python -m Training.data.prepare.")
    return training, [scan for scan in real if person_of(scan.name) in held_out]


class SliceSampler(IterableDataset):
    """Endless random batches: a scan by the weight of its kind, then a slice, then a square around a random centre.

    Parameters
    ----------
    scans
        Prepared scans.
    classes
        What their labels mean.
    settings
        Size and number of the squares, shares of kinds of scans and slices, and what is drawn into them.
    batch
        Slices in a batch.
    seed
        Of the first worker; each draws its own.
    """

    def __init__(self, scans: list[PreparedScan], classes: Classes, settings: Settings, batch: int, seed: int) -> None:
        self.scans, self.classes, self.settings, self.size, self.seed = scans, classes, settings, batch, seed
        self.end_slices = [scan.end_slices for scan in scans]
        self.probability = scan_probability(scans, settings.shares)

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = np.random.default_rng(self.seed + SEEDS_OF_A_WORKER * (worker.id if worker else 0))
        while True:
            yield self.batch(rng)

    def batch(self, rng: np.random.Generator) -> Batch:
        """One batch."""
        chosen = rng.choice(len(self.scans), self.size, p=self.probability)
        hu, labels = zip(*(self._sample(int(index), rng) for index in chosen), strict=True)
        labelled = torch.tensor([self.scans[index].labelled for index in chosen])
        return Batch(torch.stack(hu), torch.stack(labels), labelled, self.classes)

    def _sample(self, index: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        scan, settings = self.scans[index], self.settings
        position = self._position(index, rng)
        offsets = random_offsets(settings.offsets_mm, settings.missing_neighbours, rng)
        if settings.modality == MR and scan.modality == CT:
            return self._of_any_contrast(scan, position, offsets, rng)
        reach = int(np.ceil(np.abs(offsets).max() / scan.slice_spacing)) + 1
        low, high = max(0, position - reach), min(scan.shape[0], position + reach + 1)
        around, labels = scan.hu(low, high), scan.labels(low, high)
        if (regions := scan.regions(low, high)) is not None:
            around = fill_regions(around, regions, rng)
        wanted = torch.tensor([position - low])

        def stack_of(slices: Tensor) -> Tensor:
            return neighbour_stacks(slices.float(), wanted, scan.slice_spacing, offsets.tolist())[0]

        stack = stack_of(around)
        if scan.modality == MR:
            pass
        elif rng.random() < settings.unenhanced_share:
            liver, parenchyma = self.classes.liver(labels), self.classes.mask(labels, "liver")
            stack = remove_contrast(stack, stack_of(liver), stack_of(parenchyma), rng)
        elif rng.random() < settings.density_share:
            parenchyma = stack_of(self.classes.mask(labels, "liver"))
            stack = change_density(stack, parenchyma, rng.uniform(*SHIFT_HU))
        box = _square(scan.shape[1:], settings.sampled_size, rng)
        return _cut(stack, box, AIR_HU), _cut(labels[position - low], box, 0)

    def _of_any_contrast(
        self, scan: PreparedScan, position: int, offsets: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """A sample for MR out of a CT."""
        weights = thick_slices(scan.shape[0], position, scan.slice_spacing, offsets, rng)
        used = weights.any(dim=0).nonzero()[:, 0].tolist()
        box = _square(scan.shape[1:], self.settings.sampled_size, rng)
        hu = _cut(torch.cat([scan.hu(k, k + 1) for k in used]), box, AIR_HU)
        labels = _cut(torch.cat([scan.labels(k, k + 1) for k in used]), box, 0)
        signal = contrast_of_any_kind(hu, labels, weights[:, used], self.classes, rng)
        return signal, _cut(scan.labels(position, position + 1)[0], box, 0)

    def _position(self, index: int, rng: np.random.Generator) -> int:
        """A slice: from the ends of the liver, with tumour, with liver, or any, by the settings' shares."""
        scan, settings = self.scans[index], self.settings
        draw = rng.random() - settings.end_share
        if draw < 0 and len(self.end_slices[index]):
            return int(rng.choice(self.end_slices[index]))
        if draw < settings.tumour_share and len(scan.tumour_slices):
            return int(rng.choice(scan.tumour_slices))
        if rng.random() < settings.liver_share and len(scan.liver_slices):
            return int(rng.choice(scan.liver_slices))
        return int(rng.integers(scan.shape[0]))


def scan_probability(scans: list[PreparedScan], shares: dict[str, float]) -> np.ndarray:
    """How often each scan is drawn: by the share of its kind among those at hand, and by its slices with liver."""
    # The square root keeps thin-slice scans from drowning the thick ones, and the thick from being learnt by heart.
    probability = np.sqrt([len(scan.liver_slices) for scan in scans])
    for kind in {scan.kind for scan in scans}:
        members = np.array([scan.kind == kind for scan in scans])
        probability[members] *= shares.get(kind, 0.0) / max(probability[members].sum(), 1e-9)
    return probability / probability.sum()


def random_offsets(offsets_mm: Sequence[float], missing: float, rng: np.random.Generator) -> np.ndarray:
    """Where the neighbours lie this time, in mm.

    Stretched offsets stand for wrong slice spacing; mirrored ones never occur, since orientation is known. In a share
    ``missing`` of the samples the scan ends at a random distance on one side or both, where its outermost slice is
    repeated as at the true ends of a scan, and at once for a single slice.
    """
    offsets = np.array(offsets_mm) * rng.uniform(*STRETCH)
    if rng.random() >= missing:
        return offsets
    end = rng.uniform(0, np.abs(offsets).max()) * (rng.random() < 0.5)
    low, high = [(-end, np.inf), (-np.inf, end), (-end, end)][rng.integers(3)]
    return offsets.clip(low, high)


def endless_batches(sampler: SliceSampler, workers: int) -> Iterator[Batch]:
    """The sampler's batches; with workers, further processes draw them ahead."""
    return iter(DataLoader(sampler, batch_size=None, num_workers=workers, collate_fn=_as_it_is))


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _square(shape: Sequence[int], size: int, rng: np.random.Generator) -> tuple[int, int, int]:
    top, left = ((n - size) // 2 + int(rng.integers(-SPREAD, SPREAD + 1)) for n in shape)
    return top, left, size


def _cut(image: Tensor, box: tuple[int, int, int], fill: float) -> Tensor:
    top, left, size = box
    rows, columns = image.shape[-2:]
    return functional.pad(image, (-left, left + size - columns, -top, top + size - rows), value=fill)
