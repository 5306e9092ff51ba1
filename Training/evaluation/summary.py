"""From a row for each case to what a paper states: mean, median, worst and a 95 % interval, by group."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

NONE = "none"  # the name of no degradation
RESAMPLES = 10_000
# Of each measure, what the worst case is.
WORST = {
    "dice": min,
    "slice_dice": min,
    "slice_dice_all": min,
    "iou": min,
    "surface_dice_2mm": min,
    "hd95_mm": max,
    "assd_mm": max,
    "volume_difference_percent": lambda values: max(values, key=abs),
    "tumour_dice": min,
}
LESION_COUNTS = ("lesions", "lesions_found", "lesions_missed", "lesions_false")


def summarise(rows: list[dict]) -> dict:
    """All statistics of the rows of :func:`Training.evaluation.evaluate.evaluate_case`.

    For each group: ``cases``, ``dice_mean``, ``dice_median``, ``dice_worst``, ``metrics``, ``lesions`` and
    ``per_case``, of the scans as they are. ``by_dataset`` has the first six for each data set; ``by_degradation``, if
    there are any, for each degradation and group, with ``dice_mean_change`` against the same cases as they are.
    """
    plain = [row for row in rows if row.get("degradation", NONE) == NONE]
    summary: dict = {
        group: {**statistics_of(members), "per_case": _per_case(members)}
        for group, members in _grouped(plain, "group").items()
    }
    summary["by_dataset"] = {name: statistics_of(members) for name, members in _grouped(plain, "dataset").items()}
    degraded = [row for row in rows if row.get("degradation", NONE) != NONE]
    if degraded:
        summary["by_degradation"] = {
            name: {group: _against(some, plain) for group, some in _grouped(members, "group").items()}
            for name, members in _grouped(degraded, "degradation").items()
        }
    return summary


def statistics_of(rows: list[dict]) -> dict:
    """Number of cases, the Dice at a glance, each measure's statistics, and lesions counted over all cases."""
    scores = [row["dice"] for row in rows]
    return {
        "cases": len(rows),
        "dice_mean": round(statistics.mean(scores), 4),
        "dice_median": round(statistics.median(scores), 4),
        "dice_worst": round(min(scores), 4),
        "metrics": {name: measured for name in WORST if (measured := _measure(rows, name))},
        "lesions": _lesions(rows),
    }


def bootstrap_interval(
    values: Iterable[float], patients: Iterable[str], resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """95 % interval of the mean: percentile bootstrap over patients (Efron, Annals of Statistics 7, 1979).

    Patients are drawn with replacement, each with all their scans, since scans of one person are alike. None for one
    patient, or where a value is infinite.
    """
    values = np.array(list(values), dtype=float)
    _, patient = np.unique(list(patients), return_inverse=True)
    count = int(patient.max(initial=-1)) + 1
    if count < 2 or not np.isfinite(values).all():
        return None
    total, scans = np.bincount(patient, values), np.bincount(patient)
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))
    means = total[drawn].sum(axis=1) / scans[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def _measure(rows: list[dict], name: str) -> dict | None:
    """Statistics of one measure over the rows that have it; null in JSON for what is infinite."""
    members = [row for row in rows if row.get(name) is not None]
    if not members:
        return None
    values = [row[name] for row in members]
    interval = bootstrap_interval(values, [row.get("patient", row["name"]) for row in members])
    return {
        "cases": len(values),
        "mean": _rounded(statistics.mean(values)),
        "median": _rounded(statistics.median(values)),
        "worst": _rounded(WORST[name](values)),
        "mean_interval_95": [_rounded(end) for end in interval] if interval else None,
    }


def _lesions(rows: list[dict]) -> dict | None:
    """Sums over the cases whose tumours are labelled, for all lesions and for large ones; None without such a case."""
    members = [row for row in rows if row.get("lesions") is not None]
    if not members:
        return None
    result: dict = {"cases": len(members)}
    for suffix in ("", "_above_10mm"):
        counts = {name + suffix: sum(row[name + suffix] for row in members) for name in LESION_COUNTS}
        total = counts["lesions" + suffix]
        result |= counts
        result["share_found" + suffix] = _rounded(counts["lesions_found" + suffix] / total) if total else None
        result["false_per_case" + suffix] = _rounded(counts["lesions_false" + suffix] / len(members))
    return result


def _against(rows: list[dict], plain: list[dict]) -> dict:
    before = {(row["group"], row["name"]): row["dice"] for row in plain}
    changes = [row["dice"] - before[key] for row in rows if (key := (row["group"], row["name"])) in before]
    change = {"dice_mean_change": round(statistics.mean(changes), 4)} if changes else {}
    return {**statistics_of(rows), **change}


def _per_case(rows: list[dict]) -> dict:
    names = (*WORST, *LESION_COUNTS, *(f"{name}_above_10mm" for name in LESION_COUNTS))
    return {
        row["name"]: {
            name: round(row[name], 4) for name in names if row.get(name) is not None and np.isfinite(row[name])
        }
        for row in rows
    }


def _grouped(rows: list[dict], key: str) -> dict[str, list[dict]]:
    groups = defaultdict(list)
    for row in rows:
        groups[row.get(key, "")].append(row)
    return dict(sorted(groups.items()))


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
