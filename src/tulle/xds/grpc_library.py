"""gRPC, told to be quiet before it is loaded.

Its C core writes a line to stderr for every connection that is no proper TLS, which any port scanner can cause. Whoever
wants to see those sets GRPC_VERBOSITY.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

grpc: Any = import_module("grpc")
aio: Any = import_module("grpc.aio")
