"""Where the README's figures come from. START at `__main__.py`; each figure is a module with `run(quick) -> list[Figure]`."""
