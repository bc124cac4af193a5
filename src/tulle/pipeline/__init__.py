"""The control plane as functions of values: what each connected proxy should hold. START at hub.py.

It does no I/O: snapshots and requests go in, sessions with something to send come out.
"""
