"""What the shim does within a Python program. Standard library only, Python 3.8 and later; nothing of tulle itself is here.

`imports` waits for the program's own imports, `proxy` is for capture by proxy, all else passes the trace on: START at `trace.py`.
"""
