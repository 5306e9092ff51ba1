"""A function in a process of its own: nothing is loaded, warm or allocated that a user's process would not have."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(function: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    """What a function of a module answers to arguments, called in a fresh Python; all of it goes through JSON.

    Raises
    ------
    SystemExit
        If the function fails; its traceback is on stderr.
    """
    call = {"module": function.__module__, "function": function.__name__, "arguments": arguments}
    paths = [str(ROOT / "LiverSeg"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "Testing.benchmark.fresh", json.dumps(call, default=str), str(answer)]
        if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
            raise SystemExit(f"{function.__module__}.{function.__name__} failed with {arguments}; see the lines above.")
        return json.loads(answer.read_text(encoding="utf-8"))


def main(call: str, answer: str) -> None:
    """Call what JSON describes and leave what it returns as JSON."""
    wanted = json.loads(call)
    function = getattr(importlib.import_module(wanted["module"]), wanted["function"])
    Path(answer).write_text(json.dumps(function(**wanted["arguments"])), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
