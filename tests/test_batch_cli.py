"""`planish batch` on the command line: its options, what it prints, and how it says no."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import pathlib
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import tracemalloc
from argparse import Namespace
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nights
from nights import Lab
from planish.batch.command import Commands
from planish.batch.entry import Found
from planish.batch.estimate import Estimate
from planish.batch.job import Job, Result, Written
from planish.batch.ledger import NAME, Ledger
from planish.batch.options import BatchOptions
from planish.batch.runner import Runner
from planish.batch.supervisor import Supervisor
from planish.cli.night import _Signals
from planish.cli.parser import attached, build_parser

PARSER = build_parser()
NUMBERS = st.integers(-5, 5000).map(str)
WORDS: dict[str, st.SearchStrategy[str]] = {
    "--level": NUMBERS, "--region": st.tuples(*[NUMBERS] * 4).map(",".join),
    "--planes": st.sampled_from(["0:3", ":", "2:", ":7"]), "--scorer": st.sampled_from(["auto", "encoded-size"]),
    "--ties": st.sampled_from(["auto", "decode", "bytes"]), "--score-level": NUMBERS,
    "--step": st.sampled_from(["1", "2"]), "--subtiles": NUMBERS, "--sampler": st.sampled_from(["auto", "dense"]),
    "--seed": NUMBERS, "--no-audit": st.just(""), "--fuse": st.sampled_from(["hybrid", "select", "soft"]),
    "--param": st.sampled_from(["sigma=3", "radius=(5, 3)", "prior=map", "x='a b'", "x=", "sigma=-1e-9", "n=None"]),
    "--backend": st.sampled_from(["auto", "numpy"]), "--write": st.sampled_from(["auto", "copy", "encode"]),
    "--quality": st.integers(1, 100).map(str), "--levels": st.sampled_from(["all", "source"]),
    "--layout": st.sampled_from(["ome", "aperio"]), "--label": st.just(""), "--macro": st.just(""),
    "--source-name": st.just(""), "--channel": st.sampled_from(["all", "0", "DAPI"]), "--scene": NUMBERS,
    "--time": NUMBERS, "--focus-channel": st.sampled_from(["all", "1", "FITC"]),
}  # fmt: skip
GIVEN = st.lists(st.sampled_from(sorted(WORDS)).flatmap(lambda name: st.tuples(st.just(name), WORDS[name])), max_size=6)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nights.model(tmp_path_factory.mktemp("model"))


def parsed(command: str, words: list[str]) -> Namespace:
    return PARSER.parse_args(attached([command, "in", "out.tif", *words]))


def serialised(words: list[str]) -> tuple[str, ...]:
    options = parsed("batch", words)
    return tuple(options.settings(options))


@settings(max_examples=150, deadline=None)
@given(GIVEN)
def test_options_reach_flatten_as_they_were_given(given: list[tuple[str, str]]) -> None:
    words = [f"{name}={value}" if value or name == "--param" else name for name, value in given]
    passed = list(serialised(words))
    meant, got = vars(parsed("flatten", words)), vars(parsed("flatten", passed))
    assert got == meant
    assert serialised(passed) == tuple(passed)


def test_the_same_settings_are_the_same_words() -> None:
    typed = ["--fuse", "soft", "--seed=7", "--planes", "1:3", "--param", "sigma=3.0", "--no-audit"]
    otherwise = ["--no-audit", "--param=sigma=3.0", "--planes=1:3", "--seed", "7", "--fuse=soft", "--level=0"]
    assert serialised(typed) == serialised(otherwise)
    assert serialised([]) == serialised(["--fuse=hybrid", "--level=0", "--planes=:"]) == ()


def test_every_option_of_flatten_is_one_of_batch() -> None:
    own = {"--map", "--heatmap", "--json", "--jobs", "--overwrite", "--quiet", "--help", "--study"}
    found = {
        command: {text for action in parser._actions for text in action.option_strings if text.startswith("--")}
        for command, parser in PARSER._subparsers._group_actions[0].choices.items()  # type: ignore[union-attr]
    }
    assert found["flatten"] - own <= found["batch"]
    assert found["flatten"] - own == set(WORDS)


def printed(lab: Lab, pretend: Path, *options: str) -> tuple[int, str, str]:
    with lab.begun(*options, pretend=pretend) as night:
        out, err = night.communicate(timeout=60)
    return night.returncode, out, err


def test_plain_lines_where_there_is_no_terminal(tmp_path: Path, model: Path) -> None:
    lab = Lab(tmp_path)
    for name in ("a.svs", "b.svs"):
        lab.scan(name, b"x")
    lab.scan("bad.svs", {"error": {"kind": "TileError", "message": "a tile is short"}})
    code, out, err = printed(lab, model)
    assert code == 1
    assert "\r" not in err
    lines = [line.split(" ", 1)[1] for line in err.splitlines() if not line.startswith(" ")]
    assert lines[0] == "3 slides to do, 2 at once; 0 done before"
    assert any(line.startswith("FAILED   bad.svs: damaged: a tile is short") for line in lines)
    assert out.splitlines()[0].startswith("done      2 of 3 slides")
    assert out.splitlines()[1] == "failed    1: 1 damaged (--retry-failed tries them again)"
    code, out, err = printed(lab, model, "--json", "--quiet")
    assert code == 1
    assert err == ""
    assert json.loads(out)["counts"] == {"done": 2, "failed": 1}
    status = subprocess.run(
        [sys.executable, "-m", "planish.cli", "batch-status", str(lab.output), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(status.stdout)["counts"] == {"done": 2, "failed": 1}


def test_a_bar_where_there_is_a_terminal(tmp_path: Path, model: Path) -> None:
    lab = Lab(tmp_path)
    for name in "abcde":
        lab.scan(f"{name}.svs", b"x")
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    code = (
        f"import sys, planish.batch.command as command\ncommand._PLANISH = {lab.pretence(model)!r}\n"
        "from planish.cli import main\nsys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *lab.arguments()], stdout=subprocess.DEVNULL, stderr=follower
    ) as night:
        os.close(follower)
        seen = b""
        while True:
            try:
                seen += os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
    os.close(leader)
    assert night.returncode == 0
    assert b"/5 slides [" in seen
    assert b"done     e.svs" in seen
    assert b" to go, about " in seen


@pytest.mark.parametrize(("words", "said"), [
    (["--deid-names=t.csv", "--label"], "leave out --label"), (["--jobs=-1"], "--jobs must be at least 0"),
    (["--memory-limit=1M"], "--memory-limit must be"), (["--time-limit=nan"], "--time-limit must be"),
    (["--retry-wait=nan"], "--retry-wait must be"), (["--watch=inf"], "--watch must be at most 86,400"),
    (["--watch=86401"], "--watch must be at most"), (["--memory-limit=1e30"], "--memory-limit must be at most"),
    (["--retries=700"], "--retries must be at most 100"), (["--fuse=soft", "--param=sigme=3"], "sigme: soft has no"),
    (["--param=sigma=-1"], "sigma"), (["--write=copy", "--fuse=soft"], "no tile can be copied"),
    (["--subtiles=0"], "subtiles"), (["--write=copy", "--quality=80"], "copied tiles keep their quality"),
])  # fmt: skip
def test_options_that_make_no_sense(tmp_path: Path, words: list[str], said: str) -> None:
    lab = Lab(tmp_path)
    lab.scan("a.svs", b"x")
    night = lab.batch(*words)
    assert night.returncode == 2
    assert night.stderr.count("\n") == 1
    assert said in night.stderr
    assert not lab.output.exists()


@pytest.mark.parametrize("address", ["s3://bucket/in", "https://server/in"])
def test_buckets_are_refused_with_a_way_out(tmp_path: Path, address: str) -> None:
    night = subprocess.run(
        [sys.executable, "-m", "planish.cli", "batch", address, str(tmp_path / "out")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert night.returncode == 2
    assert night.stderr.startswith(f"planish: {address}: planish reads and writes files; mount the bucket")


def test_a_folder_without_a_ledger_has_no_status(tmp_path: Path) -> None:
    status = subprocess.run(
        [sys.executable, "-m", "planish.cli", "batch-status", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert status.returncode == 1
    assert "no output folder of planish batch" in status.stderr


class Swift:
    """A runner that has done everything at once, and only pretends."""

    slots = 4
    threads = 1

    def __init__(self, record: dict[str, Any]) -> None:
        self._record, self._ended = record, deque[tuple[int, Result]]()

    def begin(self, number: int, job: Job) -> None:
        """Take it as done."""
        written = Written(1, "ab" * 32, (bytes(8000), bytes(8000)))
        self._ended.append((number, Result(None, 1.0, 1, dict(self._record), written)))

    def ended(self, wait: float) -> list[tuple[int, Result]]:
        """Return what was begun."""
        found, self._ended = list(self._ended), deque()
        return found

    def stop(self) -> None:
        """Do nothing: nothing runs."""

    def __enter__(self) -> Swift:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_the_supervisors_memory_does_not_grow_with_the_night(tmp_path: Path, model: Path) -> None:
    record = json.loads(Path(f"{model}.record.json").read_text(encoding="utf-8"))
    taken: list[int] = []
    done = 0

    def listener(event: Any) -> None:
        nonlocal done
        done += event.kind == "done"
        if event.kind == "done" and done in (100, 300):
            gc.collect()
            # Python's table of strings, which paths go into, doubles now and then.
            traces = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, pathlib.__file__)])
            taken.append(sum(trace.size for trace in traces.traces))

    runner: Runner = Swift(record)
    with Ledger(tmp_path / NAME) as ledger:
        with ledger.together():
            for number in range(300):
                name = Path(f"{number}.svs")
                ledger.add(Found(tmp_path / name, name, Path(f"{number}"), 1, 1), "[]")
        commands = Commands(tmp_path, tmp_path, BatchOptions(reserve=0), 1)
        supervisor = Supervisor(ledger, runner, commands, listener)
        tracemalloc.start()
        try:
            supervisor.run(threading.Event())
        finally:
            tracemalloc.stop()
        assert ledger.counts() == {"done": 300}
    assert taken[1] - taken[0] < 100_000


@pytest.mark.parametrize("kind", ["full", "broken pipe", "hung-up terminal"])
def test_a_night_goes_on_where_nobody_takes_what_it_says(tmp_path: Path, model: Path, kind: str) -> None:
    lab = Lab(tmp_path)
    for name in "abcdef":
        lab.scan(f"{name}.svs", b"x")
    if kind == "full":
        taker = os.open("/dev/full", os.O_WRONLY)
    else:
        other, taker = os.pipe() if kind == "broken pipe" else pty.openpty()
        os.close(other)
    code = (
        f"import sys, planish.batch.command as command\ncommand._PLANISH = {lab.pretence(model)!r}\n"
        "from planish.cli import main\nsys.exit(main())"
    )
    command = [sys.executable, "-c", code, *lab.arguments("--json")]
    assert subprocess.run(command, stdout=taker, stderr=taker, check=False).returncode == 0
    os.close(taker)
    assert set(lab.states().values()) == {"done"}


def test_a_signal_that_nohup_has_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with _Signals() as signals:
            signals.keep()
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.stop.wait(1)
        assert signals.received == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_modules_do_not_come_from_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(99)")
    slide = nights.tiny(tmp_path / "a.svs")
    task = Commands(tmp_path, tmp_path, BatchOptions(), 1).probe(slide, 1).task
    ended = subprocess.run(task.command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_estimate_counts_only_time_in_which_slides_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    estimate = Estimate()
    now[0] += 3600
    for number in range(3):
        estimate.begin(number)
        estimate.begin(number + 10)
        now[0] += 10
        estimate.end(number)
        estimate.end(number + 10)
        estimate.end(number)
        estimate.count(1 << 20)
        now[0] += 3600
    assert estimate.left(3, 3 << 20) == pytest.approx(30)
    estimate.begin(1)
    now[0] += 30
    assert estimate.left(3, 3 << 20) == pytest.approx(60)
