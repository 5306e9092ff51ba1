"""A process that tries damaged files: a line ``format<tab>seed`` on stdin gives a line of JSON on stdout.

A crash ends it, and so does a hang, by SIGPROF: time is that of the processor, so a busy computer fails nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from dataclasses import asdict

from Testing.fuzz.attempt import Road, prepare_process
from Testing.fuzz.mutate import mutated

SECONDS = 20
ADDRESS_MEGABYTES = 3000


def main() -> None:
    # What C libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    road = Road()
    prepare_process(ADDRESS_MEGABYTES)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        name, seed = line.rstrip("\n").split("\t")
        sample = mutated(name, int(seed))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        attempt = road.attempt(sample)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(asdict(attempt)), file=answers, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
