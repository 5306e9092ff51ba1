"""SegmentationReport: what was found, how well it agrees with a reference, how long it took, what to be wary of."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import messages
from ..data.bounding_box import WHOLE, box_round
from ..data.labels import LabelVolume
from ..data.metrics import compare
from ..data.modality import CT, MR
from ..data.patient_space import PatientSpace
from ..data.places import Place
from ..io.json_file import write_json
from ..io.spreadsheet import write_table
from ..io.terminal import printable
from . import anatomy_measures

if TYPE_CHECKING:
    from ..inference.segmenter import Segmentation

_STAGES = ("load", "preprocess", "network", "postprocess", "write")
# Of those who asked for them alone.
_OTHER_STAGES = ("segments", "vessels")
_COMPARISON = ("dice", "iou", "hd95_mm", "assd_mm", "volume_difference_percent")
_DECIMALS = {"dice": 4, "quality": 3, "iou": 4, "seconds": 3}
_DEFAULT_DECIMALS = 2


@dataclass(frozen=True)
class SegmentationReport:
    """The numbers of one segmentation; written with these keys, and rounded, as JSON and CSV.

    ``input`` and ``output`` say where the image came from and where the result went. ``model`` has ``name``,
    ``version`` and ``sha256``; ``seconds`` has ``load``, ``preprocess``, ``network``, ``postprocess``, ``write`` and
    ``total``, and ``segments`` and ``vessels`` where they were asked for. Volumes are in ml; the liver's includes
    tumours, the tumours' is None if they were not asked for. ``modality`` is "CT" or "MR (experimental)".
    ``quality`` is the Dice to be expected where there is no reference, 0 to 1, None if the model is not calibrated;
    ``places`` says where to look, most in doubt first; ``corrections`` is how many strokes of a reader went into the
    result. The next five, those of
    :func:`LiverSegLib.data.metrics.compare` for liver ∪ tumour, are None without a reference.
    ``anatomy`` has the keys of :func:`LiverSegLib.evaluation.anatomy_measures.measure`; in files they stand beside the
    others.
    """

    input: str
    output: str
    model: dict[str, str]
    device: str
    seconds: dict[str, float]
    liver_volume_ml: float
    tumour_volume_ml: float | None
    warnings: tuple[str, ...]
    modality: str = CT
    quality: float | None = None
    places: tuple[Place, ...] = ()
    corrections: int = 0
    dice: float | None = None
    iou: float | None = None
    hd95_mm: float | None = None
    assd_mm: float | None = None
    volume_difference_percent: float | None = None
    anatomy: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        segmentation: Segmentation,
        spacing: tuple[float, float, float] | PatientSpace,
        *,
        input: str,
        output: str,
        reference: np.ndarray | None = None,
        hu: np.ndarray | None = None,
        tumour: bool = False,
        extra_warnings: tuple[str, ...] | list[str] = (),
        write_seconds: float = 0.0,
    ) -> SegmentationReport:
        """Measure a segmentation.

        Parameters
        ----------
        spacing
            Distance between voxel centres in mm along (k, j, i), or where the voxels lie in the patient.
        reference
            Labels on the segmentation's grid, (k, j, i), liver where not 0; another shape is a ValueError.
        hu
            The CT, (k, j, i) on that grid, for the attenuation of liver and spleen; MR has none.
        tumour
            Whether tumours were asked for: if none were found, their volume is 0 instead of None.
        extra_warnings
            Sentences of steps outside the segmenter; they come first.
        """
        found, model = segmentation.anatomy, segmentation.model
        # Where anything of it is: no measure changes, and the rest of a scan is not gone through.
        masks = (mask for mask in (segmentation.labels, reference, found.spleen) if mask is not None)
        box = WHOLE if isinstance(spacing, PatientSpace) else box_round(*masks)
        labels, truth = segmentation.labels[box], None if reference is None else reference[box]
        tumours, grid = labels == 2, LabelVolume(labels, segmentation.affine)
        in_space = spacing if isinstance(spacing, PatientSpace) else grid
        is_mr = model.modality == MR
        hu_there = None if hu is None or is_mr else hu[box]
        tumour = tumour and not is_mr
        return cls(
            input=str(input),
            output=str(output),
            model={"name": model.name, "version": model.version, "sha256": model.sha256},
            device=segmentation.device,
            seconds=_with_total({**segmentation.seconds, "write": write_seconds}),
            liver_volume_ml=in_space.volume_ml(labels),
            tumour_volume_ml=in_space.volume_ml(tumours) if tumour or tumours.any() else None,
            warnings=(*extra_warnings, *segmentation.warnings),
            modality=messages.MR_EXPERIMENTAL if is_mr else CT,
            quality=segmentation.quality,
            places=segmentation.places,
            corrections=segmentation.corrections,
            **(compare(labels > 0, truth > 0, spacing) if truth is not None else {}),
            anatomy=anatomy_measures.measure(
                labels, found.part(box), in_space, hu_there, grid.geometry.spacing, tumour
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: rounded, infinite numbers as None.

        The keys of the comparison are there only if there was a reference, ``quality`` only if it is known, ``places``
        and ``corrections`` only if there are any, ``modality`` only if it is not CT, those of the anatomy only if it
        was asked for.
        """
        unknown = [*(_COMPARISON if self.dice is None else ()), *(["quality"] if self.quality is None else [])]
        unknown += ["anatomy", *(name for name in ("places", "corrections") if not getattr(self, name))]
        unknown += ["modality"] if self.modality == CT else []
        content = {key: _rounded(value, key) for key, value in asdict(self).items() if key not in unknown}
        return {**content, **self.anatomy}

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_dict`.

        Raises
        ------
        OutputError
            If the file cannot be written; an old one stays as it was.
        """
        write_json(path, self.to_dict())

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a header and one row, always with the same columns (``model_name``, ``seconds_total``, ...).

        Raises
        ------
        OutputError
            If the file cannot be written; an old one stays as it was.
        """
        row = self.to_row()
        write_table(path, list(row), [row])

    def comparison(self) -> dict[str, float | None]:
        """The measures against the reference alone, with the keys of :func:`LiverSegLib.data.metrics.compare`."""
        return {key: getattr(self, key) for key in _COMPARISON}

    def to_row(self) -> dict[str, Any]:
        """One flat row with the same keys for every report; what is not known is None, warnings are one text."""
        content = {**self.to_dict(), "modality": self.modality, "places": [f"{place}." for place in self.places]}
        row: dict[str, Any] = {}
        for key in (entry.name for entry in fields(self) if entry.name != "anatomy"):
            value = content.get(key)
            if isinstance(value, dict):
                row.update({f"{key}_{inner}": entry for inner, entry in value.items()})
            else:
                row[key] = " ".join(value) if isinstance(value, list) else value
        row |= {f"seconds_{stage}": row.pop(f"seconds_{stage}", None) for stage in _OTHER_STAGES}
        return row | anatomy_measures.columns(content)

    def summary(self) -> str:
        """The main lines for people."""
        lines = [messages.SUMMARY_LIVER.format(volume=self.liver_volume_ml)]
        if self.modality != CT:
            lines.append(messages.SUMMARY_MODALITY.format(modality=self.modality))
        if self.tumour_volume_ml is not None:
            lines.append(messages.SUMMARY_TUMOURS.format(volume=self.tumour_volume_ml))
        lines += [
            messages.SUMMARY_ROW.format(name=name, value=value) for name, value in anatomy_measures.rows(self.anatomy)
        ]
        if remark := self.anatomy.get("attenuation_remark"):
            lines.append(remark)
        if self.quality is not None:
            lines.append(messages.SUMMARY_QUALITY.format(quality=self.quality))
        if self.corrections:
            lines.append(messages.SUMMARY_CORRECTIONS.format(count=self.corrections))
        lines += [messages.SUMMARY_PLACE.format(place=place) for place in self.places]
        if self.dice is not None:
            lines.append(messages.SUMMARY_COMPARISON.format(**{key: getattr(self, key) for key in _COMPARISON}))
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items() if stage != "total")
        time = messages.SUMMARY_TIME.format(seconds=self.seconds["total"], device=self.device, stages=stages)
        warnings = [messages.SUMMARY_WARNING.format(warning=warning) for warning in self.warnings]
        return "\n".join(map(printable, [*lines, time, *warnings, messages.RESEARCH_USE]))


def _with_total(seconds: dict[str, float]) -> dict[str, float]:
    there = (*_STAGES, *(stage for stage in _OTHER_STAGES if stage in seconds))
    stages = {stage: float(seconds.get(stage, 0.0)) for stage in there}
    return {**stages, "total": sum(stages.values())}


def _rounded(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {inner: _rounded(entry, key) for inner, entry in value.items()}
    if isinstance(value, tuple):
        return [_rounded(entry, key) for entry in value]
    if isinstance(value, float):
        return round(value, _DECIMALS.get(key, _DEFAULT_DECIMALS)) if math.isfinite(value) else None
    return value
