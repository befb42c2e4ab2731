"""Nights: a folder of slides in, flat slides and a report out, one process per slide."""
