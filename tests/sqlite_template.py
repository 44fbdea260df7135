"""A migrated embedded database, kept between runs: each test process copies it.

Migrating takes longer than most test modules. The copy is good for the migrations and the locked
packages that it was made with; any change of them makes a new one. The migrations themselves run
on it whenever they changed, and always on a fresh machine.
"""

import hashlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent


def version() -> str:
    """Of the present migrations, and the locked packages that have some."""
    digest = hashlib.sha256((PROJECT / "requirements-dev.lock").read_bytes())
    for file in sorted(PROJECT.glob("*_app/migrations/*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:32]


def path_of() -> Path:
    """Where the database for the present migrations is kept."""
    folder = Path(tempfile.gettempdir()) / f"assent-test-templates-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{version()}.sqlite3"


def put_in_place(database: dict[str, Any]) -> bool:
    """Copy the kept database to where the tests want theirs; False where there is none.

    Args:
        database: the settings of the database, with the name of its test database.
    """
    if not database["ENGINE"].endswith("sqlite3") or not path_of().exists():
        return False
    shutil.copyfile(path_of(), database["TEST"]["NAME"])
    return True


def furnish(home: Path) -> None:
    """Put the kept database, where there is one, into a home that has none; nothing is migrated
    there when the product starts. That it can begin with nothing is `tests/config`'s to show."""
    target = home / "assent.sqlite3"
    if path_of().exists() and not target.exists():
        shutil.copyfile(path_of(), target)
        target.chmod(0o600)


def keep(database: dict[str, Any]) -> None:
    """Keep the migrated database, before any test has written into it."""
    if not database["ENGINE"].endswith("sqlite3") or path_of().exists():
        return
    unfinished = path_of().with_suffix(f".{os.getpid()}")
    source, target = sqlite3.connect(database["TEST"]["NAME"]), sqlite3.connect(unfinished)
    with target:
        source.backup(target)
    source.close()
    target.close()
    unfinished.rename(path_of())
