"""Every address of the back office by every role by own, foreign and absent rows.

An address that the table does not know fails here; so does a line of the table that no address
has any more.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

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
from tests.backoffice.every_address import ADDRESSES, PEOPLE
from tests.backoffice.people import signed_in
from tests.conftest import Cast

OURS = ("accounts_app", "integrations_app", "guard_app", "tasks_app")
READ = {"y": 200, "n": 403, "-": 404, "m": 405, "r": 302}
# What people see who have signed in, whatever their role: the library's pages, and the site's own.
OPEN = {"index", "jsi18n", "logout", "login", "search"}
BESIDE = re.compile(r"admin/|accounts/|api/v1/|healthz|readyz|metrics|favicon\.ico|$")


@dataclass(frozen=True)
class Rows:
    """One row of each kind, as addresses name them."""

    names: dict[str, dict[str, Any]]


def rows_of(cast: Cast, workspace: Any, member: str) -> Rows:
    """Make one row of each kind in a workspace."""
    system = system_actor(workspace.pk)
    agent, _ = put_agent(system, slug="a", name="A", tasks_enabled=True)
    values = IntegrationValues(name="I", kind="http", base_url="https://service.example")
    integration, _ = put_integration(system, "i", values)
    operation, _ = put_operation(
        system,
        integration,
        "o",
        OperationValues(name="O", effect="once", method="POST", path="/o", requires_approval=True),
    )
    session, _ = open_session(system, agent=agent)
    run, _ = open_run(system, session=session)
    call, _ = request_call(system, run=run, operation=operation, arguments={})
    webhook = put_webhook(
        system, "w", WebhookValues("https://receiver.example", ("task.created",))
    ).webhook
    delivery = ping(system, webhook)
    key, _ = create_api_key(system, name="k", scopes=["read"])
    group = Group.objects.create(workspace=workspace, name="G", created_at=dt.datetime.now(dt.UTC))
    now = dt.datetime.now(dt.UTC)
    rule_values = RuleValues(
        name="R", detector="call_count", effect="alert", parameters={"scope": "run", "limit": 9}
    )
    rule, _ = put_rule(system, "r", rule_values)
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
    of_operation = {"integration": "i", "slug": "o"}
    return Rows(
        {
            "agent": {"slug": "a"},
            **{
                f"agent_{act}": {"slug": "a"}
                for act in ("switch", "pause", "resume", "freeze", "thaw")
            },
            "integration": {"slug": "i"},
            "integration_test": {"slug": "i"},
            "integration_import": {"slug": "i"},
            "operation": of_operation,
            "operation_add": {"integration": "i"},
            "operation_preview": {"integration": "i"},
            "operation_rehearse": of_operation,
            "operation_try": of_operation,
            "operation_tried": {**of_operation, "pk": call.pk},
            "webhook": {"slug": "w"},
            "webhook_rotate": {"slug": "w"},
            "webhook_ping": {"slug": "w"},
            "webhook_redeliver": {"slug": "w", "pk": delivery.pk},
            "member": {"pk": person.pk},
            "member_deactivate": {"pk": person.pk},
            "member_reactivate": {"pk": person.pk},
            "group": {"pk": group.pk},
            "api_key_revoke": {"pk": key.pk},
            "guard_rule": {"slug": "r"},
            "guard_replay": {"pk": replay.pk},
            "guard_replay_start": {"slug": "r"},
            "incident": {"pk": incident.pk},
            "incident_act": {"pk": incident.pk, "act": "acknowledge"},
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


def address(name: str, known: dict[str, dict[str, Any]]) -> str:
    return reverse(f"admin:{name}", kwargs=known.get(name))


def absent(known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same, with ids that no row has."""
    return {page: {**keys, "pk": uuid4()} for page, keys in known.items()}


def fingerprint() -> str:
    """Everything that the product keeps, in one hash."""
    digest = hashlib.sha256()
    for model in apps.get_models():
        if model._meta.app_label in OURS:
            for row in model._default_manager.order_by("pk").values_list():
                digest.update(repr((model.__name__, row)).encode())
    return digest.hexdigest()


@pytest.fixture
def ours(cast: Cast) -> Rows:
    return rows_of(cast, cast.workspace, "abe")


@pytest.fixture
def theirs(cast: Cast, ours: Rows) -> Rows:
    return rows_of(cast, cast.other, "cora")


def test_the_table_knows_every_address_and_no_other() -> None:
    assert sorted(ADDRESSES) == names()


def test_every_path_belongs_to_a_part_that_is_tested() -> None:
    assert [path for path, _ in walk(get_resolver().url_patterns) if not BESIDE.match(path)] == []


