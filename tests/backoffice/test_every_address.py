"""Every address of the back office by every role by own, foreign and absent rows.

An address that the table does not know fails here; so does a line of the table that no address
has any more.
"""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import NoReverseMatch, get_resolver, reverse

from tests.backoffice.every_address import ADDRESSES, PEOPLE
from tests.backoffice.people import signed_in
from tests.backoffice.rows import (
    Rows,
    fingerprint,
    model_pages,
    names,
    rows_of,
    walk,
    workspace_path,
)
from tests.conftest import Cast

pytestmark = pytest.mark.walk
READ = {"y": 200, "n": 403, "-": 404, "m": 405, "r": 302}
# The pages of a row that its slug names, and that say its name to an admin.
NAMED_BY_SLUG = [
    "agent",
    "agent_freeze",
    "agent_pause",
    "agent_thaw",
    "guard_replay_start",
    "guard_rule",
    "integration",
    "integration_import",
    "operation",
    "operation_add",
    "operation_try",
    "webhook",
]
BESIDE = re.compile(r"admin/|accounts/|api/v1/|healthz|readyz|metrics|favicon\.ico|$")


def address(name: str, known: dict[str, dict[str, Any]]) -> str:
    return reverse(f"admin:{name}", kwargs=known.get(name))


def absent(known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same, with ids and slugs that no row has; what an act is called stays."""
    nowhere = {"pk": uuid4(), "slug": "nowhere", "integration": "nowhere"}
    return {
        page: {name: nowhere.get(name, key) for name, key in keys.items()}
        for page, keys in known.items()
    }


@pytest.fixture
def ours(cast: Cast) -> Rows:
    return rows_of(cast, cast.workspace, "abe")


@pytest.fixture
def theirs(cast: Cast, ours: Rows) -> Rows:
    return rows_of(cast, cast.other, "cora", mark="x")


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
    known = foreign.names
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


@pytest.mark.parametrize(
    ("username", "own", "other", "pages"),
    [
        ("admin", "-ours", "-theirs", NAMED_BY_SLUG),
        ("cora", "-theirs", "-ours", ["agent", "integration", "operation"]),
    ],
)
def test_a_slug_that_both_workspaces_have_leads_to_ones_own_row(
    cast: Cast, username: str, own: str, other: str, pages: list[str]
) -> None:
    here = rows_of(cast, cast.workspace, "abe", title="-ours")
    there = rows_of(cast, cast.other, "cora", title="-theirs")
    client = signed_in(username)
    shown = []
    for name, keys in here.names.items():
        if "pk" in keys:
            continue
        assert there.names[name] == keys, "the same address in both"
        answer = client.get(address(name, here.names))
        text = answer.content.decode() if answer.status_code == 200 else ""
        assert other not in text, name
        shown += [name] if own in text else []
    assert sorted(shown) == pages


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
        path = workspace_path(page)
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
