"""The side-by-side benchmark without its rivals: configurations, patches that are timed, the table, the goals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from Testing.benchmark.rivals import report
from Testing.benchmark.rivals.configurations import FAST, FULL, OPENVINO, OURS, RIVALS, NnUNet
from Testing.benchmark.rivals.measurement import ASSEMBLE, BACK, NETWORK, PREPARE, READ, STAGES, Measurement, Stopwatch
from Testing.benchmark.rivals.patches import PatchTimer

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "side-by-side.md"
NNUNETS = {name: rival.configuration for name, rival in RIVALS.items() if isinstance(rival.configuration, NnUNet)}


def a_result(network: float, rest: float, patches: int = 10, timed: int = 10, **more: Any) -> dict[str, Any]:
    """A rival's entry in the JSON; ``rest`` seconds are spent in preparing."""
    seconds = dict.fromkeys(STAGES, 0.0) | {PREPARE: rest, NETWORK: network}
    measured = Measurement(seconds, patches, timed, 1.5)
    return {
        "seconds": seconds,
        "whole": measured.whole,
        "patches": patches,
        "patches timed": timed,
        "estimated": measured.is_estimated,
        "peak memory in GB": measured.peak_gb,
        "details": {},
        **more,
    }


def found(**rivals: dict[str, Any]) -> dict[str, Any]:
    """What the command found; names with _ for what cannot be in an argument's."""
    names = {"fast": FAST, "full": FULL}
    machine = {"threads": 2, "processor": "a CPU", "memory in GB": 8.0, "system": "Linux"}
    return {"ct": "ct.nii.gz", "machine": machine, "rivals": {names.get(name, name): r for name, r in rivals.items()}}