@pytest.mark.parametrize(("column", "username"), list(enumerate(PEOPLE)))
def test_each_role_gets_what_the_table_says_and_a_get_changes_nothing(
    ours: Rows, column: int, username: str
) -> None:
    client = signed_in(username)
    before = fingerprint()
    got = {name: client.get(address(name, ours.names)).status_code for name in ADDRESSES}
    assert got == {name: READ[get[column]] for name, (get, _) in ADDRESSES.items()}
    assert fingerprint() == before


@pytest.mark.parametrize(("column", "username"), list(enumerate(PEOPLE)))
def test_each_role_acts_where_the_table_says(ours: Rows, column: int, username: str) -> None:
    for name, (_, post) in ADDRESSES.items():
        answer = signed_in(username).post(address(name, ours.names), {})
        wanted = {"n": {403}, "-": {404}, "m": {405}}.get(post[column])
        if wanted is None:
            assert answer.status_code not in (403, 404, 405, 500), (name, answer.status_code)
        else:
            assert answer.status_code in wanted, (name, answer.status_code)


@pytest.mark.parametrize("username", [*PEOPLE, "cora"])
def test_rows_of_another_workspace_read_like_rows_that_are_not_there(
    ours: Rows, theirs: Rows, username: str
) -> None:
    foreign = ours if username == "cora" else theirs
    # Slugs are the same in both workspaces; what has an id is asked for by the foreign one.
    known = {page: keys for page, keys in foreign.names.items() if "pk" in keys}
    client = signed_in(username)
    before = fingerprint()
    for name in known:
        here = client.get(address(name, known))
        nowhere = client.get(address(name, absent(known)))
        acted = client.post(address(name, known), {})
        assert here.status_code == nowhere.status_code, name
        assert here.status_code in (302, 403, 404, 405), (name, here.status_code)
        assert acted.status_code in (403, 404, 405), (name, acted.status_code)
    assert fingerprint() == before


def test_nobody_who_is_not_signed_in_gets_anything(ours: Rows) -> None:
    before = fingerprint()
    for name in ADDRESSES:
        for act in (Client().get, Client().post):
            answer = act(address(name, ours.names))
            assert answer.status_code == 302, name
            assert answer.headers["Location"].startswith("/admin/login/?next="), name
    assert fingerprint() == before


def test_a_post_without_its_token_is_refused_everywhere(ours: Rows) -> None:
    client = signed_in("admin", checks_csrf=True)
    before = fingerprint()
    for name in ADDRESSES:
        assert client.post(address(name, ours.names), {}).status_code == 403, name
    assert fingerprint() == before


def model_pages() -> Iterator[tuple[str, Any]]:
    for model, page in admin.site._registry.items():
        yield f"admin:{model._meta.app_label}_{model._meta.model_name}", page


@pytest.mark.parametrize("username", PEOPLE)
def test_each_model_page_is_read_by_its_permissions_and_never_written(
    cast: Cast, ours: Rows, theirs: Rows, username: str
) -> None:
    client, actor = signed_in(username), cast.actor(username)
    before = fingerprint()
    for name, page in model_pages():
        allowed = any(actor.can(permission) for permission in page.view_permissions)
        answer = client.get(reverse(f"{name}_changelist"))
        assert answer.status_code == (200 if allowed else 403), name
        assert client.get(reverse(f"{name}_add")).status_code == 403, name
        assert client.post(reverse(f"{name}_add"), {}).status_code == 403, name
        path = _workspace_path(page)
        for workspace, found in ((cast.workspace, 200), (cast.other, 302)):
            row = page.model._default_manager.filter(**{path: workspace.pk}).first()
            if row is None:
                continue
            change = reverse(f"{name}_change", args=[row.pk])
            seen = client.get(change).status_code
            assert seen == (found if allowed else (403 if found == 200 else seen)), name
            assert seen in (200, 302, 403), name
            assert client.post(change, {}).status_code in (302, 403), name
            for act in ("delete", "history"):
                assert client.get(reverse(f"{name}_{act}", args=[row.pk])).status_code in (
                    302,
                    403,
                ), name
    assert fingerprint() == before


def _workspace_path(page: Any) -> str:
    return str(getattr(page, "workspace_path", "workspace_id"))


def test_no_model_page_shows_a_sealed_column_or_what_an_agent_sent() -> None:
    hidden = re.compile(
        "sealed|secret|digest$|password|^(arguments|result|draft|initial_work|value|text|data)$"
    )
    kept = {"digest", "request_digest", "arguments_digest"}
    for name, page in model_pages():
        if name != "admin:accounts_app_auditentry":
            shown = [field for field in page.shown if hidden.search(field) and field not in kept]
            assert shown == [], name


@pytest.mark.parametrize("name", ["password_change", "autocomplete", "view_on_site"])
def test_what_the_site_leaves_out_is_not_there(name: str) -> None:
    with pytest.raises(NoReverseMatch):
        reverse(f"admin:{name}")
