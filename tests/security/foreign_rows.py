"""Another workspace's rows of every kind, each of their texts marked, so that a leak shows."""

import datetime as dt
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import CharField, Model, TextField
from django.utils import timezone

from accounts_app.models import Group, Membership, Workspace
from guard_app.models import Detection, GuardRule, Incident
from integrations_app.models import Attempt, Clearance, Run, ToolCall
from tasks_app.models import Comment, Decision, DraftRevision, Message, Reviewer, UserTask, Vote
from tests.backoffice.rows import OURS, Rows, rows_of, workspace_path
from tests.conftest import Cast

MARK = "qzxforeign"
"""Stands in every text of the other workspace; letters that no id is written in."""

HALF = MARK[:-4]
"""Finds the mark where somebody searches for it, and is not itself the mark where it is echoed."""

TEXTS = {
    "base_url",
    "comment",
    "description",
    "detail",
    "email",
    "end_reason",
    "error",
    "explanation",
    "first_name",
    "key",
    "last_name",
    "name",
    "participant",
    "path",
    "question",
    "reason",
    "scope",
    "seen",
    "slug",
    "target_name",
    "text",
    "title",
    "url",
    "username",
    "usual",
    "voter",
}


def foreign_rows(cast: Cast) -> Rows:
    """Fill the other workspace, and mark it."""
    rows = rows_of(cast, cast.other, "cora")
    _more(cast.other)
    _mark(cast.other)
    slug = MARK
    known = {
        page: {
            name: slug if name in ("slug", "integration") else value for name, value in keys.items()
        }
        for page, keys in rows.names.items()
    }
    return Rows(known)


def _more(workspace: Workspace) -> None:
    """Rows of the kinds that come only of long stories."""
    task = UserTask.objects.filter(workspace=workspace).get()
    call = ToolCall.objects.get(pk=task.tool_call_id)
    run = Run.objects.get(pk=call.run_id)
    incident = Incident.objects.get(workspace=workspace)
    now = timezone.now()
    base: dict[str, Any] = {"workspace": workspace, "created_at": now}
    decision = Decision.objects.create(
        **base, task=task, act="decided", action="approve", revision=1, decided_by={}, channel="api"
    )
    Vote.objects.create(
        **base, task=task, voter="v", by={}, action="approve", revision=1, channel="api"
    )
    Comment.objects.create(
        **base, task=task, type="comment", text="t", by={}, channel="api", revision=1
    )
    DraftRevision.objects.create(
        **base, task=task, revision=1, draft={}, sealed=None, by={}, channel="api"
    )
    Message.objects.create(**base, session=run.session, run=run, role="user", text="t", by={})
    Reviewer.objects.create(
        **base, task=task, group=Group.objects.get(workspace=workspace), level=0
    )
    Attempt.objects.create(call=call, fence=1, claimed_at=now)
    Clearance.objects.create(**base, call=call, digest=call.request_digest, decision_id=decision.pk)
    Detection.objects.create(
        **base,
        rule=GuardRule.objects.get(workspace=workspace),
        rule_version=1,
        tool_call=call,
        agent=call.agent,
        incident=incident,
        effect="alert",
        shadow=False,
        decided=True,
        explanation="e",
    )
    # The task that is asked about was opened an hour ago, so that lists have something to order.
    UserTask.objects.filter(pk=task.pk).update(created_at=now - dt.timedelta(hours=1))


def _mark(workspace: Workspace) -> None:
    for model in apps.get_models():
        if model._meta.app_label not in OURS:
            continue
        rows = of_workspace(model, workspace)
        for field in model._meta.concrete_fields:
            is_text = isinstance(field, CharField | TextField) and not field.choices
            if rows is not None and is_text and field.name in TEXTS:
                text = {"base_url": f"https://{MARK}.example", "url": f"https://{MARK}.example"}
                rows.update(**{field.name: text.get(field.name, MARK)})
    members = Membership.objects.filter(workspace=workspace).values("user")
    users = apps.get_model("accounts_app", "User").objects.filter(pk__in=members)
    users.update(username=MARK, email=f"{MARK}@example.com", first_name=MARK, last_name=MARK)


def of_workspace(model: type[Model], workspace: Workspace) -> Any:
    """The rows of a workspace; None for a model that belongs to none."""
    names = {field.name for field in model._meta.concrete_fields}
    page = admin.site._registry.get(model)
    path = workspace_path(page) if page is not None else "workspace_id"
    if path == "workspace_id" and "workspace" not in names:
        return None
    return model._default_manager.filter(**{path: workspace.pk})
