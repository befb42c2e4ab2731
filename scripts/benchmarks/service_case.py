"""Slides, a running tile service and a load generator for `bench_serve.py`."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from planish.phantom.containers import ContainerOptions, write_container
from planish.phantom.specimen import PhantomOptions, PhantomSlide

LUA = """
local urls = {}
for line in io.lines("URLS") do urls[#urls + 1] = line end
local index = 0
function init() index = math.random(#urls) end
function request() index = index % #urls + 1; return wrk.format("GET", urls[index]) end
local wrong = 0
function response(status) if status ~= 200 then wrong = wrong + 1 end end
function done(summary, latency)
  io.write(string.format("RESULT %f %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.errors.status))
end
"""


def phantom(folder: Path, name: str, specimen: str, size: int = 2048, **container: Any) -> Path:
    """Write a phantom slide of 9 planes."""
    slide = PhantomSlide(PhantomOptions(specimen, size, size, 9, seed=len(name)))
    path = folder / name
    write_container(slide, path, ContainerOptions(**container))
    return path


class Service:
    """A running `planish serve`, asked over the network."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.root, self.process = f"http://127.0.0.1:{port}", process

    def get(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        """Return status and body."""
        try:
            with urlopen(Request(self.root + path, method=method)) as answer:
                return answer.status, answer.read()
        except OSError as error:
            status = getattr(error, "code", None)
            if status is None:
                raise
            return int(status), b""

    def json(self, path: str) -> Any:
        """Return an answer, read."""
        return json.loads(self.get(path)[1])

    def ids(self) -> dict[str, str]:
        """Return the slides' ids by name."""
        return {slide["name"]: slide["id"] for slide in self.json("/api/slides")["slides"]}

    def make_best(self, slide: str) -> None:
        """Have the best of a slide found, and wait for it."""
        self.get(f"/api/slides/{slide}/best", "POST")
        while (state := self.json(f"/api/slides/{slide}/best")["state"]) not in ("ready", "failed"):
            time.sleep(0.2)
        assert state == "ready", state

    def tiles(self, slide: str, plane: int | str, level: int | None = None) -> list[str]:
        """Return the paths of all tiles of a DZI level, the largest by default."""
        dzi = self.json(f"/api/slides/{slide}")["dzi"]
        level = dzi["levels"] - 1 if level is None else level
        shrunk = 2 ** (dzi["levels"] - 1 - level)
        columns, rows = (math.ceil(math.ceil(dzi[side] / shrunk) / dzi["tile"]) for side in ("width", "height"))
        base = f"/api/slides/{slide}/dzi/{plane}_files/{level}"
        return [f"{base}/{column}_{row}.jpeg" for row in range(rows) for column in range(columns)]

    def memory(self) -> tuple[float, int]:
        """Return MiB and open files of all its processes."""
        found = subprocess.run(["ps", "-eo", "pid,ppid,rss"], capture_output=True, text=True, check=True).stdout
        table = [tuple(map(int, line.split())) for line in found.splitlines()[1:]]
        family = {self.process.pid}
        for _ in range(4):
            family |= {pid for pid, parent, _ in table if parent in family}
        folders = (Path(f"/proc/{pid}/fd") for pid in family)
        files = sum(len(list(folder.iterdir())) for folder in folders if folder.exists())
        return sum(rss for pid, _, rss in table if pid in family) / 1024, files


@contextmanager
def service(folder: Path, *more: str, environment: dict[str, str] | None = None) -> Iterator[Service]:
    """Run `planish serve` over a folder, on a free port."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "planish.cli", "serve", str(folder), "--port", "0", "--cache", cache, *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})})
        try:
            assert process.stdout
            line, port = b"", None
            while port is None and (line := process.stdout.readline()):
                port = re.search(rb":(\d+)", line)
            assert port, "the service did not start"
            running = Service(int(port[1]), process)
            while not _ready(running):
                time.sleep(0.1)
            yield running
        finally:
            process.terminate()
            process.communicate()


def _ready(running: Service) -> bool:
    try:
        return running.get("/readyz")[0] == 200
    except OSError:
        return False


def load(
    root: str, paths: Sequence[str], seconds: float = 8, connections: int = 16, pause: int = 0
) -> dict[str, float]:
    """Ask for paths one after the other, from several connections: requests per second, p50 and p99 in ms, wrong.

    `pause` is in ms between an answer and the next request of a connection.
    """
    script = f"{LUA}function delay() return {pause} end\n" if pause else LUA
    with _wrk(root, paths, script, seconds, connections) as asking:
        said, _ = asking.communicate()
    rate, middle, worst, wrong = map(float, re.findall(r"RESULT (.*)", said)[0].split())
    return {"per second": rate, "p50": middle, "p99": worst, "wrong": wrong}


@contextmanager
def viewing(root: str, paths: Sequence[str], seconds: float) -> Iterator[None]:
    """Ask for paths as four viewers do that get no answers: again and again, 80 in a second."""
    with _wrk(root, paths, LUA + "function delay() return 50 end\n", seconds, 4) as asking:
        yield
        asking.communicate()


@contextmanager
def _wrk(
    root: str, paths: Sequence[str], script: str, seconds: float, connections: int
) -> Iterator[subprocess.Popen[str]]:
    wrk = shutil.which("wrk") or sys.exit("bench serve: needs wrk; install it")
    with tempfile.TemporaryDirectory() as name:
        urls, lua = Path(name) / "urls", Path(name) / "load.lua"
        urls.write_text("\n".join(paths))
        lua.write_text(script.replace("URLS", str(urls)))
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(lua), root]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
            yield asking
