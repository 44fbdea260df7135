"""One row of each kind in a workspace, and every address of the back office that leads to one."""

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver

from accounts_app.models import Group, Membership
from accounts_app.scoping import system_actor
from accounts_app.services.agents import put_agent
from accounts_app.services.api_keys import create_api_key
from guard_app.models import Incident, Replay
from guard_app.services.rules import RuleValues, put_rule
from integrations_app.services.catalogue import (
    IntegrationValues,
    OperationValues,
    put_integration,
    put_operation,
)
from integrations_app.services.sessions import open_run, open_session
from integrations_app.services.webhooks import WebhookValues, ping, put_webhook
from tasks_app.models import UserTask
from tasks_app.services.calls import request_call
from tests.conftest import Cast

OURS = ("accounts_app", "integrations_app", "guard_app", "tasks_app")
# What people see who have signed in, whatever their role: the library's pages, and the site's own.
OPEN = {"index", "jsi18n", "logout", "login", "search"}


@dataclass(frozen=True)
class Rows:
    """One row of each kind, as addresses name them."""

    names: dict[str, dict[str, Any]]


def rows_of(cast: Cast, workspace: Any, member: str, *, mark: str = "", title: str = "") -> Rows:
    """Make one row of each kind in a workspace.

    Args:
        cast: who is there.
        workspace: where.
        member: the member whose pages are walked.
        mark: ends every slug; without one the slugs are those of any other workspace.
        title: ends every name that people read.
    """
    agent_slug, integration_slug, slug = f"a{mark}", f"i{mark}", f"o{mark}"
    webhook_slug, rule_slug = f"w{mark}", f"r{mark}"
    system = system_actor(workspace.pk)
    agent, _ = put_agent(system, slug=agent_slug, name=f"A{title}", tasks_enabled=True)
    values = IntegrationValues(name=f"I{title}", kind="http", base_url="https://service.example")
    integration, _ = put_integration(system, integration_slug, values)
    operation, _ = put_operation(
        system,
        integration,
        slug,
        OperationValues(
            name=f"O{title}", effect="once", method="POST", path="/o", requires_approval=True
        ),
    )
    session, _ = open_session(system, agent=agent)
    run, _ = open_run(system, session=session)
    call, _ = request_call(system, run=run, operation=operation, arguments={})
    webhook = put_webhook(
        system, webhook_slug, WebhookValues(f"https://receiver.example/{title}", ("task.created",))
    ).webhook
    delivery = ping(system, webhook)
    key, _ = create_api_key(system, name="k", scopes=["read"])
    group = Group.objects.create(workspace=workspace, name="G", created_at=dt.datetime.now(dt.UTC))
    now = dt.datetime.now(dt.UTC)
    rule_values = RuleValues(
        name=f"R{title}",
        detector="call_count",
        effect="alert",
        parameters={"scope": "run", "limit": 9},
    )
    rule, _ = put_rule(system, rule_slug, rule_values)
    incident = Incident.objects.create(
        workspace=workspace,
        created_at=now,
        rule=rule,
        agent=agent,
        operation=operation,
        severity="low",
        first_seen_at=now,
        last_seen_at=now,
    )
    replay = Replay.objects.create(
        workspace=workspace, created_at=now, name="P", since=now, until=now
    )
    person = Membership.objects.get(workspace=workspace, user__username=member)
    task = UserTask.objects.get(tool_call=call)
    of_integration = {"slug": integration_slug}
    of_operation = {"integration": integration_slug, "slug": slug}
    return Rows(
        {
            "agent": {"slug": agent_slug},
            **{
                f"agent_{act}": {"slug": agent_slug}
                for act in ("switch", "pause", "resume", "freeze", "thaw")
            },
            "integration": of_integration,
            "integration_test": of_integration,
            "integration_import": of_integration,
            "operation": of_operation,
            "operation_add": {"integration": integration_slug},
            "operation_preview": {"integration": integration_slug},
            "operation_rehearse": of_operation,
            "operation_try": of_operation,
            "operation_tried": {**of_operation, "pk": call.pk},
            "webhook": {"slug": webhook_slug},
            "webhook_rotate": {"slug": webhook_slug},
            "webhook_ping": {"slug": webhook_slug},
            "webhook_redeliver": {"slug": webhook_slug, "pk": delivery.pk},
            "member": {"pk": person.pk},
            "member_deactivate": {"pk": person.pk},
            "member_reactivate": {"pk": person.pk},
            "group": {"pk": group.pk},
            "api_key_revoke": {"pk": key.pk},
            "guard_rule": {"slug": rule_slug},
            "guard_replay": {"pk": replay.pk},
            "guard_replay_calls": {"pk": replay.pk, "number": "hits"},
            "guard_replay_start": {"slug": rule_slug},
            "incident": {"pk": incident.pk},
            "incident_act": {"pk": incident.pk, "act": "acknowledge"},
            "incident_contain": {"pk": incident.pk, "act": "require-approval"},
            "run": {"pk": run.pk},
            "call": {"pk": call.pk},
            "session": {"pk": session.pk},
            "session_terminate": {"pk": session.pk},
            "session_complete": {"pk": session.pk},
            **{name: {"pk": task.pk} for name in names("admin/review/tasks/<uuid:pk>/")},
        }
    )


def walk(patterns: Any, before: str = "") -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, before + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield before + str(pattern.pattern), pattern.name or ""


def names(below: str = "admin/") -> list[str]:
    """The names of the back office's own pages, less the model pages."""
    found = {
        name
        for path, name in walk(get_resolver().url_patterns)
        if path.startswith(below) and name and not name.startswith(OURS) and name != "app_list"
    }
    return sorted(found - OPEN)


def fingerprint() -> str:
    """Everything that the product keeps, in one hash."""
    digest = hashlib.sha256()
    for model in apps.get_models():
        if model._meta.app_label in OURS:
            for row in model._default_manager.order_by("pk").values_list():
                digest.update(repr((model.__name__, row)).encode())
    return digest.hexdigest()


def model_pages() -> Iterator[tuple[str, Any]]:
    for model, page in admin.site._registry.items():
        yield f"admin:{model._meta.app_label}_{model._meta.model_name}", page


def workspace_path(page: Any) -> str:
    return str(getattr(page, "workspace_path", "workspace_id"))
