"""Write the model card for people: ``python -m Training.evaluation.card``, into ``Resources/Models/liver_unet.md``.

Everything in it is read from the card beside the weights and from ``Training/record``; what is not there is said to be
not measured. Its pictures are drawn by :mod:`Training.evaluation.failures`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from LiverSegLib.model.liver_model import ModelCard, bundled_model_path

RECORD = Path(__file__).parents[1] / "record"
OUTPUT = Path(__file__).parents[2] / "Resources" / "Models" / "liver_unet.md"
FAILURES = OUTPUT.with_name("failures.png")
NOT_MEASURED = "Not measured yet."
TITLES = {"btcv": "BTCV"}

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
    """The whole card in Markdown."""
    held_out, joined = _read(record / "evaluation.json"), _read(record / "crossvalidation.json")
    before = _read(record / "before_final.json")
    training = _read(record / "training.json") or {"runs": []}
    sections = [
        _head(card, training),
        _data(card),
        _training(training, _read(record / "compute.json")),
        "## Results on another hospital's patients",
        *_groups(_read(record / "btcv.json"), ("btcv",)),
        "## Results on patients that it never saw",
        *_groups(held_out, ("test", "native", "validation", "phantom")),
        *_before_final(before),
        "## Under degradation",
        _degradations(before, held_out),
        "## Cross-validation in groups of patients",
        *_folds(training, joined),
        *_groups(joined, ("crossvalidation",)),
        "## The earlier projects' protocols",
        _protocols(record),
        "## Tumours (experimental)",
        _lesions(card, held_out, before, joined),
        "## Expected Dice",
        _calibration(card),
        "## Known failures",
        _failures(card),
        *_pictures(_read(record / "failures.json")),
    ]
    return "\n\n".join(sections) + "\n"


def _head(card: ModelCard, training: dict) -> str:
    offsets, widths = (", ".join(f"{number:g}" for number in numbers) for numbers in (card.offsets_mm, card.widths))
    return f"""# {card.name} {card.version}

{card.intended_use} {card.limits[0]}

A 2D U-Net that sees {len(card.offsets_mm)} slices, {offsets} mm about the one that it segments, in a window of
{card.window_hu[0]:g} to {card.window_hu[1]:g} HU. Pixels of {card.spacing_mm:g} mm in squares of {card.patch}; {widths}
channels; {_stages(training)}. Weights:
`LiverSeg/Resources/Models/liver_unet.pt`, SHA-256 `{card.sha256}`."""


def _stages(training: dict) -> str:
    """How long the runs were that one after the other made the network."""
    settings = (run["settings"] for run in training["runs"])
    return ", then ".join(f"{one['steps']} steps of {one['batch']} slices" for one in settings) or NOT_MEASURED


def _data(card: ModelCard) -> str:
    rows = [(entry["name"], entry["patients"], entry["licence"], entry["citation"]) for entry in card.training_data]
    return "## Data and licences\n\n" + card.licence + "\n\n" + _table(("Data", "Scans", "Licence", "Source"), rows)


def _training(training: dict, compute: dict | None) -> str:
    averaged = training.get("mean_of", 1)
    mean = f" The weights are the mean of those that the last {averaged} runs ended with." if averaged > 1 else ""
    protocol = f"""## Protocol

`make train`; all settings in `Training/record/training.json`, the logs beside it.{mean}

Patients 19 and 20 of 3D-IRCADb-01 trained nothing and chose no weights. With earlier networks, copies of them with
other HU showed that fatty livers were missed, and a piece of muscle far from the liver that the clean-up now drops; and
patient 19's dark lesions were left out, as was much of the liver about cysts and iodised oil drawn into it. What
training draws since was chosen by what it did for the validation scans and folds.

Time and energy: """
    if compute is None:
        return protocol + NOT_MEASURED
    kilowatt_hours = compute["watts_assumed"] * compute["hours"] / 1000
    grams = compute["grams_per_kwh_assumed"]
    return f"""{protocol}{compute["hours"]:.1f} h on {compute["machine"]}. With {compute["watts_assumed"]:g} W for it,
an assumption, {kilowatt_hours:.2f} kWh; with {grams:g} g CO₂ a kWh, another, {kilowatt_hours * grams / 1000:.2f} kg."""


def _groups(summary: dict | None, groups: tuple[str, ...]) -> Iterator[str]:
    found = [group for group in groups if summary and group in summary]
    if not found:
        yield NOT_MEASURED
    for group in found:
        yield _group(group, summary[group])


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
    per_case = ", ".join(f"{case} {_number(values['dice'])}" for case, values in statistics["per_case"].items())
    table = _table(("Measure", "Cases", "Mean", "95 % interval", "Median", "Worst"), rows)
    return f"### {TITLES.get(name, name.capitalize())}\n\n{table}\n\nDice of each: {per_case}."


def _before_final(before: dict | None) -> Iterator[str]:
    """The validation scans, where the last stage of training has seen them: only the network before can be measured."""
    if before is not None:
        yield f"""### Validation, before the last stage

