"""The log of a run, ``log.csv`` beside its checkpoint."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import torch
from lightning_fabric import Fabric


class RunLog:
    """One CSV row each time the network is validated: step, seconds, mean training loss since the last row, Dice.

    The loss is the mean of all processes, which must all call; the first writes.
    """

    def __init__(self, path: Path, fabric: Fabric) -> None:
        self.path = path
        self.fabric = fabric
        self.started = time.time()
        self.losses: list[torch.Tensor] = []

    def loss(self, value: torch.Tensor) -> None:
        """Note the loss of one step."""
        self.losses.append(value)

    def write(self, step: int, learning_rate: float, scores: dict[str, float]) -> None:
        """Append a row; the header is written once."""
        row = {
            "step": step,
            "seconds": round(time.time() - self.started),
            "loss": round(float(self.fabric.all_reduce(torch.stack(self.losses).mean())), 5),
            "learning_rate": f"{learning_rate:.2e}",
            **scores,
        }
        self.losses.clear()
        if not self.fabric.is_global_zero:
            return
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
