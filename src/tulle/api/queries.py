"""What is read out of a request's query."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request


def number(request: Request, name: str, default: float, least: float, most: float) -> float:
    """Raises a refusal that names it."""
    text = request.query_params.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise HTTPException(400, f"{name} must be a number from {least:g} to {most:g}")
    return value
