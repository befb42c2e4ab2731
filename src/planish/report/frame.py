"""`Frame`: where the panels of a heatmap stand on their figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from planish.slide.base import Slide

WIDE, NARROW = 1.6, 0.6
"""Width over height from which on the panels stand below each other, and up to which four stand in one row."""
LEFT, BOTTOM, TOP, GAP = 0.6, 0.85, 0.55, 0.15
"""Room in inches around the panels, and between them."""
BAR, KEY = 0.9, 1.6
"""Room in inches right of panels with a colour bar, and of those with a legend."""


class PanelBox(NamedTuple):
    """A panel on the figure, in inches from its lower left corner."""

    left: float
    bottom: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Frame:
    """The panels' frame: level-0 pixels times `step_x` and `step_y`, in mm where the pixel size is known.

    Attributes
    ----------
    rooms : tuple of float
        Inches right of each panel.
    """

    unit: str
    step_x: float
    step_y: float
    width: float
    height: float
    rooms: tuple[float, ...]

    @classmethod
    def of(cls, slide: Slide, *, composed: bool) -> Frame:
        """Return the frame of a slide: its thumbnail, planes, how they were `composed`, sharpness."""
        full, metadata = slide.levels[0], slide.metadata
        unit, step_x, step_y = "level-0 pixels", 1.0, 1.0
        if metadata.mpp_x and metadata.mpp_y:
            unit, step_x, step_y = "mm", metadata.mpp_x / 1000, metadata.mpp_y / 1000
        rooms = (GAP, BAR, KEY, BAR) if composed else (GAP, BAR, BAR)
        return cls(unit, step_x, step_y, full.width * step_x, full.height * step_y, rooms)

    @property
    def columns(self) -> int:
        """Panels side by side."""
        if self.width > WIDE * self.height:
            return 1
        return 2 if len(self.rooms) == 4 and self.width > NARROW * self.height else len(self.rooms)

    @property
    def panel_inches(self) -> tuple[float, float]:
        """Width and height of a panel."""
        aspect = self.width / self.height
        width = 10.0 if self.columns == 1 else min(3.8, 8 * aspect)
        return max(width, 1.5), max(width / aspect, 1.0)

    @property
    def panel_boxes(self) -> list[PanelBox]:
        """The panels, row by row."""
        width, height = self.panel_inches
        lefts = [LEFT]
        for column in range(self.columns - 1):
            lefts.append(lefts[-1] + width + (max(self.rooms[column :: self.columns]) + GAP))
        rows = len(self.rooms) // self.columns
        places = [divmod(index, self.columns) for index in range(len(self.rooms))]
        return [
            PanelBox(lefts[column], BOTTOM + (rows - 1 - row) * (height + 0.4), width, height) for row, column in places
        ]

    @property
    def figure_inches(self) -> tuple[float, float]:
        """Width and height of the figure."""
        boxes = self.panel_boxes
        right = max(box.left + box.width + room for box, room in zip(boxes, self.rooms, strict=True))
        return right, max(box.bottom + box.height for box in boxes) + TOP

    def on_figure(self, box: PanelBox) -> tuple[float, float, float, float]:
        """Return inches as fractions of the figure."""
        width, height = self.figure_inches
        return box.left / width, box.bottom / height, box.width / width, box.height / height

    def is_lowest(self, index: int) -> bool:
        """Return whether no panel stands below one."""
        return index + self.columns >= len(self.rooms)

    def is_leftmost(self, index: int) -> bool:
        """Return whether no panel stands left of one."""
        return index % self.columns == 0

    def thumbnail_pixels(self, dpi: int) -> int:
        """Return the longer side of the thumbnail."""
        return round(max(self.panel_inches) * dpi)
