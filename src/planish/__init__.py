"""planish: one sharp slide out of a z-stacked one."""
__version__ = "0.1.0.dev0"
