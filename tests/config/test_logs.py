"""A log that cannot be written costs its lines and no work."""

import errno
import io
import subprocess
import sys
from pathlib import Path

from config.logs import Unfailing
from tests.harness.server import PROJECT

SAY = """
import django
django.setup()
import structlog, logging
structlog.get_logger("assent").error("said", number=1)
logging.getLogger("assent").error("said")
open({place!r}, "w").write("went on")
"""


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        self.write("")


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else() -> None:
    stream = Unfailing(Full())
    stream.write("a line")
    stream.flush()
    assert stream.lost == 2


def test_lines_are_written_where_they_can_be() -> None:
    told = io.StringIO()
    stream = Unfailing(told)
    stream.write("a line")
    stream.flush()
    assert (told.getvalue(), stream.lost) == ("a line", 0)


def test_work_goes_on_where_the_log_lies_on_a_full_disk(tmp_path: Path) -> None:
    place = tmp_path / "done"
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        subprocess.run(
            [sys.executable, "-c", SAY.format(place=str(place))],
            cwd=PROJECT,
            env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin:/bin"},
            stderr=full,
            check=False,
        )
    assert place.read_text(encoding="utf-8") == "went on"
