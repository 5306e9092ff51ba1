"""Write the model card for people: ``python -m Training.evaluation.card``, into ``Resources/Models/liver_unet.md``.

Everything in it is read from the card beside the weights and from ``Training/record``; what is not there is said to be
not measured. Its pictures are drawn by :mod:`Training.evaluation.failures`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from LiverSegLib.model.liver_model import ModelCard, bundled_model_path

from .summary import LESION_COUNTS

RECORD = Path(__file__).parents[1] / "record"
OUTPUT = Path(__file__).parents[2] / "Resources" / "Models" / "liver_unet.md"
FAILURES = OUTPUT.with_name("failures.png")
TEMPLATE = Path(__file__).with_name("card.md")
NOT_MEASURED = "Not measured yet."
TITLES = {"btcv": "BTCV, by two folds"}

MEASURES = {
    "dice": "Dice",
    "slice_dice": "Dice over slices with liver",
    "slice_dice_all": "Dice over all slices",
    "iou": "IoU",
    "surface_dice_2mm": "Surface Dice at 2 mm",
    "hd95_mm": "HD95, mm",
    "assd_mm": "ASSD, mm",
    "volume_difference_percent": "Volume difference, %",
    "tumour_dice": "Tumour Dice",
}
# Names of the earlier projects' protocols, and what they reached.
PROTOCOLS = {
    "protocol_a": ("18 patients of 3D-IRCADb against 19 and 20", "slice Dice 0.952"),
    "protocol_b": ("13 patients of 3D-IRCADb against 7", "Dice near 0.87"),
    "protocol_c_cross_entropy_liver": ("LiTS, liver, weighted cross-entropy", "not stated"),
    "protocol_c_dice_liver": ("LiTS, liver, weighted Dice", "not stated"),
    "protocol_c_cross_entropy_tumour": ("LiTS, liver + tumour, weighted cross-entropy", "not stated"),
    "protocol_c_dice_tumour": ("LiTS, liver + tumour, weighted Dice", "not stated"),
    "protocol_d": ("3D-IRCADb, folds, with flips, rotation and blur", "Dice 0.351"),
}


def model_card(card: ModelCard, record: Path = RECORD) -> str:
    """The whole card in Markdown, by the template ``card.md``."""
    files = ("evaluation", "crossvalidation", "before_final", "training", "compute", "btcv", "left_out", "failures")
    held_out, joined, before, training, compute, btcv, left_out, failures = (
        _read(record / f"{name}.json") for name in files
    )
    training = training or {"runs": []}
    # Of our own words, and no HTML.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # nosec B701
    environment.filters |= {"number": _number, "short": "{:g}".format}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        card=card,
        data=_data(card),
        training={"mean_of": None, **training},
        stages=_stages(training),
        compute=compute,
        btcv=btcv,
        left_out=left_out,
        data_sets=_data_sets(left_out) if left_out else "",
        lengths=_lengths,
        held_out=held_out,
        before=before,
        joined=joined and {"averaged_with_start": False, **joined},
        folds=_folds(joined) if joined else "",
        degradations=_degradations(before, held_out),
        protocols=_protocols(record),
        lesions=_lesions(held_out, before or held_out, joined),
        failures=failures,
        groups=_groups,
        NOT_MEASURED=NOT_MEASURED,
        FAILURES=FAILURES,
    )


def _stages(training: dict) -> str:
    """How long the runs were that one after the other made the network."""
    settings = (run["settings"] for run in training["runs"])
    return ", then ".join(f"{one['steps']} steps of {one['batch']} slices" for one in settings) or NOT_MEASURED


def _data(card: ModelCard) -> str:
    rows = [(entry["name"], entry["patients"], entry["licence"], entry["citation"]) for entry in card.training_data]
    return _table(("Data", "Scans", "Licence", "Source"), rows)


def _groups(summary: dict | None, *groups: str) -> str:
    """What was measured of each of these groups of scans."""
    found = [_group(group, summary[group]) for group in groups if group in summary] if summary else []
    return "\n\n".join(found) or NOT_MEASURED


def _group(name: str, statistics: dict) -> str:
    rows = [
        (
            title,
            m["cases"],
            _number(m["mean"]),
            _interval(m["mean_interval_95"]),
            _number(m["median"]),
            _number(m["worst"]),
        )
        for key, title in MEASURES.items()
        if (m := statistics["metrics"].get(key))
    ]
    table = _table(("Measure", "Cases", "Mean", "95 % interval", "Median", "Worst"), rows)
    return f"### {TITLES.get(name, name.capitalize())}\n\n{table}\n\n{_each(statistics)}"


def _each(statistics: dict) -> str:
    per_case = ", ".join(f"{case} {_number(values['dice'])}" for case, values in statistics["per_case"].items())
    return f"Dice of each: {per_case}."


def _data_sets(joined: dict) -> str:
    """Dice of each data set by a network that had seen none of it, and how well that told its Dice."""
    rows = []
    for name, statistics in joined["by_dataset"].items():
        dice, told = statistics["metrics"]["dice"], joined["expected_dice"][name]
        counts = dice["cases"], _number(dice["mean"]), _interval(dice["mean_interval_95"])
        flagged = (f"{told[f'{kind}_flagged']} of {told[kind]}" for kind in ("good_as_they_are", "poor"))
        correlation = told["rank_correlation_as_they_are"]
        told_as = "" if correlation is None else f"{correlation:.2f}"
        rows.append((name, *counts, _number(dice["median"]), _number(dice["worst"]), told_as, *flagged))
    head = "Left out", "Scans", "Mean", "95 % interval", "Median", "Worst"
    table = _table((*head, "Rank correlation", "0.95 or more, flagged", "below 0.93, flagged"), rows)
    return f"{table}\n\n{_each(joined['crossvalidation'])}"


def _degradations(*summaries: dict | None) -> str:
    """Of a group that several have, the last one counts."""
    by_name: dict[str, dict] = {}
    for summary in summaries:
        for name, members in (summary or {}).get("by_degradation", {}).items():
            by_name.setdefault(name, {}).update(members)
    groups = sorted({group for members in by_name.values() for group in members})
    rows = [(name, *(_change(members.get(group)) for group in groups)) for name, members in by_name.items()]
    return _table(("", *groups), rows) if rows else ""


def _protocols(record: Path) -> str:
    results = {name: _read(record / f"{name}.json") for name in PROTOCOLS}
    if not any(results.values()):
        return ""
    rows = [(*PROTOCOLS[name], *_protocol_row(name, joined)) for name, joined in results.items()]
    return _table(("Protocol", "They", "Volume Dice", "Slices with liver", "All slices", "Tumour Dice", "Steps"), rows)


def _protocol_row(name: str, joined: dict | None) -> tuple[str, ...]:
    """What a protocol's networks reached, from what ``Training.evaluation.crossvalidate`` wrote of them."""
    if joined is None:
        return "", "", "", "", NOT_MEASURED
    metrics = joined["crossvalidation"]["metrics"]
    keys = ("dice", "slice_dice", "slice_dice_all", "tumour_dice")
    # What learns the liver alone has no third class.
    if name.endswith("_liver"):
        metrics = {key: values for key, values in metrics.items() if key != "tumour_dice"}
    means = [_number(metrics[key]["mean"]) if key in metrics else "" for key in keys]
    return (*means, _lengths(joined))


