"""Nights that go wrong: scripts/bench night poison | kill | full | stop | overhead | long | cluster."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from night_case import EXPECTED, FAST, PLANISH, batch, children, exports, hashes, log, poison, rows, temporary, whole

from planish.errors import PlanishError


def run_poison(folder: Path, count: int) -> None:
    """Do a night of good slides with a tenth of poison, and the next one."""
    source, output = folder / "in", folder / "out"
    made = exports(source, count * 9 // 10)
    bad = poison(source, count // 10, made[0])
    begin = time.monotonic()
    process = batch(source, output, poisoned=True)
    said, _ = process.communicate()
    print(f"{len(made)} good, {len(bad)} poison: exit code {process.returncode}, {time.monotonic() - begin:.0f} s")
    print(said.decode())
    found = {Path(os.fsdecode(row["source"])).name: row for row in rows(output)}
    wrong = [
        (path.name, found[path.name]["state"], found[path.name]["reason"]) for path in bad
        if (found[path.name]["state"], found[path.name]["reason"]) != ("failed", EXPECTED[path.name.split("-")[1]])
    ]  # fmt: skip
    print(f"done {sum(row['state'] == 'done' for row in found.values())}, verified in full {whole(source, output)}, "
          f"wrong reasons {wrong}, temporary files {len(temporary(output))}")  # fmt: skip
    begin = time.monotonic()
    before = len(log(output))
    again = batch(source, output, poisoned=True)
    again.communicate()
    started = sum(event["event"] == "started" for event in log(output)[before:])
    print(f"again: exit code {again.returncode}, {time.monotonic() - begin:.2f} s, {started} slides begun")


def run_kill(folder: Path, times: int) -> None:
    """Kill −9 at random moments, until all is done."""
    chance, outlived, kills = random.Random(0), 0.0, 0
    source, output = folder / "in", folder / "out"
    count = len(exports(source, 150))
    while True:
        process = batch(source, output)
        try:
            process.wait(chance.uniform(0.3, 3.0) if kills < times else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            begin = time.monotonic()
            while children(output):
                time.sleep(0.01)
            outlived = max(outlived, time.monotonic() - begin)
            _check_partial(output)
        else:
            process.communicate()
            if kills >= times:
                break
            shutil.rmtree(output)  # all was done before the last kill: begin anew
    events = log(output)
    done = Counter(event["slide"] for event in events if event["event"] == "done")
    print(f"{kills} kills: done {sum(row['state'] == 'done' for row in rows(output))} of {count}, "
          f"verified in full {whole(source, output)}, done twice {sum(n > 1 for n in done.values())}, "
          f"begun {sum(event['event'] == 'started' for event in events)}, adopted {count - len(done)}, "
          f"temporary files {len(temporary(output))}, a child outlived its supervisor by {outlived:.2f} s")  # fmt: skip


def _check_partial(output: Path) -> None:
    """Whatever has its final name must be whole."""
    from planish.slide.open import open_slide

    for flat in output.rglob("*.flat.tif"):
        with open_slide(flat) as slide:
            slide.read_tile(len(slide.levels) - 1, 0, 0, 0)
        assert flat.stat().st_size == json.loads(flat.with_suffix(".record.json").read_text())["output"]["bytes"], flat


@contextmanager
def small_disk(size: int) -> Iterator[Path]:
    """Mount a tmpfs; only root can."""
    folder = Path(tempfile.mkdtemp(prefix="planish-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def run_full(folder: Path, offsets: int) -> None:
    """Fill the disk in the midst of a night, so often, and make room again."""
    source = folder / "in"
    count = len(exports(source, 12, size=1024))
    with small_disk(1 << 30) as disk:
        batch(source, disk / "out").communicate()
        needed = sum(path.stat().st_size for path in (disk / "out").rglob("*") if path.is_file())
    print(f"{count} slides need {needed:,} bytes")
    tally: Counter[str] = Counter()
    size, chance = needed + (64 << 20), random.Random(2)
    for offset in range(offsets):
        with small_disk(size) as disk:
            output, ballast = disk / "out", disk / "ballast"
            process = batch(source, output)
            time.sleep(chance.uniform(1.0, 5.0))
            # Somebody else fills the disk, but for what one slide takes or less.
            _fill(ballast, leave=needed // count * offset // offsets)
            while children(output) and process.poll() is None:
                time.sleep(0.1)
            time.sleep(3)
            alive = process.poll() is None
            ballast.unlink()
            _, errors = process.communicate(timeout=120)
            said = {word.decode() for word in (b"paused", b"waiting:", b"no space") if word in errors}
            states = Counter(row["state"] for row in rows(output))
            tally[f"alive {alive}, said {sorted(said)}, exit code {process.returncode}, {dict(states)}, "
                  f"verified {whole(source, output)}, temporary {len(temporary(output))}"] += 1  # fmt: skip
            if process.returncode or not said:
                print(offset, errors.decode()[-3000:])
    for what, number in tally.items():
        print(f"{number:>4} × {what}")


def _fill(path: Path, leave: int) -> None:
    """Write a file until the disk has only so much room."""
    with path.open("wb", buffering=0) as file:
        while (free := shutil.disk_usage(path.parent).free - leave) > 0:
            file.write(bytes(min(free, 1 << 20)))


def run_stop(folder: Path, times: int) -> None:
    """Send SIGTERM and SIGINT at random moments, and try a second night beside the first."""
    source, output = folder / "in", folder / "out"
    good = exports(source, 24)
    poison(source, 4, good[0])  # the one that hangs ignores SIGTERM
    chance, longest, codes = random.Random(1), 0.0, Counter[int]()
    for index in range(times):
        process = batch(source, output, "--retry-failed", poisoned=True)
        time.sleep(chance.uniform(1.0, 4.0))
        second = batch(source, output)
        _, refused = second.communicate()
        begin = time.monotonic()
        process.send_signal((signal.SIGTERM, signal.SIGINT)[index % 2])
        process.communicate()
        longest = max(longest, time.monotonic() - begin)
        codes[process.returncode] += 1
        assert not children(output), "a stray process"
        assert second.returncode in (0, 1), refused
        if index == 0:
            print("second:", second.returncode, refused.decode().strip())
    print(f"{times} × stopped: longest {longest:.1f} s, exit codes {dict(codes)}, no stray process, "
          f"temporary files {len(temporary(output))}")  # fmt: skip


def run_overhead(folder: Path, count: int) -> None:
    """Do the same slides by the command, one after the other, and as a night with one at a time."""
    source, output = folder / "in", folder / "out"
    made = exports(source, count)
    ratios = []
    for round_ in range(3):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        begin = time.monotonic()
        for index, path in enumerate(made):
            target = output / f"{index}.tif"
            command = [*PLANISH, "flatten", str(path), str(target), "--heatmap", str(target.with_suffix(".png")),
                       "--overwrite", "--json", "--quiet", "--jobs", str(os.cpu_count())]  # fmt: skip
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        alone = time.monotonic() - begin
        shutil.rmtree(output)
        begin = time.monotonic()
        batch(source, output, "--jobs", "1").communicate()
        night = time.monotonic() - begin
        ratios.append((night - alone) / count)
        print(f"{round_}: {count} slides alone {alone:.1f} s, as a night {night:.1f} s: {ratios[-1]:+.3f} s each")
    shutil.rmtree(output)
    begin = time.monotonic()
    batch(source, output).communicate()
    print(f"as a night with as many at once as fit: {time.monotonic() - begin:.1f} s")


def run_long(folder: Path, count: int) -> None:
    """Watch the supervisor's memory over a long night, whose processes copy what one of them made."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    from nights import PRETENCE, model

    source, script = folder / "in", folder / "pretend.py"
    source.mkdir()
    for index in range(count):
        (source / f"{index:04d}.svs").write_bytes(b"a slide")
    script.write_text(PRETENCE, encoding="utf-8")
    words = [sys.executable, "-IS", str(script), str(model(folder))]
    code = f"from planish.batch import command; command._PLANISH = {words!r}; from planish.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, "batch", str(source), str(folder / "out"), *FAST])
    status, sizes = Path(f"/proc/{process.pid}/status"), []
    while process.poll() is None:
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            sizes.append(int(lines["VmRSS"].split()[0]) / 1024)
        except (OSError, KeyError):
            break
        time.sleep(0.5)
    process.wait()
    tenths = [max(sizes[len(sizes) * part // 10 : len(sizes) * (part + 1) // 10]) for part in range(10)]
    done = sum(row["state"] == "done" for row in rows(folder / "out"))
    print(f"{done} of {count} slides done; the supervisor's MiB, by tenths of the night: "
          + ", ".join(f"{size:.0f}" for size in tenths))  # fmt: skip


def run_cluster(folder: Path, count: int) -> None:
    """Compare a Dask cluster of two workers, one killed in the middle, with one machine."""
    from distributed import LocalCluster

    source, here, there = folder / "in", folder / "here", folder / "there"
    exports(source, count)
    begin = time.monotonic()
    batch(source, here).communicate()
    alone = time.monotonic() - begin
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        begin = time.monotonic()
        process = batch(source, there, "--cluster", cluster.scheduler_address)
        time.sleep(6)
        victim = next(iter(cluster.workers.values())).pid
        os.kill(victim, signal.SIGKILL)
        process.communicate()
        print(f"{count} slides: here {alone:.1f} s, on the cluster, a worker of which was killed, "
              f"{time.monotonic() - begin:.1f} s, exit code {process.returncode}")  # fmt: skip
    same = hashes(here) == hashes(there)
    print(f"the same bytes: {same} ({len(hashes(there))} files)")


RUNS = {
    "poison": (run_poison, 200), "kill": (run_kill, 100), "full": (run_full, 20), "stop": (run_stop, 20),
    "overhead": (run_overhead, 20), "long": (run_long, 1000), "cluster": (run_cluster, 40),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of them in a folder that goes afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=RUNS)
    parser.add_argument("--count", type=int, help="slides, kills, sizes or stops")
    options = parser.parse_args(arguments)
    run, count = RUNS[options.what]
    with tempfile.TemporaryDirectory(prefix="planish-night-") as folder:
        try:
            run(Path(folder), options.count or count)
        except PlanishError as error:
            raise SystemExit(f"{options.what}: {error}") from error


if __name__ == "__main__":
    main()
