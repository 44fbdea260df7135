# Generated from _async/tools.py by generate_sync.py; edit that instead.
"""Tools with which a model manages a task in a conversation: it proposes, a person confirms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assent_client._sync.client import Assent
from assent_client._sync.sessions import Session
from assent_client._sync.tasks import Task
from assent_client.errors import ApiError
from assent_client.proposals import TOOLS, Proposal, as_definition
from assent_client.shown import TaskInfo

NO_TASK = "No task found"


class TaskTools:
    """The task that a conversation is about, for a model.

    The task is the one of the newest message in the scope that is linked to one (the hint). None
    of the tools decides: the agent's key cannot, and `propose_action` only says what the agent
    would do. `confirm` is for your own code, after a person has said yes, and takes a client
    whose key has the scope `decide`.

    Args:
        session: the conversation.
        scope: the topic in it.
    """

    def __init__(self, session: Session, *, scope: str = "") -> None:
        self._session = session
        self._scope = scope

    def get_task_info(self) -> str:
        """Title, status, available actions and draft, in four lines."""
        task = self._session.last_task(self._scope)
        return NO_TASK if task is None else (task.info()).as_text()

    def update_draft(self, draft: Any) -> str:
        """Save new work in progress."""
        task = self._session.last_task(self._scope)
        if task is None:
            return NO_TASK
        task.update_draft(draft)
        return "The draft is saved."

    def propose_action(self, action: str, comment: str = "") -> str:
        """Say what the agent would do, for a person to confirm."""
        found = self._found()
        if found is None:
            return NO_TASK
        task, info = found
        if not info.is_pending:
            return f"Nothing to propose: the task is {info.status}."
        if action not in info.available_actions:
            return f"Not offered. Available Actions: {', '.join(info.available_actions)}"
        proposal = Proposal(task.id, action, comment, info.revision)
        task.update_metadata(proposal=proposal.as_json())
        said = f": {comment}" if comment else "."
        task.comment(f"The agent proposes “{action}”{said}")
        return f"Proposed “{action}”. It is done only when a person confirms it."

    def proposal(self) -> Proposal | None:
        """What was proposed last for the pending task; None where nothing was."""
        found = self._found()
        if found is None or not found[1].is_pending:
            return None
        return Proposal.read(found[0].id, found[1].metadata.get("proposal"))

    def confirm(self, decider: Assent, *, on_behalf_of: str | None = None) -> TaskInfo:
        """Do what was proposed, after a person has said yes.

        Args:
            decider: a client whose key has the scope `decide`; never the agent's own.
            on_behalf_of: who said yes, recorded as claimed.

        Raises:
            LookupError: nothing is proposed.
            StaleRevision: what is decided on has changed since the proposal.
        """
        found = self.proposal()
        if found is None:
            raise LookupError("Nothing is proposed.")
        return decider.task(found.task).perform(
            found.action,
            found.comment or None,
            revision=found.revision,
            on_behalf_of=on_behalf_of,
        )

    def definitions(self, format: str = "openai") -> list[dict[str, Any]]:
        """The tools as a model's API takes them.

        Args:
            format: openai, anthropic or mcp.
        """
        return [as_definition(tool, format) for tool in TOOLS]

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Do what a model asks for; a refusal comes back as text, for the model to read."""
        try:
            if name == "get_task_info":
                return self.get_task_info()
            if name == "update_draft":
                return self.update_draft(arguments["draft"])
            if name == "propose_action":
                return self.propose_action(
                    str(arguments["action"]), str(arguments.get("comment") or "")
                )
        except ApiError as refused:
            return f"Refused: {refused.detail}"
        except KeyError as missing:
            return f"Missing argument: {missing}."
        return f"There is no tool {name!r}."

    def _found(self) -> tuple[Task, TaskInfo] | None:
        task = self._session.last_task(self._scope)
        return None if task is None else (task, task.info())
