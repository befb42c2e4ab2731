"""Synthetic specimens with known truth, and z-stack files written from them."""
