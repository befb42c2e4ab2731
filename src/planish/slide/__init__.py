"""OPEN: readers that turn files into `Slide`s."""
