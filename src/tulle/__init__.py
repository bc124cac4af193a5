"""tulle: a service mesh for teams that write services in Python."""

__version__ = "0.1.0"
