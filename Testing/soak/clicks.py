"""Clicks on "Segment Liver" and on "Cancel" at random moments, in the panel on the bench, with the real network.

``python -m Testing.soak.clicks --count 50 --seed 0``, a part of ``make soak``. Each time a run is started, towards a
new output or the one of an earlier result, and cancelled after a random time, between at once and a little longer than
a run takes. Then the scene must be as it was to the last voxel, and the panel ready; a run that was faster than the
cancel must have found what it should. A complete run into the earlier result follows at once, while the cancelled one
may still be ending in its thread, and must find the liver that an undisturbed run found.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6 import QtCore, QtTest

from LiverSegLib import messages, mrml
from LiverSegLib.data.volume import CTVolume
from Testing.bench import Application, slicer_application
from Testing.mrml.snapshot import snapshot
from Testing.soak.process import growth, holdings, leave
from Testing.widget.actions import liver_in, segment, wait_for_the_end

# Beyond the usual time of a run, so that some cancels come too late.
LONGEST_WAIT = 1.15
AT_ONCE_SHARE = 0.1
WARM_UP_CLICKS = 5


@dataclass(frozen=True)
class Try:
    """A run that was to be cancelled: after how many seconds, into which output, in which stage; what was wrong."""

    seconds: float
    output: str
    stage: str
    wrong: list[str]


class Person:
    """Sits in front of a panel with a CT and its first result, starts and cancels runs, and looks at the scene."""

    def __init__(self, application: Application, panel: Any, ct: CTVolume, seed: int) -> None:
        self._application, self._panel, self._random = application, panel, random.Random(seed)
        self._ct = mrml.volume_from_ct(ct)
        application.process_events()
        self._first = segment(application, panel, seconds=600)  # also loads the network
        self._liver = self._found(self._first)
        started = time.perf_counter()
        segment(application, panel, seconds=600)
        self._usual_seconds = time.perf_counter() - started

    @property
    def found_a_liver(self) -> bool:
        """Whether the first result is worth comparing with."""
        return bool(self._liver.any())

    def try_to_cancel(self) -> Try:
        """Start, cancel after a random time, look at scene and panel, and let a complete run follow."""
        output = self._random.choice((None, self._first))
        self._application.choose(self._panel.ui.outputSelector, output)
        at_once = self._random.random() < AT_ONCE_SHARE
        seconds = 0.0 if at_once else self._random.uniform(0.0, LONGEST_WAIT * self._usual_seconds)
        before = snapshot(self._application.scene)
        stage = self._start_and_cancel(seconds)
        wrong = list(self._wrong_after_cancel(before) if stage else self._wrong_after_run("the run"))
        wrong += self._wrong_after_next_run()
        name = "a new output" if output is None else "the earlier result"
        return Try(round(seconds, 3), name, stage or "finished before", wrong)

    def _start_and_cancel(self, seconds: float) -> str:
        """In which stage the run was cancelled; empty if it had finished by then."""
        button, runner = self._panel.ui.segmentButton, self._panel._runner
        self._click(button)
        due = time.perf_counter() + seconds
        if seconds:
            self._application.wait_until(lambda: time.perf_counter() >= due or not runner.running, seconds + 600)
        if not runner.running:
            return ""
        stage = self._panel.ui.statusLabel.text.partition(",")[0]  # behind it stands the time left
        self._click(button)
        return stage

    def _click(self, button: Any) -> None:
        """Without turning the event loop, which would let a run begin before a cancel that comes at once."""
        QtTest.QTest.mouseClick(button, QtCore.Qt.MouseButton.LeftButton, pos=button.rect.center())

    def _wrong_after_cancel(self, before: list[tuple]) -> Iterator[str]:
        if snapshot(self._application.scene) != before:
            yield "the scene changed with the cancel"
        self._application.process_events()
        if snapshot(self._application.scene) != before:
            yield "the scene changed after the cancel"
        if self._panel.ui.statusLabel.text != messages.CANCELLED:
            yield f"the panel says {self._panel.ui.statusLabel.text!r}"
        yield from self._wrong_in_panel()

    def _wrong_after_next_run(self) -> Iterator[str]:
        """The next run must not be disturbed by what is left of the last."""
        self._application.choose(self._panel.ui.outputSelector, self._first)
        segment(self._application, self._panel, seconds=600)
        yield from self._wrong_after_run("the next run")

    def _wrong_after_run(self, which: str) -> Iterator[str]:
        wait_for_the_end(self._application, self._panel, 600)
        output = self._panel._parameterNode.outputSegmentation
        if output is None or not np.array_equal(self._found(output), self._liver):
            yield f"{which} found another liver"
        yield from self._wrong_in_panel()
        if output is not None and output is not self._first:
            self._application.scene.RemoveNode(output)

    def _wrong_in_panel(self) -> Iterator[str]:
        button = self._panel.ui.segmentButton
        if button.text != messages.SEGMENT_LIVER or not button.enabled or self._panel._runner.running:
            yield "the panel is not ready for the next run"
        if self._application.dialogs:
            yield f"a dialog says {self._application.dialogs[0].text!r}"
            self._application.dialogs.clear()
        if self._application.errors:
            yield f"a slot or an observer raised {self._application.errors[0]!r}"
            self._application.errors.clear()

    def _found(self, output: Any) -> np.ndarray:
        return liver_in(output, self._ct)


def soak(
    application: Application, ct: CTVolume, count: int, seed: int, say: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Let a person start and cancel so many runs; all that was seen, as JSON has it."""
    application.load_module()
    person = Person(application, application.open_panel(), ct, seed)
    tries, warm = [], None
    for number in range(count):
        tries.append(person.try_to_cancel())
        say(f"{number + 1} of {count}: {tries[-1].stage}{''.join(f'; {wrong}' for wrong in tries[-1].wrong)}")
        if number + 1 == WARM_UP_CLICKS:
            warm = holdings()
    failures = [f"click {number}: {wrong}" for number, tried in enumerate(tries, 1) for wrong in tried.wrong]
    if not person.found_a_liver:
        failures.append("no liver, so that equal results prove little")
    end = holdings()
    if warm is not None:
        failures += growth(warm, end)
    return {
        "passed": not failures,
        "failures": failures,
        "clicks": count,
        "seed": seed,
        "cancelled_in": dict(Counter(tried.stage for tried in tries)),
        "after_warm_up": warm and warm.to_dict(),
        "at_the_end": end.to_dict(),
        "tries": [asdict(tried) for tried in tries],
    }


def small_ct() -> CTVolume:
    """A part of the phantom that the real network segments in a second or so."""
    from LiverSegLib.phantom import make_phantom

    phantom = make_phantom(shape=(10, 64, 64), spacing=(12.0, 5.5, 5.5)).ct
    return CTVolume(phantom.hu[2:8], phantom.affine, "CT")


def main() -> int:
    """Exit code 0 if all was as it should be, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50, help="runs that are started and cancelled (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--output", type=Path, default=Path("out/soak/clicks.json"))
    options = parser.parse_args()
    with slicer_application() as application:
        say = partial(print, file=sys.stderr, flush=True)
        found = soak(application, small_ct(), options.count, options.seed, say)
    return leave(found, f"{options.count} clicks, cancelled in {found['cancelled_in']}", options.output)


if __name__ == "__main__":
    sys.exit(main())
