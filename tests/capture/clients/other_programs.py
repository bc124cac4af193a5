"""Programs that are not Python's."""

import os
import subprocess

from trying import SETTINGS, URL, Untried, command, from_b, run

FETCH = f"fetch('{URL}').then(r => r.text()).then(console.log)"
HTTP = f"require('http').get('{URL}', r => r.pipe(process.stdout))"
# c-ares asks the nameservers of resolv.conf by itself.
RESOLVE = """
require('dns').resolve4('service-b', (error, addresses) => {
  if (error) throw error
  const socket = require('net').connect(80, addresses[0])
  socket.write('GET /data HTTP/1.1\\r\\nHost: service-b\\r\\nConnection: close\\r\\n\\r\\n')
  let answer = ''
  socket.on('data', data => answer += data)
  socket.on('end', () => console.log(answer.split('\\r\\n\\r\\n')[1]))
})
"""


def with_a_static_binary():
    if (binary := SETTINGS["static"]) is None:
        raise Untried("there is neither gcc nor a static busybox")
    from_b(command(*binary))


def with_a_binary_of_musl():
    if (binary := SETTINGS["musl"]) is None:
        raise Untried("there is no musl-gcc")
    from_b(command(*binary))


def with_a_pipeline():
    script = f"set -o pipefail; curl -fsS {URL} | tr ',' '\\n' | sort"
    if b'"instance": "b-80"' not in command("bash", "-c", script).strip():
        raise AssertionError("another answer")


def with_an_empty_environment():
    command("curl", "--version")
    done = subprocess.run(["curl", "-fsS", URL], capture_output=True, check=True, env={"PATH": os.environ["PATH"]})
    from_b(done.stdout)


run(
    {
        "curl": lambda: from_b(command("curl", "-fsS", "-m", "30", URL)),
        "wget": lambda: from_b(command("wget", "-qO-", URL)),
        "Node `fetch`": lambda: from_b(command("node", "-e", FETCH)),
        "Node `http.get`": lambda: from_b(command("node", "-e", HTTP)),
        "Node `dns.resolve4` (c-ares) and a socket": lambda: from_b(command("node", "-e", RESOLVE)),
        "a static glibc binary": with_a_static_binary,
        "a static musl binary": with_a_binary_of_musl,
        "a shell pipeline": with_a_pipeline,
        "a command with an empty environment": with_an_empty_environment,
    }
)
