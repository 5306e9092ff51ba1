"""Which code a run was trained with."""

from __future__ import annotations

import subprocess  # nosec B404 # see where it is used
from pathlib import Path


def commits(before: str = "", step: int = 0) -> str:
    """The commit of this code; of a run that goes on at ``step`` behind those that made it so far."""
    now = _commit()
    last = before.rpartition(", ")[2].partition(" from step")[0]
    if not before:
        return now
    return before if now == last else f"{before}, {now} from step {step}"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        described = subprocess.run(  # nosec B603 # the words of the command are above
            command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False
        )
    except FileNotFoundError:  # a cluster's node may have no git
        return "unknown"
    return described.stdout.strip() or "unknown"
