"""A program that listens on nothing; the test calls in its name."""

import signal

signal.pause()
