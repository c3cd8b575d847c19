"""Kill extractions at twenty steps that change files, and continue each: the same bytes as without a kill.

    python tests/detection/killed_extraction.py FOLDER PROCESSES

The step is one of those that the first process takes, after the others have made their parts. Prints the steps, and
those after which a store differs, as JSON.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from lxmert.data.features import writer
from lxmert.detection.extraction import extract_features
from lxmert.detection.shapes import ShapeDetector
from tests.detection.extraction_cases import photographs, same_stores

KILLS = 20
CHANGES = ("pwrite", "ftruncate", "mkdir", "rename", "replace", "rmdir", "unlink")


def in_a_child(call):
    """Run a call in a process of its own; returns how it ended."""
    child = os.fork()
    if child == 0:
        try:
            call()
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def extract(photos, store, rank=0, world=1, before=lambda: None):
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world)}
    writer._BLOCK, writer._SAVE_INTERVAL = 1, -1.0  # every image is written and noted
    before()
    detector = ShapeDetector()
    detector.batch_size = 3
    extract_features(photos, store, detector)


def count_changes(told, kill_at=None):
    """Count the steps that change files, in a file; and end the process before one of them."""
    done = [0]

    def counted(change):
        def run(*arguments, **options):
            if done[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            done[0] += 1
            told.open("w").write(str(done[0]))
            return change(*arguments, **options)

        return run

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name)))


def main():
    folder, world = Path(sys.argv[1]), int(sys.argv[2])
    photos = photographs(folder / "photos", 10, damaged=(4,))
    whole, told = folder / "whole", folder / "told"
    extract(photos, whole)
    parts = folder / "parts"
    for rank in range(1, world):
        extract(photos, parts / "store", rank, world)

    def prepared(name):
        place = folder / name
        if world > 1:
            shutil.copytree(parts, place)
        return place / "store"

    def run(store, kill_at=None):
        return in_a_child(lambda: extract(photos, store, 0, world, lambda: count_changes(told, kill_at)))

    assert run(prepared("counted")) == 0
    steps = int(told.read_text())
    killed_at = sorted({round(number * (steps - 1) / (KILLS - 1)) for number in range(KILLS)})
    different = []
    for step in killed_at:
        store = prepared(f"killed{step}")
        assert run(store, step) == signal.SIGKILL, step
        ended = run(store)
        finished = [path for path in store.parent.iterdir() if path != store]
        for left in ("progress.json", "names.txt"):  # of a process that was killed when the store was complete
            (store / left).unlink(missing_ok=True)
        if ended != 0 or finished or not same_stores(store, whole):
            different.append(step)
    print(json.dumps({"steps": steps, "killed": killed_at, "different": different}))


main()
