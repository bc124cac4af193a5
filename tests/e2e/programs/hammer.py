"""Calls URL without pause until the file STOP is there: GET and POST, by one connection for all and by one for each.

Then says in JSON how many calls were answered, and what became of the others. It knows nothing of tulle.
"""

import json
import sys
import threading
from pathlib import Path

import requests

URL, STOP, RUNS = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
failed = []
answered = [0]


def hammer(method, kept):
    session = requests.Session() if kept else requests
    while not STOP.exists():
        try:
            answer = session.request(method, URL, timeout=30)
            if answer.status_code == 200:
                answered[0] += 1
            else:
                failed.append(f"{method} {answer.status_code} {answer.text[:200]}")
        except Exception as error:
            failed.append(f"{method} {error!r}")
        if answered[0] > 50:
            RUNS.touch()


threads = [threading.Thread(target=hammer, args=(m, kept)) for m in ("GET", "POST") for kept in (True, False)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"answered": answered[0], "failed": failed}), flush=True)
