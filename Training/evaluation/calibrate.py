"""From self-agreement to the Dice to expect: ``python -m Training.evaluation.calibrate results.csv``.

The results must be of patients, best of a hospital, that the network had not seen, under all degradations as well, so
that poor results are among them. Writes ``calibration.json`` beside them; ``Training.export --calibration`` takes it
into the model card.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.stats import spearmanr

from LiverSegLib.inference.confidence import expected_dice, log_odds

from .evaluate import read_results
from .summary import NONE

# Below this a reader would correct the liver; from that on, there is little to correct.
POOR_DICE, GOOD_DICE = 0.93, 0.95
# What is expected to be nearer to good than to poor is not warned of.
HIGHEST_CHECKED = (POOR_DICE + GOOD_DICE) / 2
# More warnings than this of good results of scans as they are, and nobody reads them.
LARGEST_SHARE_FLAGGED = 0.15


def fit_line(agreement: Sequence[float], dice: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope of the log-odds of Dice over those of self-agreement.

    Maximum likelihood of a fractional logit (Papke and Wooldridge, Journal of Applied Econometrics 11, 1996): unlike
    least squares of log-odds, a Dice of 0.99 instead of 0.98 weighs no more than one of 0.51 instead of 0.50.
    """
    x, y = np.array([log_odds(value) for value in agreement]), np.asarray(dice, float)

    def loss(line: np.ndarray) -> float:
        logits = line[0] + line[1] * x
        return float(np.mean(np.logaddexp(0, logits) - y * logits))

    intercept, slope = minimize(loss, (0.0, 1.0), method="BFGS").x
    return float(intercept), float(slope)


def calibrate(rows: list[dict]) -> dict:
    """The line, the Dice below which to warn, and how well both do on patients that were left out of the fit.

    ``check_below`` is chosen so that every poor result is flagged, unless it would lie above :data:`HIGHEST_CHECKED` or
    flag more than :data:`LARGEST_SHARE_FLAGGED` of the good ones of scans as they are: degraded ones are chosen to be
    hard, and their share says nothing of what users meet.
    ``left_one_patient_out`` holds what each patient's results say of a line fitted without them.
    """
    agreement, dice, as_they_are = _columns(rows)
    patients = np.array([row["patient"] for row in rows])
    expected = np.empty(len(rows))
    for patient in np.unique(patients):
        others = patients != patient
        line = fit_line(agreement[others], dice[others])
        expected[~others] = [expected_dice(value, *line) for value in agreement[~others]]
    check_below = _threshold(expected, dice, as_they_are & (dice >= GOOD_DICE))
    intercept, slope = fit_line(agreement, dice)
    return {
        "intercept": round(intercept, 4),
        "slope": round(slope, 4),
        "check_below": round(check_below, 4),
        "left_one_patient_out": {
            "patients": len(np.unique(patients)),
            **_judged(expected, dice, check_below, as_they_are),
        },
    }


def judge_across_data_sets(rows: list[dict]) -> dict[str, dict]:
    """How well, on the results of each data set, a calibration does that knows those of all others; none of one alone.

    With results of networks that had seen nothing of the data set either, that is what another hospital may expect.
    """
    names = sorted({row["dataset"] for row in rows})
    judged = {}
    for name in names if len(names) > 1 else []:
        calibration = calibrate([row for row in rows if row["dataset"] != name])
        agreement, dice, as_they_are = _columns([row for row in rows if row["dataset"] == name])
        line = calibration["intercept"], calibration["slope"]
        expected = np.array([expected_dice(value, *line) for value in agreement])
        judged[name] = _judged(expected, dice, calibration["check_below"], as_they_are)
    return judged


def _columns(rows: list[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Self-agreement, Dice, and whether the scan is as it was, of each result."""
    agreement, dice = (np.array([row[key] for row in rows], float) for key in ("self_agreement", "dice"))
    return agreement, dice, np.array([row["degradation"] == NONE for row in rows])


def _threshold(expected: np.ndarray, dice: np.ndarray, usual: np.ndarray) -> float:
    poor = expected[dice < POOR_DICE]
    # Just above the poor result that looked best.
    wanted = float(poor.max()) + 1e-4 if len(poor) else float(expected.min())
    most = np.quantile(expected[usual] if usual.any() else expected, LARGEST_SHARE_FLAGGED, method="lower")
    return min(wanted, float(most), HIGHEST_CHECKED)


def _judged(expected: np.ndarray, dice: np.ndarray, check_below: float, as_they_are: np.ndarray) -> dict:
    flagged, poor, good = expected < check_below, dice < POOR_DICE, as_they_are & (dice >= GOOD_DICE)
    return {
        "results": len(dice),
        "mean_absolute_error": round(float(np.abs(expected - dice).mean()), 4),
        "rank_correlation": _rank_correlation(expected, dice),
        "rank_correlation_as_they_are": _rank_correlation(expected[as_they_are], dice[as_they_are]),
        "good_dice": GOOD_DICE,
        "good_as_they_are": int(good.sum()),
        "good_as_they_are_flagged": int((good & flagged).sum()),
        "poor_dice": POOR_DICE,
        "poor": int(poor.sum()),
        "poor_flagged": int((poor & flagged).sum()),
        "others_flagged": int((~poor & flagged).sum()),
        "worst_flagged": bool(flagged[dice.argmin()]),
    }


def _rank_correlation(expected: np.ndarray, dice: np.ndarray) -> float | None:
    """Spearman's; None of fewer than three results, or where all of either are the same."""
    if len(dice) < 3 or not np.ptp(expected) or not np.ptp(dice):
        return None
    return round(float(spearmanr(expected, dice).statistic), 3)


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.evaluation.calibrate", description=__doc__)
    parser.add_argument(
        "results", type=Path, nargs="+", help="results.csv of Training.evaluation.crossvalidate or evaluate"
    )
    parser.add_argument("--output", type=Path, help="default: calibration.json beside the first results")
    options = parser.parse_args(argv)
    calibration = calibrate([row for path in options.results for row in read_results(path)])
    output = options.output or options.results[0].with_name("calibration.json")
    output.write_text(json.dumps(calibration, indent=2) + "\n")
    print(json.dumps(calibration, indent=2))


if __name__ == "__main__":
    main()
