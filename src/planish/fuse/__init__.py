"""COMPOSE: a flat slide out of a z-stack and a plane map."""
