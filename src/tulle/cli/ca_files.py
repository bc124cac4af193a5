"""The options by which a certificate authority is brought along, to `tulle up` and to `tulle ca rotate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tulle.cli.exits import Mistakes
from tulle.config import CaFiles

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)
_CHAIN = "cert-chain.pem"
# As a command gets them.
NAMES = ("ca_cert", "ca_key", "ca_root", "ca_chain", "ca_dir")


def ca_files(command: F) -> F:
    """Adds the options; `given` makes one value of them."""
    for name, kind, metavar, text in reversed(
        (
            ("--ca-cert", _PATH, "FILE", "The certificate of an authority that is brought along, in PEM."),
            ("--ca-key", _PATH, "FILE", "Its private key in PEM, which nobody else may read."),
            ("--ca-root", _PATH, "FILE", "The root that it leads to."),
            ("--ca-chain", _PATH, "FILE", "The certificates between the two, if there are any."),
            (
                "--ca-dir",
                _PATH,
                "FOLDER",
                "A folder with all of them, named as Istio does: ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem.",
            ),
        )
    ):
        command = click.option(name, type=kind, metavar=metavar, help=text)(command)
    return command


def given(
    ca_cert: Path | None, ca_key: Path | None, ca_root: Path | None, ca_chain: Path | None, ca_dir: Path | None
) -> CaFiles | None:
    """None if nothing is brought along. Raises Mistakes."""
    files = {"--ca-cert": ca_cert, "--ca-key": ca_key, "--ca-root": ca_root, "--ca-chain": ca_chain}
    named = [name for name, path in files.items() if path]
    if ca_dir:
        if named:
            raise Mistakes([f"--ca-dir names all files: leave out {', '.join(named)}"])
        return _in_folder(ca_dir)
    if not named:
        return None
    if ca_cert is None or ca_key is None or ca_root is None:
        missing = [name for name in ("--ca-cert", "--ca-key", "--ca-root") if not files[name]]
        raise Mistakes([f"an authority needs its certificate, its key and its root: give {', '.join(missing)} as well"])
    return CaFiles(ca_cert, ca_key, ca_root, ca_chain)


def _in_folder(folder: Path) -> CaFiles:
    cert, key, root = files = [folder / name for name in ("ca-cert.pem", "ca-key.pem", "root-cert.pem")]
    if missing := [str(path) for path in files if not path.is_file()]:
        raise Mistakes([f"--ca-dir {folder}: there is no {path}" for path in missing])
    chain = folder / _CHAIN
    return CaFiles(cert, key, root, chain if chain.is_file() else None)
