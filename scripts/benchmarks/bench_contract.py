"""The tile service against validators of others: scripts/bench contract iiif | openapi.

Needs what no test does: `pip install iiif-validator` (with libmagic: apt-get install libmagic1) and
`pip install schemathesis`, into .venv.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyvips
from broken_service import FAULTS
from service_case import Service, phantom, service

HERE = Path(__file__).parent
SETTINGS = HERE / "schemathesis.toml"


def _tool(name: str, package: str) -> str:
    return shutil.which(name, path=Path(sys.executable).parent) or sys.exit(
        f"bench contract: needs {name}; .venv/bin/pip install {package}"
    )


def _squares(folder: Path) -> Path:
    """Write the validator's own test image: 10 × 10 squares of known colours."""
    from iiif_validator.validator import ValidationInfo

    # By column, then row.
    colours = np.array(ValidationInfo().colorInfo, np.uint8).transpose(1, 0, 2)
    path = folder / "squares.tif"
    pixels = colours.repeat(100, axis=0).repeat(100, axis=1)
    pyvips.Image.new_from_array(pixels).tiffsave(
        str(path), tile=True, tile_width=256, tile_height=256, pyramid=True, compression="lzw"
    )
    return path


def _validated(running: Service, slide: str) -> tuple[int, list[str]]:
    """Return how many tests the validator ran, and which failed."""
    server = running.root.removeprefix("http://")
    command = [
        sys.executable, _tool("iiif-validate.py", "iiif-validator"), "-s", server, "-p", "iiif", "-i", f"{slide}@0",
        "--version=3.0", "--level=2", "--verbose",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    said = done.stdout + done.stderr
    tally = re.search(r"Done \((\d+) tests, (\d+) failures\)", said)
    assert tally, said
    failed = re.findall(r"^\[\d+\] test (\S+) FAIL", said, re.M)
    assert len(failed) == int(tally[2]) == done.returncode, said
    return int(tally[1]), failed


@contextmanager
def _broken(folder: Path, fault: str) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, str(HERE / "broken_service.py"), fault, str(folder), cache]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert process.stdout
            running = Service(int(process.stdout.readline().rstrip(b"/\n").rpartition(b":")[2]), process)
            while running.get("/healthz")[0] == 0:
                time.sleep(0.1)
            yield running
        finally:
            process.terminate()
            process.communicate()


def run_iiif(folder: Path) -> bool:
    """Run the IIIF validator against the service, and against copies with a fault each, which must fail."""
    _squares(folder)
    with service(folder, "--cors", "*") as running:
        slide = next(iter(running.ids().values()))
        tests, failed = _validated(running, slide)
    print(f"sound: {tests - len(failed)} of {tests} passed {failed or ''}", flush=True)
    good = not failed
    for fault in FAULTS:
        with _broken(folder, fault) as running:
            tests, failed = _validated(running, slide)
        print(f"{fault:<32} {len(failed):>2} of {tests} failed: {', '.join(failed)}", flush=True)
        good &= bool(failed)
    return good


def run_openapi(folder: Path) -> bool:
    """Have schemathesis ask for what the OpenAPI description allows and forbids."""
    phantom(folder, "a.svs", "cytology-dense", 700, kind="svs")
    tool, plain = _tool("schemathesis", "schemathesis"), {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    good = True
    with service(folder, "--allow-jobs", tempfile.mkdtemp(dir=folder.parent)) as running:
        running.make_best(next(iter(running.ids().values())))
        for what, words in {"its defaults": [], SETTINGS.name: ["--config-file", str(SETTINGS)]}.items():
            command = [tool, *words, "run", f"{running.root}/openapi.json"]
            done = subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True)
            good = not done.returncode
            tally = re.search(r"^Test cases:\n\s*(.*)$", done.stdout, re.M)
            reasons = sorted(set(re.findall(r"^- (?:ST\d+ )?(.*)$", done.stdout, re.M)))
            print(f"with {what}: {tally[1] if tally else done.stderr}; {'; '.join(reasons)}", flush=True)
    if not good:
        print(done.stdout)
    return good


RUNS = {"iiif": run_iiif, "openapi": run_openapi}


def main() -> None:
    """Run one of them in a folder that goes afterwards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=RUNS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="planish-contract-") as folder:
        inside = Path(folder) / "in"
        inside.mkdir()
        sys.exit(not RUNS[options.what](inside))


if __name__ == "__main__":
    main()