@pytest.mark.parametrize("name", NNUNETS)
def test_each_nnunet_follows_the_rules_of_nnunets_planner(name: str) -> None:
    configuration = NNUNETS[name]
    assert list(configuration.features) == [min(32 * 2**stage, 320) for stage in range(len(configuration.features))]
    shrinks_by = 2 ** (len(configuration.features) - 1)
    bottom = [side // shrinks_by for side in configuration.patch]
    assert all(side % shrinks_by == 0 for side in configuration.patch)
    # No axis gets shorter than 4; and while two axes could still be halved, they are.
    assert min(bottom) >= 4
    assert sum(side >= 8 for side in bottom) < 2
    assert configuration.strides == [(1, 1, 1)] + [(2, 2, 2)] * (len(configuration.features) - 1)


def test_the_nnunets_differ_from_each_other_in_nothing_but_what_their_names_say() -> None:
    for name in (FAST, FULL):
        usual, half = NNUNETS[name], NNUNETS[f"{name}-half-step"]
        assert (usual.tile_step, half.tile_step) == (0.8, 0.5)
        assert usual == NnUNet(**(vars(half) | {"tile_step": 0.8}))
    assert NNUNETS[FULL] == NnUNet(**(vars(NNUNETS[f"{FULL}-liver"]) | {"liver_only": False}))


class Doubling(nn.Module):
    """A network that counts how often it runs."""

    calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return 2 * images


def test_without_a_sample_every_patch_goes_through_the_network() -> None:
    network = Doubling()
    timer = PatchTimer(network)
    answers = [timer(torch.full((1, 1, 2, 2), float(number))) for number in range(5)]
    assert [float(answer.max()) for answer in answers] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert (network.calls, timer.patches, len(timer.seconds_of_patches)) == (5, 5, 5)
    assert timer.network_seconds == pytest.approx(sum(timer.seconds_of_patches))


def test_with_a_sample_the_network_rests_after_it_and_the_time_of_all_patches_is_estimated() -> None:
    network = Doubling()
    timer = PatchTimer(network, sample=2)
    answers = [timer(torch.full((1, 1, 2, 2), float(number))) for number in range(6)]
    assert (network.calls, timer.patches, len(timer.seconds_of_patches)) == (2, 6, 2)
    assert {float(answer.max()) for answer in answers[1:]} == {2.0}
    assert timer.network_seconds == pytest.approx(3 * sum(timer.seconds_of_patches))


def test_a_sliding_window_that_weights_answers_in_place_does_not_spoil_the_next() -> None:
    timer = PatchTimer(Doubling(), sample=1)
    for _ in range(3):
        answer = timer(torch.ones(1, 1, 2, 2))
        assert float(answer.max()) == 2.0
        answer *= 100


def test_warming_up_does_not_count() -> None:
    network = Doubling()
    timer = PatchTimer(network, sample=1)
    timer.warm_up(torch.ones(1, 1, 2, 2))
    assert (network.calls, timer.patches, timer.seconds_of_patches, timer.seconds_inside) == (1, 0, [], 0.0)


def test_a_sample_of_no_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one patch"):
        PatchTimer(Doubling(), sample=0)


def test_the_whole_is_the_sum_of_the_stages_and_an_estimate_is_called_one() -> None:
    seconds = {READ: 1.0, PREPARE: 2.0, NETWORK: 3.0, ASSEMBLE: 4.0, BACK: 5.0}
    assert Measurement(seconds, 7, 7, 1.0).whole == 15.0
    assert not Measurement(seconds, 7, 7, 1.0).is_estimated
    assert Measurement(seconds, 7, 6, 1.0).is_estimated


def test_a_stopwatch_adds_up_the_laps_of_a_stage() -> None:
    watch = Stopwatch()
    watch.lap(READ)
    first = watch.seconds[READ]
    watch.lap(NETWORK)
    watch.lap(READ)
    assert set(watch.seconds) == {READ, NETWORK}
    assert watch.seconds[READ] >= first >= 0.0


@pytest.mark.parametrize(
    ("times", "verdict"), [(9.9, "missed"), (10.0, "met, the aim not"), (20.0, "met, and the aim")]
)
def test_a_goal_is_missed_met_or_met_with_its_aim(times: float, verdict: str) -> None:
    network, whole = report.goals(found(ours=a_result(1.0, 0.0), fast=a_result(times, 0.0)))
    assert (network.verdict, whole.verdict) == (verdict, verdict)


def test_goals_are_about_the_network_alone_and_about_the_whole() -> None:
    results = found(ours=a_result(1.0, 1.0), fast=a_result(30.0, 2.0), full=a_result(100.0, 20.0))
    assert [(goal.times, goal.least, goal.aim) for goal in report.goals(results)] == [
        (30.0, 10.0, 20.0),
        (16.0, 10.0, 20.0),
        (100.0, 60.0, 100.0),
        (60.0, 60.0, 100.0),
    ]


def test_there_are_no_goals_without_ours_nor_about_what_was_not_measured() -> None:
    assert list(report.goals(found(fast=a_result(30.0, 2.0)))) == []
    assert list(report.goals(found(ours={"not measured": "failed"}, fast=a_result(30.0, 2.0)))) == []
    assert list(report.goals(found(ours=a_result(1.0, 1.0), fast={"not measured": "failed"}))) == []


def test_the_table_marks_what_is_estimated_and_only_that() -> None:
    text = report.markdown(found(ours=a_result(1.0, 0.5), fast=a_result(40.0, 2.0, 10, 3), full=a_result(90.0, 2.0)))
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    estimated = rows[RIVALS[FAST].title]
    assert "≈ 40 s" in estimated and "≈ 42 s" in estimated and "≈ 40 ×" in estimated and "≈ 28 ×" in estimated
    assert "| 2.00 s |" in estimated
    assert "≈" not in rows[RIVALS[FULL].title] + rows[RIVALS[OURS].title]
    assert f"{RIVALS[FAST].title}: 3 of 10" in text


def test_the_table_says_why_a_rival_was_not_measured_and_shows_the_others() -> None:
    text = report.markdown(found(ours=a_result(1.0, 0.5), openvino={"not measured": "not installed: openvino"}))
    [line] = [line for line in text.splitlines() if line.startswith(f"| {RIVALS[OPENVINO].title} ")]
    assert "not installed: openvino" in line
    assert RIVALS[OURS].title in text


def test_every_row_has_as_many_cells_as_the_heading() -> None:
    text = report.markdown(found(ours=a_result(1.0, 0.5), fast=a_result(9.0, 2.0), openvino={"not measured": "failed"}))
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1


def test_the_table_says_how_well_an_engine_agrees_and_whether_it_had_our_batches() -> None:
    details = {"precision": "bfloat16", "agreement": {"same class": 0.9991, "same class, ours": 0.9992}}
    engine = a_result(2.0, 0.5, details=details, **{"same batches as ours": False})
    text = report.markdown(found(ours=a_result(1.0, 0.5), openvino=engine))
    assert "bfloat16, other batches than ours; of the pixels 99.910% get the class" in text


def test_a_page_keeps_all_but_what_the_command_wrote_before() -> None:
    page = f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\nMore.\n"
    once = report.put_into(page, "| new |\n")
    assert once == f"# Title\n\n{report.BEGIN}\n| new |\n{report.END}\n\nMore.\n"
    assert report.put_into(once, "| new |\n") == once


@pytest.mark.parametrize(
    "page", ["", report.BEGIN, report.END, f"{report.END} {report.BEGIN}", f"{report.BEGIN}{report.BEGIN}{report.END}"]
)
def test_a_page_without_a_place_for_the_table_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        report.put_into(page, "table")


def test_the_page_has_a_place_for_the_table_and_names_every_rival() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert report.put_into(page, "table") != page
    assert all(f"`{name}`" in page for name in RIVALS)


def test_the_rivals_run_on_the_packages_that_the_tests_run_on() -> None:
    """Two versions of PyTorch or numpy would be compared otherwise, not two programs."""
    ours, theirs = (
        dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "Testing" / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.txt", "requirements-rivals.txt")
    )
    both = set(ours) & set(theirs)
    assert {"torch", "numpy", "scipy", "monai"} <= both
    assert {name: theirs[name] for name in both} == {name: ours[name] for name in both}


def test_the_command_measures_ours_and_names_what_is_not_installed(tmp_path: Path, a_phantom: Any) -> None:
    from LiverSegLib.io.files import write_ct

    ct, output = tmp_path / "ct.nii.gz", tmp_path / "found.json"
    write_ct(ct, a_phantom.ct)
    command = [sys.executable, "-m", "Testing.benchmark.rivals", "--ct", str(ct), "--rivals", OPENVINO]
    command += ["--runs", "1", "--threads", "1", "--output", str(output)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=600, check=False)
    results = json.loads(output.read_text(encoding="utf-8"))
    assert output.with_suffix(".md").read_text(encoding="utf-8").strip() in finished.stdout
    own = results["rivals"][OURS]
    assert own["whole"] == pytest.approx(sum(own["seconds"].values()))
    assert own["patches"] == len(own["details"]["batches"]) > 0
    assert min(own["seconds"].values()) >= 0.0
    if "whole" not in results["rivals"][OPENVINO]:
        assert results["rivals"][OPENVINO]["not measured"].startswith("not installed: openvino")
        assert finished.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--ct", "nowhere.nii.gz"], "name one with --ct"),
        (["--ct", __file__, "--sample-patches", "0"], "--sample-patches has to be 1 or more"),
    ],
)
def test_bad_options_are_one_sentence_before_anything_is_measured(arguments: list[str], sentence: str) -> None:
    command = [sys.executable, "-m", "Testing.benchmark.rivals", *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert finished.returncode == 2
    assert sentence in finished.stderr and "Traceback" not in finished.stderr
