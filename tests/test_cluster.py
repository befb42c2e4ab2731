"""A night on a cluster is the same night, whatever dies; the cluster is a real one of two processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from distributed import Client

from makers import container, make_stack
from planish._version import __version__
from planish.batch.cluster import ClusterRunner
from planish.batch.entry import Entry
from planish.batch.job import Job, Result
from planish.batch.ledger import NAME, Ledger
from planish.batch.night import run_night
from planish.batch.options import BatchOptions
from planish.batch.process import Limits, Task
from planish.errors import PlanishError

CLUSTER = """
import sys
import dask
from distributed import LocalCluster
dask.config.set({"distributed.scheduler.allowed-failures": 1})
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""
CLIENT = """
import sys
from pathlib import Path
from planish.batch.cluster import ClusterRunner
from planish.batch.job import Job
from planish.batch.process import Limits, Task
with ClusterRunner(sys.argv[1], 2) as runner:
    for number in range(3):
        command = (sys.executable, "-c", "import time; time.sleep(600)", sys.argv[2])
        runner.begin(number, Job(Task(command, Limits(600.0, 4 << 30)), Path("/")))
    print("begun", flush=True)
    sys.stdin.read()
"""
PATIENCE_S = 20.0

T = TypeVar("T")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script = tmp_path_factory.mktemp("cluster") / "cluster.py"
    script.write_text(CLUSTER)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def wait_for(look: Callable[[], T]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def processes(word: str) -> dict[int, int]:
    """Return the processes, each with its parent, that have a word in their command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def kill_a_worker(word: str) -> None:
    """Kill the parent of a process; the process must end with it."""
    child, worker = wait_for(lambda: processes(word)).popitem()
    os.kill(worker, signal.SIGKILL)
    assert wait_for(lambda: child not in processes(word))


def sleeper(word: str) -> Job:
    return Job(Task((sys.executable, "-c", "import time; time.sleep(600)", word), Limits(600.0, 4 << 30)), Path("/"))


def slides(folder: Path, count: int) -> Path:
    folder.mkdir()
    made = container(folder, np.tile(make_stack(), (1, 2, 2, 1)), kind="svs")
    for number in range(count - 1):
        shutil.copyfile(made, folder / f"slide{number}.svs")
    return folder


def written(folder: Path) -> dict[str, bytes]:
    """Return what was written, but for records, which hold times."""
    kinds = ("tif", "map.json", "heatmap.png")
    return {path.name: path.read_bytes() for kind in kinds for path in folder.glob(f"*.flat.{kind}")}


def entries(folder: Path) -> list[Entry]:
    with Ledger(folder / NAME) as ledger:
        return ledger.entries()


def test_same_bytes_as_on_one_machine_though_a_worker_is_killed(tmp_path: Path, address: str) -> None:
    source = slides(tmp_path / "in", 4)
    run_night(source, tmp_path / "here", BatchOptions(jobs=2), (), threading.Event())
    out = tmp_path / "there"
    night = partial(run_night, source, out, BatchOptions(cluster=address), (), threading.Event())
    thread = threading.Thread(target=night)
    thread.start()
    wait_for(lambda: list(out.glob(".planish-night-*")))
    kill_a_worker(str(out))
    thread.join()
    assert len(written(out)) == 12
    assert written(out) == written(tmp_path / "here")
    assert [entry.attempts for entry in entries(out)] == [1] * 4
    assert not list(out.glob(".planish-night-*"))


def test_stop_ends_all(tmp_path: Path, address: str) -> None:
    with ClusterRunner(address, 0) as runner:
        for number in range(3):
            runner.begin(number, sleeper(str(tmp_path)))
        assert runner.slots == 3
        assert len(wait_for(lambda: processes(str(tmp_path)))) > 0
        runner.stop()
        reasons = {number: result.failure and result.failure.reason for number, result in runner.ended(5.0)}
    assert reasons == dict.fromkeys(range(3), "stopped")
    assert wait_for(lambda: not processes(str(tmp_path)))


def test_processes_end_when_the_batch_is_killed(tmp_path: Path, address: str) -> None:
    command = [sys.executable, "-c", CLIENT, address, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert wait_for(lambda: len(processes(str(tmp_path)).keys() - {client.pid}) == 2)
        client.kill()
    assert wait_for(lambda: not processes(str(tmp_path)))


def test_nothing_is_said_and_nothing_left_when_the_batch_ends(tmp_path: Path, address: str) -> None:
    command = [sys.executable, "-c", CLIENT, address, str(tmp_path)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert ended.stdout == "begun\n" and ended.stderr == ""
    assert wait_for(lambda: not processes(str(tmp_path)))


def test_a_worker_without_the_folder_is_named(tmp_path: Path, address: str) -> None:
    job = sleeper("")
    with ClusterRunner(address, 0) as runner:
        runner.begin(7, Job(job.task, Path("/"), output=tmp_path / "absent" / "x.flat.tif", tag="night-7"))
        [(number, result)] = wait_for(lambda: runner.ended(1.0))
    assert number == 7 and result.failure and result.failure.may_pass
    assert result.failure.reason == "worker unfit"
    assert f"does not see {tmp_path / 'absent'}" in result.failure.message


def test_a_worker_with_another_version_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planish.batch.cluster.__version__", "0.0.1")
    with ClusterRunner(address, 0) as runner:
        runner.begin(1, sleeper(""))
        [(_, result)] = wait_for(lambda: runner.ended(1.0))
    assert result.failure and "the batch runs 0.0.1" in result.failure.message


def test_a_slide_whose_workers_all_die(tmp_path: Path, address: str) -> None:
    left = tmp_path / ".planish-night-1-ab-cd-ef.tif"
    left.touch()
    with ClusterRunner(address, 1) as runner:
        runner.begin(1, replace(sleeper(str(tmp_path)), output=tmp_path / "x.flat.tif", tag="night-1-ab"))
        for _ in range(2):
            kill_a_worker(str(tmp_path))
        [(_, result)] = wait_for(lambda: runner.ended(1.0))
    assert result.failure and result.failure.reason == "worker lost" and result.failure.may_pass
    assert result.failure.message.startswith("2 workers died")
    assert not left.exists()


def test_an_unfit_worker_is_passed_by(address: str) -> None:
    job = Job(Task((sys.executable, "-c", "print('{\"done\": 1}')"), Limits(600.0, 4 << 30)), Path("/"))
    set_version = "import planish.batch.remote; planish.batch.remote.__version__ = '{}'"
    dask: Any = Client
    ended: list[tuple[int, Result]] = []
    with dask(address, set_as_default=False) as client, ClusterRunner(address, 0) as runner:
        wait_for(lambda: len(client.nthreads()) == 2)
        unfit = list(client.nthreads())[:1]
        client.run(exec, set_version.format("0.0.1"), workers=unfit)
        for number in range(8):
            runner.begin(number, job)
        deadline = time.monotonic() + PATIENCE_S
        while len(ended) < 8 and time.monotonic() < deadline:
            ended += runner.ended(1.0)
        client.run(exec, set_version.format(__version__), workers=unfit)
    assert [result.record for _, result in ended] == [{"done": 1}] * 8


def test_a_cluster_with_another_version_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"client": {"packages": {"planish": "0.0.1"}}}
    asked: Any = Client.get_versions
    monkeypatch.setattr(Client, "get_versions", lambda client, **options: asked(client, **options) | ours)
    with pytest.raises(PlanishError, match=rf"the scheduler has planish {__version__}, this machine has 0.0.1"):
        ClusterRunner(address, 0)


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planish.batch.cluster._CONNECT_S", 0.5)
    with pytest.raises(PlanishError, match="no Dask scheduler answers"):
        ClusterRunner("tcp://127.0.0.1:9", 0)


@pytest.mark.parametrize("address", ["carrier://pigeon", "", "node1"])
def test_no_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planish.batch.cluster._CONNECT_S", 0.5)
    with pytest.raises(PlanishError, match="Dask scheduler"):
        ClusterRunner(address, 0)


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PlanishError, match=r"pip install 'planish\[cluster\]'"):
        ClusterRunner("tcp://127.0.0.1:9", 0)


@pytest.mark.parametrize("address", ["x", "tcp://127.0.0.1:9"])
def test_without_a_cluster_nothing_is_begun_and_one_line_said(tmp_path: Path, address: str) -> None:
    slides(tmp_path / "in", 1)
    code = (
        "import sys, planish.batch.cluster as cluster\ncluster._CONNECT_S = 0.5\n"
        "from planish.cli import main\nsys.exit(main())"
    )
    command = [sys.executable, "-c", code, "batch", str(tmp_path / "in"), str(tmp_path / "out"), "--cluster", address]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "Dask scheduler" in ended.stderr
    assert not (tmp_path / "out").exists()
