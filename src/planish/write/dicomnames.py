"""What tells the files of a DICOM output apart, and what holds them together."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydicom.uid import UID, generate_uid


def _uid() -> UID:
    return generate_uid(prefix=None)


@dataclass(frozen=True)
class SeriesNames:
    """What all files of an output share: new UIDs, when it was made, and whether its frames may hold text."""

    study: str = field(default_factory=_uid)
    series: str = field(default_factory=_uid)
    frame_of_reference: str = field(default_factory=_uid)
    pyramid: str = field(default_factory=_uid)
    dimensions: str = field(default_factory=_uid)
    specimen: str = field(default_factory=_uid)
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    texts: bool = False


@dataclass(frozen=True)
class ImageNames:
    """What tells an image from the others of its series.

    Attributes
    ----------
    number : int
        In the series, from 1.
    kind : str
        ``"VOLUME"``, ``"LABEL"`` or ``"OVERVIEW"``.
    resampled : bool
        Whether it is an upper level.
    instance : str
        UID.
    """

    number: int
    kind: str = "VOLUME"
    resampled: bool = False
    instance: str = field(default_factory=_uid)

    @property
    def image_type(self) -> list[str]:
        """DICOM's four words."""
        return ["DERIVED", "PRIMARY", self.kind, "RESAMPLED" if self.resampled else "NONE"]
