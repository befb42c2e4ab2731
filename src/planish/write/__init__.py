"""WRITE: a one-plane slide into a file that opens everywhere."""
