"""Opening CuPy's backend: what is missing is named, and NumPy stands in for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from planish import fuse_stack
from planish.errors import OptionError
from planish.fuse.backend import choose_backend
from planish.fuse.device import DeviceBackend, open_device
from planish.fuse.host import HostBackend


class NoDriver(RuntimeError):
    """Stands for CuPy's own error."""


def fake_cupy(monkeypatch: pytest.MonkeyPatch, devices: Callable[[], int], compiler: Callable[[], Any]) -> Any:
    """Install modules that are imported as CuPy's, with no more in them than is needed to open one."""
    cupy, cupyx, scipy_part = (ModuleType(name) for name in ("cupy", "cupyx", "cupyx.scipy"))
    events: list[str] = []
    made: Any = cupy
    made.__spec__, made.events = ModuleSpec("cupy", None), events
    made.RawModule = made.ElementwiseKernel = lambda *_, **__: None
    made.asarray = lambda array: events.append("send")
    made.get_default_memory_pool = lambda: SimpleNamespace(free_bytes=lambda: 5)
    event = SimpleNamespace(synchronize=lambda: events.append("wait"))
    made.cuda = SimpleNamespace(
        runtime=SimpleNamespace(getDeviceCount=devices),
        nvrtc=SimpleNamespace(getVersion=compiler),
        Device=lambda: SimpleNamespace(mem_info=(100, 1000)),
        get_current_stream=lambda: SimpleNamespace(record=lambda: event),
    )
    vars(scipy_part)["ndimage"] = None
    for module in (cupy, cupyx, scipy_part):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return made


def raising(error: Exception) -> Callable[[], Any]:
    def call() -> Any:
        raise error

    return call


def test_without_cupy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(OptionError, match=r"needs CuPy, pip install 'planish\[gpu\]'"):
        choose_backend("cupy")
    assert isinstance(choose_backend("auto"), HostBackend)


@pytest.mark.parametrize(
    ("devices", "compiler", "reason"),
    [
        (
            raising(NoDriver("driver version is insufficient")),
            lambda: (12, 9),
            r"NVIDIA GPU, its driver .*insufficient",
        ),
        (lambda: 1, raising(NoDriver("no libnvrtc.so.12")), r"the CUDA toolkit \(no libnvrtc"),
        (lambda: 0, lambda: (12, 9), "finds no GPU"),
    ],
)
def test_without_a_gpu_numpy_computes_and_says_so(
    monkeypatch: pytest.MonkeyPatch, devices: Callable[[], int], compiler: Callable[[], Any], reason: str
) -> None:
    fake_cupy(monkeypatch, devices, compiler)
    with pytest.raises(OptionError, match=reason):
        choose_backend("cupy")
    stack = np.random.default_rng(0).integers(0, 256, (3, 20, 30), np.uint8)
    with pytest.warns(RuntimeWarning, match=f"NumPy computes, since CuPy cannot .*{reason}"):
        fused = fuse_stack(stack, "pick", backend="auto")
    assert fused.backend == "numpy"
    assert np.array_equal(fused.image, fuse_stack(stack, "pick", backend="numpy").image)


def test_a_gpu_is_chosen_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_cupy(monkeypatch, lambda: 1, lambda: (12, 9))
    for name in ("auto", "cupy"):
        chosen = choose_backend(name)
        assert isinstance(chosen, DeviceBackend)
        assert chosen.name == "cupy"
        assert chosen.free_bytes() == 105


def test_uploads_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = fake_cupy(monkeypatch, lambda: 1, lambda: (12, 9))
    opened = open_device()
    for _ in range(3):
        opened.put(np.zeros(1))
    assert cupy.events == ["send", "send", "wait", "send", "wait"]