The last stage trained on the validation scans, too. This is the network as it was before, which had not seen them,
SHA-256 `{before["model_sha256"]}`. The validation scans' other results below are this network's, too."""
        yield from _groups(before, ("validation",))


def _degradations(*summaries: dict | None) -> str:
    """Of a group that several have, the last one counts."""
    by_name: dict[str, dict] = {}
    for summary in summaries:
        for name, members in (summary or {}).get("by_degradation", {}).items():
            by_name.setdefault(name, {}).update(members)
    if not by_name:
        return NOT_MEASURED
    groups = sorted({group for members in by_name.values() for group in members})
    rows = [(name, *(_change(members.get(group)) for group in groups)) for name, members in by_name.items()]
    return "Mean Dice, and its change against the same scans as they are.\n\n" + _table(("", *groups), rows)


def _protocols(record: Path) -> str:
    results = {name: _read(record / f"{name}.json") for name in PROTOCOLS}
    if not any(results.values()):
        return NOT_MEASURED
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


def _folds(training: dict, joined: dict | None) -> Iterator[str]:
    """How the networks of the folds were trained: with less, they say less than the bundled one can do."""
    if joined is not None:
        alike = defaultdict(list)
        for name, run in sorted(joined["training"].items()):
            alike[_steps_of(run)].append(name)
        each = "; ".join(f"{', '.join(names)} {steps}" for steps, names in alike.items())
        sentences = [f"A network for each fold, trained in steps of slices: {each}."]
        # The last stage of these trained on all but a part of a fold.
        if any("_part" in name for name in joined["training"]):
            sentences.append(
                "Until the last stage it did without the whole fold, in it without the measured part alone."
            )
        if joined.get("averaged_with_start"):
            sentences.append("The mean of the last two stages' weights is measured.")
        yield " ".join([*sentences, f"The bundled one had {_stages(training)}."])


def _lesions(card: ModelCard, held_out: dict | None, before: dict | None, joined: dict | None) -> str:
    rows = []
    for summary, group in ((held_out, "test"), (before or held_out, "validation"), (joined, "crossvalidation")):
        if summary and group in summary and (lesions := summary[group].get("lesions")):
            for title, suffix in (("any size", ""), ("above 10 mm", "_above_10mm")):
                names = ("lesions", "lesions_found", "lesions_missed", "lesions_false")
                counts = [str(lesions[name + suffix]) for name in names]
                rows.append((group, title, *counts, _number(lesions["false_per_case" + suffix])))
    if not rows:
        return NOT_MEASURED
    table = _table(("Scans", "Lesions", "All", "Found", "Missed", "False", "False a case"), rows)
    return f"""What belongs to the liver is labelled as tumour where the network gives that a probability above
{card.tumour_above:g}, a limit chosen on the cross-validation; protocols (c) and (d) were measured with 0.5.

{table}"""


def _calibration(card: ModelCard) -> str:
    if card.calibration is None:
        return "Not calibrated yet: report and panel show none."
    judged: Any = card.calibration["left_one_patient_out"]
    error, correlation = judged["mean_absolute_error"], judged["rank_correlation"]
    worst = "was" if judged["worst_flagged"] else "was not"
    flagged = f"{judged['poor_flagged']} of {judged['poor']}"
    below = card.calibration["check_below"]
    return f"""From the network's own log-odds, calibrated on {judged["results"]} results of {judged["patients"]}
persons, clean and degraded, that the networks of the cross-validation had not seen, and judged with each left out of
the fit: mean error {error:.3f} Dice, rank correlation {correlation:.2f}. Below {below:.3f} report and panel ask to
check the result. So {flagged} results with a Dice under {judged["poor_dice"]:.2f} were flagged, and
{judged["others_flagged"]} of the others; the worst {worst} among them."""


def _failures(card: ModelCard) -> str:
    return "\n".join(f"- {limit}" for limit in card.limits[1:])


def _pictures(failures: list[dict] | None) -> Iterator[str]:
    """Phantoms alone: the CT data's licences allow no pictures of them here."""
    if failures:
        cases = (
            f"{case['degradation']} {_number(case['dice'])} (expected Dice {_number(case['expected'])})"
            for case in failures
        )
        yield f"""![Four slices of phantoms, each with the reference's outline and the found one's]({FAILURES.name})

The worst of four phantoms under each of the degradations that harm them most, in the slice where most is wrong. Dice of
the whole liver, in the order of the pictures: {"; ".join(cases)}. Phantoms are easier than patients: the pictures
show kinds of failure, not how often they happen."""


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
