"""What is said in a run, written down; saying something never decides anything."""

from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit
from integrations_app.models import Run
from tasks_app.kinds import CheckedAnswer
from tasks_app.models import Message, UserTask
from tasks_app.states import MessageRole

register_verbs({"message.posted": "said something in the run"})


def say(
    unit: Unit,
    actor: Actor,
    run: Run,
    role: MessageRole,
    text: str,
    *,
    scope: str = "",
    task: UserTask | None = None,
) -> Message:
    """Write a message into a run, in the caller's transaction."""
    message = Message.objects.create(
        workspace_id=run.workspace_id,
        created_at=unit.now,
        session_id=run.session_id,
        run=run,
        role=role,
        text=text,
        scope=scope,
        task=task,
        by=actor.as_json(),
    )
    facts = {"role": role.value, "scope": scope, "task": str(task.pk) if task else None}
    unit.audit(actor, "message.posted", ("run", run.pk, str(run)), facts)
    unit.wake(run.pk)
    return message


def tell_asking_run(unit: Unit, actor: Actor, task: UserTask, checked: CheckedAnswer) -> None:
    """Let the answer to a sub-agent's question reach the run that asked."""
    if task.asking_run is None:
        return
    text = checked.value
    if checked.action.name != "answer":
        text = f"declined: {checked.comment}" if checked.comment else "declined"
    say(unit, actor, task.asking_run, MessageRole.USER, text, task=task)
