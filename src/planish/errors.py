"""The errors planish raises, all under one base.

::

    PlanishError
    ├── SlideError            a slide cannot be read as what it claims to be
    │   ├── SlideNotFound         (also FileNotFoundError)
    │   ├── UnsupportedSlide      no reader, or more planes than the reader can see
    │   └── TileError             one tile is unreadable
    ├── OptionError           an option's value is out of range (also ValueError)
    ├── WriteError            an output cannot be written or read back
    │   └── OutputExists          (also FileExistsError)
    └── Cancelled             the caller asked long work to stop

Every message names the file, what was found, and what to do.
"""

from __future__ import annotations


class PlanishError(Exception):
    """Base of every error that planish raises on purpose."""


class SlideError(PlanishError):
    """A slide cannot be read as what it claims to be."""


class SlideNotFound(SlideError, FileNotFoundError):
    """The path names nothing."""


class UnsupportedSlide(SlideError):
    """No reader takes the file, or none that sees all of its planes."""


class TileError(SlideError):
    """One tile of a slide is unreadable."""


class OptionError(PlanishError, ValueError):
    """An option's value is out of range or does not fit the others."""


class WriteError(PlanishError):
    """An output could not be written, or did not read back as what was meant."""


class OutputExists(WriteError, FileExistsError):
    """The output is already there and overwriting was not asked for."""


class Cancelled(PlanishError):
    """The caller asked long work to stop; nothing was left half-written."""
