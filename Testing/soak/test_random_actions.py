"""Some of the random actions of `make soak`; and what they would find is noticed."""

from __future__ import annotations

import io
import logging
import subprocess
import sys

import pytest
import slicer.util

from LiverSegLib.errors import OutputError
from Testing.bench import slicer_application
from Testing.demo.views import check_rendering
from Testing.soak.random_actions import Log, Person, failures_of, run
from Testing.widget.actions import nodes
from Testing.widget.stand_in import StandIn


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the bench keeps Python's lock on Linux only")
def test_random_actions_crash_raise_and_log_nothing_and_leave_what_others_have():
    try:
        check_rendering()
    except OutputError as error:
        pytest.skip(str(error))
    assert run(seed=0, count=100) == []


def test_what_goes_wrong_is_noticed(tmp_path):
    stream = io.StringIO()
    with slicer_application() as application:
        application.load_module()
        person = Person(application, application.open_panel(), StandIn(), Log(stream), 0, tmp_path)
        person.load_a_ct()
        assert list(person.wrong()) == []
        [ct] = nodes("ScalarVolume")
        slicer.util.arrayFromVolume(ct)[0, 0, 0] += 1
        logging.error("oh")
        application.errors.append(ValueError("no"))
        stream.write("12:00 vtkThing ERR| vtkThing: failed\n")
        stream.seek(0)
        assert list(person.wrong()) == ["oh", " vtkThing: failed", "raised ValueError('no')", f"{ct.GetID()} changed"]
        application.scene.RemoveNode(ct)
        assert list(person.wrong()) == [f"{ct.GetID()} is gone"]


def test_a_crash_is_told_with_what_was_done_last():
    done = subprocess.CompletedProcess([], -11, "1 click\n2 delete\nFAILED: action 1, click: oh\n", "")
    told, crash = failures_of(done)
    assert told == "action 1, click: oh" and crash.startswith("crashed (exit code -11)") and "2 delete" in crash
    assert failures_of(subprocess.CompletedProcess([], 1, "FAILED: oh", "")) == ["oh"]
    assert failures_of(subprocess.CompletedProcess([], 0, "1 click", "")) == []
