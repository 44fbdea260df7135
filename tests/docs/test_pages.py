"""Every block of code in the documentation runs, and prints what it says."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assent_client import Assent, Run, Session, Task, TaskTools
from tests.docs.pages import Other, Reader, blocks_of, demo_service, keys
from tests.harness.server import PROJECT, Server

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("server")]
DOCS = PROJECT / "docs"
ALL_PAGES = sorted(
    [PROJECT / "README.md", PROJECT / "client" / "README.md", *DOCS.rglob("*.md")],
)
PAGES = [
    page
    for page in ALL_PAGES
    if any(block.kind.split(" ")[0] in ("python", "sh") for block in blocks_of(page))
]
TABLE = DOCS / "coming-from-workflow-tasks.md"
ROW = re.compile(r"^\| (.+?) \| `([^`]+)` \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def environment(server: Server) -> dict[str, str]:
    return {**keys(server), **demo_service(server)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_the_code_of_a_page_runs(
    page: Path,
    server: Server,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Reader(server, page, tmp_path).read() > 0


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_no_block_of_a_page_is_only_to_look_at(page: Path) -> None:
    """Each is code that the test above runs, or what the code before it prints."""
    for block in blocks_of(page):
        runs = block.kind.split(" ")[0] in ("python", "sh")
        assert runs or (block.kind, block.note) == ("text", "prints"), f"{page}:{block.line}"


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in [PROJECT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(
            r"(?<!!)\[[^\]]*\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")
        ):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


class Prepared:
    """What the table's lines name."""

    def __init__(self, environment: dict[str, str]) -> None:
        url = environment["ASSENT_URL"]
        self.assent = Assent(url, environment["ASSENT_KEY"])
        self.decider = Assent(url, environment["ASSENT_DECIDE_KEY"])
        self.admin = Assent(url, environment["ASSENT_ADMIN_KEY"])
        self.admin.request("PUT", "integrations/shop", {"name": "Shop", "kind": "client"})
        order = {"name": "Order", "effect": "once", "requires_approval": True}
        self.admin.request("PUT", "integrations/shop/operations/order", order)

    def names(self) -> dict[str, Any]:
        session: Session = self.assent.open_session("support").open()
        run: Run = session.open_run().open()
        task: Task = run.tasks.start("Review order", draft="900 €")
        run.message("Please review it.", scope="hinted", task=task)
        other: Run = session.open_run().open()
        decided: Task = other.tasks.start("Review order", draft="900 €")
        self.decider.task(decided.id).perform("approve", "Verified", draft="800 €")
        return {
            "assent": self.assent,
            "decider": self.decider,
            "admin": self.admin,
            "session": session,
            "run": run,
            "task": task,
            "decided": decided,
            "timedelta": dt.timedelta,
            "TaskTools": TaskTools,
        }


def pending(task: Any) -> bool:
    return bool(task.info().is_pending)


def title(info: Any) -> bool:
    return bool(info.title == "Review order")


EXPECTED: dict[str, Callable[[Any], bool]] = {
    "`EnableTasks = true`": lambda agent: agent["tasks_enabled"] is True,
    "`CreateAndWaitAsync(request)`": lambda result: result.performed_action == "approve",
    "`StartTaskAsync(request)`": pending,
    "`GetResultAsync(handle)`": lambda result: result.completed,
    "`CreateAsync(request)`": lambda identity: isinstance(identity, str) and len(identity) == 36,
    "`taskHandle.Id`": lambda identity: isinstance(identity, str) and len(identity) == 36,
    "`request.Title`": lambda value: value == "Review order",
    "`request.TaskId`": lambda task: task.info().raw["key"] == "order-13",
    "`request.Description`": lambda task: task.info().description == "900 €",
    "`request.ParticipantId`": lambda task: task.info().participant == "zoe@example.com",
    "`request.DraftWork`": lambda task: task.draft() == "900 €",
    "`request.Actions`": lambda task: task.actions() == ["approve", "hold"],
    "no `Actions`": lambda value: value == ["approve", "reject"],
    "`request.Timeout`": lambda task: task.info().due_at is not None,
    "no `Timeout`": lambda value: value is None,
    "`request.SurviveParentClose`": lambda task: task.info().raw["survive_parent_close"] is True,
    "`HitlTask.FromWorkflowIdAsync(id)`": pending,
    "`task.GetInfoAsync()`": title,
    "`info.Title`": lambda value: value == "Review order",
    "`info.AvailableActions`": lambda value: value == ["approve", "reject"],
    "`info.CurrentDraft`": lambda value: value == "900 €",
    "`info.IsCompleted`": lambda value: value is False,
    "`info.PerformedAction`": lambda value: value is None,
    "`task.GetAvailableActionsAsync()`": lambda value: value == ["approve", "reject"],
    "`task.GetDraftAsync()`": lambda value: value == "900 €",
    "`task.UpdateDraftAsync(draft)`": lambda revision: revision == 2,
    "`task.PerformActionAsync(action, comment)`": lambda info: info.comment == "Verified",
    "`task.ApproveAsync(comment)`": lambda info: info.performed_action == "approve",
    "`task.RejectAsync(comment)`": lambda info: info.performed_action == "reject",
    "`result.TaskId`": lambda value: len(value) == 36,
    "`result.InitialWork`": lambda value: value == "900 €",
    "`result.FinalWork`": lambda value: value == "800 €",
    "`result.PerformedAction`": lambda value: value == "approve",
    "`result.Comment`": lambda value: value == "Verified",
    "`result.CompletedAt`": lambda value: isinstance(value, dt.datetime),
    "`result.TimedOut`": lambda value: value is False,
    "`result.Completed`": lambda value: value is True,
    "`SendChatAsWorkflowAsync(text, scope, hint)`": lambda said: said.task is not None,
    "`GetLastHintAsync()`": pending,
    "`GetTaskInfo` for a model": lambda text: text.startswith("Task: Review order\n"),
    "`PerformAction` for a model": lambda text: text.startswith("Proposed “approve”"),
    "pick one of a list": lambda task: task.actions() == ["select"],
    "enter a text": lambda task: task.info().kind == "text",
    "enter a number": lambda task: task.info().kind == "number",
    "a sub-agent's escalation": lambda task: task.info().api_completable is False,
    "require approval of an operation": lambda shown: shown["requires_approval"] is True,
    "a call that waits for approval": lambda call: call.info().status == "awaiting_approval",
    "the queue, pending or completed": lambda tasks: (
        [task.comment for task in tasks] == ["Verified"]
    ),
    "terminate the session": lambda nothing: nothing is None,
    "input sent to a run": lambda done: done["task"]["outcome"]["action"] == "approve",
}


@pytest.fixture(scope="module")
def prepared(environment: dict[str, str]) -> Prepared:
    return Prepared(environment)


def test_every_line_of_the_table_is_tested() -> None:
    found = ROW.findall(TABLE.read_text(encoding="utf-8"))
    assert [there for there, _ in found] == list(EXPECTED)


@pytest.mark.parametrize(
    ("there", "here"), ROW.findall(TABLE.read_text(encoding="utf-8")), ids=lambda text: text[:40]
)
def test_a_line_of_the_table_does_what_it_says(
    there: str, here: str, prepared: Prepared, server: Server
) -> None:
    names = prepared.names()
    other = Other(server, "person", "approve")
    if "create_and_wait" in here:
        other.start()
    try:
        assert EXPECTED[there](eval(here, names))
    finally:
        if other.is_alive():
            other.stop()
