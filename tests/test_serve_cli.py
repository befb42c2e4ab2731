"""`planish serve`: it says where it is, ends with a signal, and says in one line why it cannot begin."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from makers import container, make_stack
from planish.cli import main

START_S = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "in"
    inside.mkdir()
    container(inside, make_stack(), kind="svs")
    return inside


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a service on a free port; yield its process and its address."""
    words = [sys.executable, "-m", "planish.cli", "serve", str(folder), "--port", "0", *options]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder.parent / "cache")}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def get(address: str) -> bytes:
    """Return a body, asked for until the service is up."""
    until = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=START_S) as answer:
                body: bytes = answer.read()
                return body
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, "1"), (signal.SIGINT, "2")])
def test_it_serves_until_a_signal(folder: Path, number: int, workers: str) -> None:
    with running(folder, "--workers", workers) as (process, address):
        get(f"{address}readyz")
        slide = json.loads(get(f"{address}api/slides"))["slides"][0]
        # The list may come before a slide was looked at.
        assert len(json.loads(get(f"{address}api/slides/{slide['id']}"))["planes"]) > 1
        assert get(f"{address}api/slides/{slide['id']}/dzi/0_files/8/0_0.jpeg").startswith(b"\xff\xd8")
        process.send_signal(number)
        out, err = process.communicate(timeout=START_S)
        assert (process.returncode, out, err) == (0, "", "")


def test_it_answers_by_its_own_names_only(folder: Path) -> None:
    with running(folder, "--allow-host", "slides.example") as (_, address):
        get(f"{address}readyz")
        for host, status in (("localhost", 200), ("slides.example:80", 200), ("evil.example", 421)):
            asking = http.client.HTTPConnection(address.split("/")[2], timeout=START_S)
            asking.request("GET", "/api/slides", headers={"Host": host})
            assert (host, asking.getresponse().status) == (host, status)
            asking.close()


def test_workers_go_by_the_command_line_and_not_by_variables(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("PLANISH_SERVE_TOKEN", "of-the-environment")
    monkeypatch.setenv("PLANISH_SERVE_FOLDER", str(tmp_path / "other"))
    monkeypatch.setenv("PLANISH_SERVE_SHOW_LABEL", "1")
    with running(folder, "--workers", "2", "--token", "of-the-line") as (_, address):
        get(f"{address}healthz")
        for token, status in (("of-the-line", 200), ("of-the-environment", 401)):
            asking = http.client.HTTPConnection(address.split("/")[2], timeout=START_S)
            asking.request("GET", "/api/slides", headers={"Authorization": f"Bearer {token}"})
            answer = asking.getresponse()
            assert (token, answer.status) == (token, status)
            assert status != 200 or len(json.load(answer)["slides"]) == 1
            asking.close()


def test_it_opens_as_many_files_as_it_may(folder: Path) -> None:
    with few_files(), running(folder) as (process, address):
        get(f"{address}healthz")
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard > 256


@contextmanager
def few_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_port_that_is_taken_is_told_before_anything_starts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert main(["serve", str(folder), "--port", port, "--cache", str(folder.parent / "cache")]) == 1
    assert capsys.readouterr().err == (
        f"planish: port {port} of 127.0.0.1 is taken; choose another with --port, or 0 for any that is free\n"
    )


def test_wrong_folders_and_options_are_one_line(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    cache = ["--cache", str(tmp_path / "cache")]
    for words, code in (
        ([str(tmp_path / "absent")], 1),
        ([str(tmp_path / "empty")], 1),
        ([str(folder), "--port", "70000"], 2),
        ([str(folder), "--workers", "0"], 2),
        ([str(folder), "--token", "", *cache], 2),
        ([str(folder), "--token", "two words", *cache], 2),
        ([str(folder), "--allow-jobs", str(folder), *cache], 2),
        ([str(folder), "--host", "no.such.host.invalid", *cache], 2),
        ([str(folder), "--allow-host", "https://slides.example", *cache], 2),
        ([str(folder), "--cors", "https://viewer.example/", *cache], 2),
    ):
        assert main(["serve", *words]) == code, words
        err = capsys.readouterr().err
        assert (err.startswith("planish: "), err.count("\n")) == (True, 1), err


def test_a_missing_extra_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(folder)]) == 1
    assert "pip install 'planish[serve]'" in capsys.readouterr().err
