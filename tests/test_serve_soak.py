"""A service that is asked for a while, for more slides than it keeps open: it neither errs nor grows."""

from __future__ import annotations

import http.client
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from planish.serve.wanted import MOST_OPEN
from stacks import write_stack

SLIDES, REQUESTS, START_S = 20, 300, 60
BESIDE = 48
"""Files that a process has open beside slides: sockets, pipes, libraries' own, the log."""
GROWTH = 1.25
"""Of memory from the middle to the end; the figure to reach is that of an hour, by ``scripts/bench serve soak``."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Run one over slides that are alike but for their names; yield its process and port."""
    folder = tmp_path / "in"
    folder.mkdir()
    first = write_stack(folder / "s00.svs", kind="svs", tile=128)
    for index in range(1, SLIDES):
        shutil.copyfile(first, folder / f"s{index:02d}.svs")
    words = ["serve", str(folder), "--port", "0", "--cache", str(tmp_path / "cache"), "--tile-cache", "0"]
    with subprocess.Popen([sys.executable, "-m", "planish.cli", *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.pid, int(process.stdout.readline().partition("127.0.0.1:")[2].partition("/")[0])
        finally:
            process.terminate()
            process.communicate()


class Client:
    """Asks over one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)

    def get(self, path: str) -> bytes:
        """Return a body; empty where the answer is no picture or JSON."""
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        return body if answer.status == 200 else b""

    def until_ready(self) -> None:
        """Wait for the service."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.get("/readyz"):
                return
            time.sleep(0.1)
        pytest.fail("the service is not ready")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def family(pid: int) -> list[int]:
    """Return a process and all that it started."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
                for child in (task / "children").read_text().split()]  # fmt: skip
    return [pid, *(each for child in children for each in family(child))]


def taken(pid: int) -> tuple[int, int, int]:
    """Return of a service how many files its processes have open, its pages in memory, and how many processes it is."""
    pids = family(pid)
    files = sum(len(list(Path(f"/proc/{each}/fd").iterdir())) for each in pids)
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in pids)
    return files, pages, len(pids)


def test_random_tiles_of_many_slides_are_right_and_cost_no_more_at_the_end(service: tuple[int, int]) -> None:
    pid, port = service
    client, chance = Client(port), random.Random(0)
    client.until_ready()
    ids = [slide["id"] for slide in json.loads(client.get("/api/slides"))["slides"]]
    assert len(ids) == SLIDES > 2 * MOST_OPEN
    tiles = [f"{plane}_files/{level}/{column}_{row}.jpeg" for plane in range(3) for level in (9, 10)
             for column in range(3) for row in range(2)]  # fmt: skip
    meant = {tile: client.get(f"/api/slides/{ids[0]}/dzi/{tile}") for tile in tiles}
    assert all(meant.values()) and len(set(meant.values())) > len(tiles) // 2
    wrong, costs = 0, []
    for _ in range(3):
        for _ in range(REQUESTS):
            tile = chance.choice(tiles)
            wrong += client.get(f"/api/slides/{chance.choice(ids)}/dzi/{tile}") != meant[tile]
        costs.append(taken(pid))
    client.close()
    (_, _, _), (files, pages, _), (files_after, pages_after, processes) = costs
    assert wrong == 0
    assert files_after <= processes * (MOST_OPEN + BESIDE)
    assert files_after <= files + 2 * MOST_OPEN
    assert pages_after <= GROWTH * pages
