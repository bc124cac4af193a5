"""The repository as a newcomer and pip find it: locks that pin everything, scripts that run, links that lead somewhere.

What the scripts do is left to those who run them, which includes every run of these tests; see also test_install.py.
"""

import os
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ["runtime", "checkout", "dev"]
SCRIPTS = ["scripts/install", "scripts/demo", "scripts/check", "scripts/test", "scripts/bench", ".ci/run"]
PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_is_one_version_with_hashes(lock: str) -> None:
    for requirement, hashes in read_lock(lock).items():
        assert re.fullmatch(r"==[0-9a-z.+]+", str(requirement.specifier)), requirement
        assert hashes, f"{requirement} has no hash"


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_says_where_the_packages_came_from(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert not re.search(r"://|--index-url|--find-links|@\s", text)


@pytest.mark.parametrize("lock", LOCKS)
def test_what_pyproject_asks_for_is_what_the_lock_pins(lock: str) -> None:
    pins = {canonicalize_name(pin.name): pin.specifier for pin in read_lock(lock)}
    for wish in wishes(lock):
        pin = str(pins[canonicalize_name(wish.name)]).removeprefix("==")
        assert wish.specifier.contains(pin), f"{wish} is locked to {pin}"


def test_the_locks_agree_with_each_other() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for pin in read_lock(lock):
            versions.setdefault(pin.name, set()).add(str(pin.specifier))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_executable_and_parses(script: str) -> None:
    assert (ROOT / script).stat().st_mode & 0o111 == 0o111
    subprocess.run(["bash", "-n", ROOT / script], check=True)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_on_the_front_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    assert missing(link_targets(text), ROOT) == []
    if page != "CHANGELOG.md":  # which may speak of what is gone
        assert missing(mentioned_paths(text), ROOT) == []


def test_links_in_the_guides_lead_somewhere() -> None:
    for page in files("docs/*.md"):
        assert missing(link_targets(page.read_text()), page.parent) == [], page


def test_no_file_names_a_place_that_only_its_author_has() -> None:
    folders = "|".join(["work", "root", "farm"])
    hosts = "|".join(re.escape(f"{name}.org") for name in ["pypi", "files.pythonhosted", "registry.npmjs"])
    private = re.compile(rf"(?<![\w.-])/(?:{folders})/|[.][.]/shared|{hosts}")
    found = []
    for path in files():
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in private.finditer(text)]
    assert found == []


@cache
def read_lock(lock: str) -> dict[Requirement, list[str]]:
    """Each requirement of `requirements/<lock>.txt` with its hashes."""
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text().replace("\\\n", " ").splitlines()
    entries = [line.split("--hash=") for line in lines if line.strip() and not line.strip().startswith("#")]
    return {Requirement(entry[0].strip()): entry[1:] for entry in entries}


def wishes(lock: str) -> list[Requirement]:
    """What pyproject.toml asks for under this name: the package's own dependencies or a dependency group."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = pyproject["project"]["dependencies"] if lock == "runtime" else pyproject["dependency-groups"][lock]
    return [Requirement(line) for line in asked if isinstance(line, str)]


def missing(targets: list[str], folder: Path) -> list[str]:
    """Those that are neither a file of the repository nor a folder with one: git keeps no empty folders."""
    known = {known for path in files() for known in (path, *path.parents)}
    return [target for target in targets if Path(os.path.normpath(folder / target)) not in known]


def link_targets(text: str) -> list[str]:
    """The targets of Markdown links that are relative, without their anchors."""
    targets: list[str] = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    return [target for target in targets if "://" not in target]


def mentioned_paths(text: str) -> list[str]:
    """Paths below the repository's folders, in running text and in code; `<placeholders>` end a path."""
    return re.findall(r"(?<![\w./-])(?:(?:scripts|requirements|src|tests|docs|demo|bench|\.ci)/[\w./-]*\w)", text)


def files(*patterns: str) -> list[Path]:
    """The files in git, and those that are about to be; git may think that the checkout belongs to someone else."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    listed = subprocess.run([*command, *patterns], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
