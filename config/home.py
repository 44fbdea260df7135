"""The folder of an embedded installation, and the secrets that are made up in it.

Without secrets in the environment, they are generated once into a file that only its owner can
read, so that a server and a command run by hand on the same folder agree.
"""

import json
import os
import secrets
import socket
from pathlib import Path

from cryptography.fernet import Fernet

LOOPBACK = "127.0.0.1"
DEMO_PAYMENTS_PORT = 8790
PORT_FILE = "demo_payments.port"
SECRETS_FILE = "secrets.json"
NOTICE_FILE = "demo.txt"
SECRET_NAMES = ("SECRET_KEY", "ASSENT_ENCRYPTION_KEYS")


class HomeError(Exception):
    """The folder cannot be used as it is; the text is a sentence for its owner."""


def ensure_home(home: Path) -> None:
    """Make the folder, and put its secrets into the environment where that lacks them.

    Several processes may do this at the same time on a new folder: all get the same secrets.

    Args:
        home: ASSENT_HOME; made for its owner alone where it is missing.

    Raises:
        HomeError: the folder cannot be made or written, its secrets cannot be read, or they are
            gone although data is there that was encrypted with them.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        missing = [name for name in SECRET_NAMES if not os.environ.get(name)]
        if not missing:
            return
        known = load_home_secrets(home) or _generate(home)
    except OSError as error:
        raise HomeError(f"{home} cannot be used as ASSENT_HOME: {error.strerror}.") from error
    for name in missing:
        os.environ[name] = known[name]


def load_home_secrets(home: Path) -> dict[str, str]:
    """Read the secrets of a folder.

    Args:
        home: ASSENT_HOME.

    Returns:
        SECRET_KEY and ASSENT_ENCRYPTION_KEYS (Fernet keys separated by commas, newest first);
        empty where none were generated.

    Raises:
        HomeError: the file is there, but is not what was written.
        OSError: the file is there and cannot be read.
    """
    path = home / SECRETS_FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise HomeError(f"{path} is damaged; restore it from a backup.") from error
    if not isinstance(known, dict) or not all(
        isinstance(known.get(name), str) and known[name] for name in SECRET_NAMES
    ):
        raise HomeError(f"{path} lacks one of {', '.join(SECRET_NAMES)}; restore it from a backup.")
    return {name: known[name] for name in SECRET_NAMES}


def demo_payments_port(home: Path) -> int:
    """The port of the demo's payments service, the same at every start.

    ASSENT_DEMO_PAYMENTS_PORT where it is set; else the one chosen at the first start, which is
    8790, or, where another process has that, any that is free.

    Args:
        home: ASSENT_HOME, where the choice is kept.

    Raises:
        HomeError: the variable or the file holds no port.
        OSError: the choice cannot be read or written.
    """
    path = home / PORT_FILE
    text = os.environ.get("ASSENT_DEMO_PAYMENTS_PORT", "")
    if not text:
        if not path.exists():
            write_once(path, f"{_free_port(DEMO_PAYMENTS_PORT)}\n")
        text = path.read_text(encoding="ascii").strip()
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        raise HomeError(f"The port of the demo's payments service is no port: {text!r}.")
    return int(text)


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: connections that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _free_port(wanted: int) -> int:
    if port_is_free(LOOPBACK, wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _generate(home: Path) -> dict[str, str]:
    database = home / "assent.sqlite3"
    if database.exists() and not os.environ.get("ASSENT_ENCRYPTION_KEYS"):
        raise HomeError(
            f"{database} is there, but {home / SECRETS_FILE} is not: restore it, or set "
            "ASSENT_ENCRYPTION_KEYS. New keys could not read what is encrypted in the database."
        )
    made = {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ASSENT_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    }
    write_once(home / SECRETS_FILE, json.dumps(made, indent=1) + "\n")
    return load_home_secrets(home)


def write_once(path: Path, text: str) -> None:
    """Write a file for its owner alone, whole or not at all, unless it is there already.

    Raises:
        OSError: it cannot be written.
    """
    if path.exists():
        return
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces what another process wrote meanwhile.
        os.link(unfinished, path)
    except FileExistsError:
        return
    finally:
        unfinished.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_notice(home: Path, text: str) -> None:
    """Keep what the demo's first start made up, for its owner alone, to be said at every start.

    Args:
        home: ASSENT_HOME.
        text: users, password and key of the demo.
    """
    path = home / NOTICE_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def read_notice(home: Path) -> str:
    """What `write_notice` kept; empty where there is none."""
    path = home / NOTICE_FILE
    return path.read_text(encoding="utf-8") if path.exists() else ""
