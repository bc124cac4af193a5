"""How `tulle run` hands a join token to the agent that it becomes: by a pipe, so that no command line, environment or file
ever shows it, and no child of the agent inherits it.
"""

from __future__ import annotations

import os

from tulle.model.join_token import MAX_SIZE, JoinToken, decode


def handed(token: str) -> int:
    """Puts a token into a pipe, whose reading end outlives the coming exec; its descriptor."""
    reading, writing = os.pipe()
    os.write(writing, token.encode())  # far less than a pipe holds
    os.close(writing)
    os.set_inheritable(reading, True)
    return reading


def taken(descriptor: int | None) -> JoinToken | None:
    """Reads what was handed over, and closes the pipe. Raises NoJoinToken."""
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as pipe:
        return decode(pipe.read(MAX_SIZE + 1).decode("ascii", "replace"))
