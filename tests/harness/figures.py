"""What a suite has to say in numbers: told at the end of the run, progress at once."""

import sys

import pytest

KEY = "figures"


class Figures:
    """The figures of one test.

    They travel with its report, because the processes of a parallel run have no standard output.

    Args:
        node: the test.
        capsys: what holds back its output.
    """

    def __init__(self, node: pytest.Item, capsys: pytest.CaptureFixture[str]) -> None:
        self.node = node
        self.capsys = capsys

    def say(self, text: str) -> None:
        """A line for the end of the run."""
        self.node.user_properties.append((KEY, text))

    def progress(self, text: str) -> None:
        """A line for whoever waits, at once."""
        with self.capsys.disabled():
            print(f"\n{text}", file=sys.stderr, flush=True)  # noqa: T201 - for whoever waits


def summarize(reporter: pytest.TerminalReporter) -> None:
    """Print the figures of all tests that ran, whatever became of them."""
    reports = (report for reports in reporter.stats.values() for report in reports)
    lines = [
        text
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, text in report.user_properties
        if name == KEY
    ]
    if lines:
        reporter.section(KEY)
    for line in lines:
        reporter.line(str(line))
