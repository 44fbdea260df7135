"""The product's settings, with throwaway secrets; DATABASE_URL chooses the database."""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("SECRET_KEY", "only-for-tests-and-long-enough-to-be-accepted-as-one")
os.environ.setdefault("ASSENT_ENCRYPTION_KEYS", "Zm9yLXRlc3RzLW9ubHktMzItYnl0ZXMtbG9uZy4uLi4=")
os.environ.setdefault("ASSENT_NUDGE", "off")

from config.database import SQLITE_OPTIONS
from config.settings import *  # noqa: F403

ASSENT_TEST_CLOCK = True
MIDDLEWARE = [
    {"whitenoise.middleware.WhiteNoiseMiddleware": "tests.found_once.FoundOnce"}.get(name, name)
    for name in MIDDLEWARE  # noqa: F405
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # Power loss is not tested here, and waiting for the disk is most of a test's time.
    DATABASES["default"]["OPTIONS"] = {  # noqa: F405
        **SQLITE_OPTIONS,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=OFF;PRAGMA foreign_keys=ON;",
    }
    # Threads see one another only in a file.
    _folder = tempfile.mkdtemp(prefix="assent-tests-")
    _owner = os.getpid()

    def _remove_folder() -> None:
        # A process that was forked off must not take the database away.
        if os.getpid() == _owner:
            shutil.rmtree(_folder, ignore_errors=True)

    atexit.register(_remove_folder)
    DATABASES["default"]["TEST"] = {  # noqa: F405
        "NAME": os.path.join(_folder, "test.sqlite3")
    }
else:
    DATABASES["default"]["OPTIONS"]["options"] += " -c synchronous_commit=off"  # noqa: F405
