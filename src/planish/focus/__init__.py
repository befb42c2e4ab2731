"""DECIDE: which plane is sharp where."""