def _lengths(joined: dict) -> str:
    """Steps and slices a step of the networks, each once."""
    return ", ".join(sorted({_steps_of(run) for run in joined["training"].values()}))


def _steps_of(runs: list[dict]) -> str:
    """Steps and slices of the runs that one after the other made a network."""
    return ", then ".join(f"{one['steps']} of {one['batch']}" for one in runs)


def _folds(joined: dict) -> str:
    """How the networks of the folds were trained: with less, they say less than the bundled one can do."""
    alike = defaultdict(list)
    for name, run in sorted(joined["training"].items()):
        alike[_steps_of(run)].append(name)
    return "; ".join(f"{', '.join(names)} {steps}" for steps, names in alike.items())


def _lesions(held_out: dict | None, validated: dict | None, joined: dict | None) -> str:
    rows = []
    for summary, group in ((held_out, "test"), (validated, "validation"), (joined, "crossvalidation")):
        if summary and group in summary and (lesions := summary[group].get("lesions")):
            for title, suffix in (("any size", ""), ("above 10 mm", "_above_10mm")):
                counts = [str(lesions[name + suffix]) for name in LESION_COUNTS]
                rows.append((group, title, *counts, _number(lesions["false_per_case" + suffix])))
    return _table(("Scans", "Lesions", "All", "Found", "Missed", "False", "False a case"), rows) if rows else ""


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _change(statistics: dict | None) -> str:
    if statistics is None:
        return ""
    change = statistics.get("dice_mean_change")
    return _number(statistics["dice_mean"]) + (f" ({change:+.3f})" if change is not None else "")


def _interval(ends: list[float | None] | None) -> str:
    return "" if not ends else " to ".join(_number(end) for end in ends)


def _number(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.3f}"


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.evaluation.card", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(argv)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(model_card(ModelCard.read(bundled_model_path().with_suffix(".json"))), encoding="utf-8")


if __name__ == "__main__":
    main()
