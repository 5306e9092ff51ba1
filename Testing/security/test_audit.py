"""The audit of packages fails for a known vulnerability, and says what it could not find out."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from Testing import audit

SOUND = {"name": "numpy", "version": "2.0", "vulns": []}
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}
FLAWED = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}


def answer_with(monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "") -> None:
    done = subprocess.CompletedProcess([], 1, stdout, stderr)
    monkeypatch.setattr(audit.subprocess, "run", lambda *args, **kwargs: done)


@pytest.mark.parametrize(
    "packages, code, code_where_possible",
    [([SOUND], 0, 0), ([SOUND, UNKNOWN], 1, 0), ([SOUND, FLAWED], 1, 1), ([UNKNOWN, FLAWED], 1, 1)],
)
def test_the_exit_code_tells(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    packages: list[dict[str, Any]],
    code: int,
    code_where_possible: int,
) -> None:
    answer_with(monkeypatch, json.dumps({"dependencies": packages}))
    assert audit.main([]) == code
    assert audit.main(["--where-possible"]) == code_where_possible
    assert ("old 1.0: PYSEC-1, mended in 1.1" in capsys.readouterr().out) == (FLAWED in packages)


def test_a_pypi_that_does_not_answer_fails_only_the_strict_audit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_with(monkeypatch, "", "ERROR\nfailed to connect to pypi.org")
    assert audit.main([]) == 1
    assert audit.main(["--where-possible"]) == 0
    assert capsys.readouterr().out.count("No package was audited: failed to connect to pypi.org") == 2
