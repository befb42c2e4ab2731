"""Killed at any moment, a run leaves nothing readable under the final name."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from makers import container, make_stack
from planish.slide.open import open_slide

RUN = """
import sys
from pathlib import Path
from planish.convert import ConvertOptions, convert
from planish.write.options import WriteOptions
print("ready", flush=True)
while True:
    convert(Path(sys.argv[1]), Path(sys.argv[2]), ConvertOptions(write=WriteOptions(overwrite=True)))
    Path(sys.argv[2]).unlink()
    print("done", flush=True)
"""
MOMENTS = 50


def test_killed_at_50_random_moments(tmp_path: Path) -> None:
    source = container(tmp_path, np.tile(make_stack(), (1, 4, 3, 1)), kind="svs")
    chance, before = random.Random(0), 0
    out = tmp_path / "flat.tif"
    for _ in range(MOMENTS):
        with subprocess.Popen([sys.executable, "-c", RUN, str(source), str(out)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.25))
            process.kill()
        if out.exists():
            # Between the renaming and the removal: then it is whole.
            with open_slide(out) as flat:
                for level, size in enumerate(flat.levels):
                    flat.read_region(level, 0, 0, 0, size.width, size.height)
            out.unlink()
        for part in tmp_path.glob(".planish-*.tif"):
            before += 1
            part.unlink()
    assert before > MOMENTS // 10, "hardly any run was killed while it wrote"
