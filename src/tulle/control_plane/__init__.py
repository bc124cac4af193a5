"""The running control plane: opens everything, then one TaskGroup with a task per edge. START at running.py."""

from tulle.control_plane.running import main

__all__ = ["main"]
