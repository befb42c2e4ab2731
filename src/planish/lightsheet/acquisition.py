"""How a volume was taken, as the microscope's XML (`push_config`) tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from planish.errors import SlideError, SlideNotFound
from planish.lightsheet.names import Look

SENSOR_UM = 6.5
"""Of a camera's pixel; divided by the magnification it is that of the specimen."""
_FIRST_CAMERA = {"Z": 0, "Y": 2}
"""By the direction of the scan, where the XML tells only how many cameras there were."""


@dataclass(frozen=True)
class Acquisition:
    """What one XML file says.

    Attributes
    ----------
    source : Path
        The file.
    channel : int or None
        Of the looks that it is about, from the file's name.
    specimen_name, timestamp, camera_type, illumination, objective : str
        As written; empty where not told.
    angle : float or None
        Degrees.
    cameras : tuple of int
        Their numbers.
    sizes : tuple of (width, height, depth)
        px and planes of each camera; or one for all. The depth is what was planned, not what was taken.
    wavelength_nm : tuple of float
        Of each camera, or one for all.
    exposure_ms, magnification, z_step_um : float or None
        None where not told.
    """

    source: Path
    channel: int | None
    specimen_name: str
    timestamp: str
    angle: float | None
    cameras: tuple[int, ...]
    camera_type: str
    wavelength_nm: tuple[float, ...]
    illumination: str
    exposure_ms: float | None
    objective: str
    magnification: float | None
    z_step_um: float | None
    sizes: tuple[tuple[int, int, int], ...]

    @property
    def pixel_um(self) -> float | None:
        """Side of a pixel in the specimen: 6.5 µm / magnification."""
        return SENSOR_UM / self.magnification if self.magnification else None

    @property
    def voxel_um(self) -> tuple[float, float, float] | None:
        """Steps in z, y and x; None unless all are told."""
        if not self.pixel_um or not self.z_step_um:
            return None
        return self.z_step_um, self.pixel_um, self.pixel_um

    def size(self, camera: int) -> tuple[int, int]:
        """Return width and height of a camera's planes, in px."""
        return self._size(camera)[:2]

    def xml_depth(self, camera: int) -> int:
        """Return the planes that were planned for a camera."""
        return self._size(camera)[2]

    def _size(self, camera: int) -> tuple[int, int, int]:
        place = self.cameras.index(camera) if camera in self.cameras else 0
        return self.sizes[place if place < len(self.sizes) else 0]


def find_acquisitions(folder: Path, specimen: int) -> tuple[Acquisition, ...]:
    """Return what the XML files in a folder say about a specimen.

    These are ``ch*_spec{NN}.xml``, else ``ch*.xml``, else ``*_CHN*.xml``; the first kind that there is.
    """
    own = sorted(folder.glob(f"ch*_spec{specimen:02d}.xml"))
    shared = [path for path in sorted(folder.glob("ch*.xml")) if "_spec" not in path.stem]
    copied = [path for path in sorted(folder.glob("*_CHN*.xml")) if _about(path, specimen)]
    return tuple(read_acquisition(path) for path in own or shared or copied)


def _about(path: Path, specimen: int) -> bool:
    found = re.match(r"SP[CM](\d+)_", path.name)
    return not found or int(found[1]) == specimen


def acquisition_of(look: Look, acquisitions: tuple[Acquisition, ...]) -> Acquisition | None:
    """Return the one about a look: of its channel and camera, or of one of these, else the first."""

    def fit(acquisition: Acquisition) -> tuple[bool, bool]:
        return acquisition.channel == look.channel, look.camera in acquisition.cameras

    return max(acquisitions, key=fit, default=None)


def read_acquisition(path: str | Path) -> Acquisition:
    """Read an XML file.

    Raises
    ------
    SlideNotFound
        Where there is no such file.
    SlideError
        Where it is no ``push_config``, or lacks the dimensions, or a number is none.
    """
    path = Path(path)
    told = _Told(path, _attributes(path))
    sizes = told.sizes()
    objective = told.text("detection_objective").split(",")[0].strip()
    return Acquisition(
        path,
        _channel(path),
        told.text("specimen_name"),
        told.text("timestamp"),
        told.number("angle"),
        _cameras(told, len(sizes)),
        told.text("camera_type"),
        told.numbers("wavelength"),
        told.text("illumination_arms"),
        told.number("exposure_time"),
        objective,
        _magnification(objective),
        told.number("z_step") or told.number("y_step"),
        sizes,
    )


def _attributes(path: Path) -> dict[str, str]:
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except FileNotFoundError as error:
        raise SlideNotFound(f"{path}: no such file; check the name") from error
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise SlideError(f"{path}: not a readable XML file ({error}); copy it again") from error
    if root.tag != "push_config":
        raise SlideError(f"{path}: holds <{root.tag:.40}>, not the microscope's <push_config>; name the right file")
    return {name: value for info in root.iter("info") for name, value in info.attrib.items()}


def _channel(path: Path) -> int | None:
    found = re.search(r"CHN(\d+)", path.stem) or re.match(r"ch(\d+)", path.stem)
    return int(found[1]) if found else None


def _magnification(objective: str) -> float | None:
    """Return 16 of ``SpecialOptics 16x/0.70``."""
    found = re.search(r"(\d+(?:\.\d+)?)\s*x", objective, re.IGNORECASE)
    return float(found[1]) if found else None


def _cameras(told: _Told, count: int) -> tuple[int, ...]:
    """Return the cameras' numbers; some microscopes write only how many there are."""
    listed = told.numbers("camera_index")
    if len(listed) == 1 and count > 1:
        direction = told.text("stack_direction").upper()
        first = next((number for letter, number in _FIRST_CAMERA.items() if letter in direction), 0)
        return tuple(range(first, first + count))
    return tuple(int(number) for number in listed) or tuple(range(count))


@dataclass(frozen=True)
class _Told:
    """Attributes of all `info` elements, and the file they are from."""

    path: Path
    attributes: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.attributes.get(name, "").strip()

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return the number that each part of a list begins with."""
        parts = [part.strip() for part in self.text(name).split(",") if part.strip()]
        found = [re.match(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", part, re.IGNORECASE) for part in parts]
        return tuple(float(number[0]) for number in found if number)

    def number(self, name: str) -> float | None:
        numbers = self.numbers(name)
        if self.text(name) and not numbers:
            raise self._error(name, "a number")
        return numbers[0] if numbers else None

    def sizes(self) -> tuple[tuple[int, int, int], ...]:
        """Return width, height and depth of each camera."""
        parts = [part.strip() for part in self.text("dimensions").split(",") if part.strip()]
        found = [re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x(\d+)", part) for part in parts]
        sizes = tuple((int(size[1]), int(size[2]), int(size[3])) for size in found if size)
        if not sizes or len(sizes) < len(parts):
            raise self._error("dimensions", "WIDTHxHEIGHTxDEPTH of each camera")
        return sizes

    def _error(self, name: str, wanted: str) -> SlideError:
        return SlideError(f"{self.path}: {name} is {self.text(name)!r:.60}, not {wanted}; correct the file")
