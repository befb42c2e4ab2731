"""Test data, and the rule that a test skips only for a reason that is written down in `skips.ALLOWED`."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skips

DATA = Path(os.environ.get("PLANISH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Callable[[str], Path]:
    """Return a function from a name in the test data to its path; it skips the test, by name, where that is absent."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"{skips.DATA}: {name}")
        return path

    return find


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Return a function that loads what a reference returned; beside the test data, and skipped by name like it."""

    def load(name: str) -> Any:
        path = DATA.parent / "golden" / name
        if not path.exists():
            pytest.skip(f"{skips.DATA}: golden/{name}")
        return np.load(path)

    return load


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for any other reason into a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(tuple(skips.ALLOWED)):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} may not skip ({reason}); allowed are: {', '.join(skips.ALLOWED)}"
    return report
