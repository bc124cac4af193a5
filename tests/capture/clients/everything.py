"""Runs the programs of this folder, one after the other, and passes on what they print, {"section": PROGRAM} before each."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAMS = ("http_clients", "grpc_clients", "tcp_clients", "other_programs", "processes", "worker_pools", "sockets")
SECONDS = 180


def main():
    chosen = sys.argv[1:] or (*PROGRAMS, "streams", "names")
    for name in chosen:
        print(json.dumps({"section": name}), flush=True)
        file = Path(__file__).with_name(f"{name}.py")
        try:
            done = subprocess.run([sys.executable, str(file)], timeout=SECONDS, stderr=subprocess.PIPE)
            said = done.stderr.decode(errors="replace")
        except subprocess.TimeoutExpired as error:
            said = f"no end within {SECONDS} s: {error.stderr}"
        if said:
            print(json.dumps({"stderr": f"{name}: {said}"}), flush=True)


main()
