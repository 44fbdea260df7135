"""The audit log's page: who reads what, keyset paging, verification, exports that are safe."""

import csv
import datetime as dt
import json
from collections.abc import Callable
from io import StringIO

import pytest
from django.http import StreamingHttpResponse

from accounts_app.models import AuditEntry
from accounts_app.scoping import system_actor
from accounts_app.services.agents import put_agent
from accounts_app.services.audit_export import harmless
from tests.backoffice.people import signed_in
from tests.conftest import Cast


def exported(username: str, path: str, kind: str) -> str:
    answer = signed_in(username).post(path, {"format": kind})
    assert isinstance(answer, StreamingHttpResponse)
    return answer.getvalue().decode()


def test_the_log_is_filtered_by_what_the_address_says(cast: Cast) -> None:
    admin = signed_in("admin")
    text = admin.get("/admin/audit/?verb=agent.created").content.decode()
    assert "added an agent" in text
    assert "made the workspace" not in text
    assert "No entry matches" in admin.get("/admin/audit/?text=nothing-like-it").content.decode()
    assert "No entry matches" in admin.get("/admin/audit/?until=2001-01-01").content.decode()
    for nonsense in ("since=x", "before=x", "after=-1", "channel=x", "text=%00", "verb=%27"):
        assert admin.get(f"/admin/audit/?{nonsense}").status_code == 200


def test_each_filter_narrows_what_is_shown_and_what_leaves(cast: Cast) -> None:
    admin, system = cast.actor("admin"), system_actor(cast.workspace.pk)
    put_agent(system, slug="by-system", name="S", tasks_enabled=True)
    put_agent(admin, slug="by-admin", name="B", tasks_enabled=True)
    put_agent(admin, slug="long-ago", name="L", tasks_enabled=True)
    old = dt.datetime(2020, 2, 29, 23, 59, tzinfo=dt.UTC)
    AuditEntry.objects.filter(target_name="long-ago").update(at=old)
    mine = {"by-system", "by-admin", "long-ago"}
    for query, expected in {
        "verb=agent.created": mine,
        "verb=agent.created&text=BY-": {"by-system", "by-admin"},
        "text=by-admin+admin": {"by-admin"},
        "channel=backoffice": {"by-admin", "long-ago"},
        "channel=system&verb=agent.created": {"by-system"},
        "until=2020-02-29": {"long-ago"},
        "until=2020-02-28": set(),
        "since=2020-02-29&verb=agent.created": mine,
        "since=2020-03-01&verb=agent.created": mine - {"long-ago"},
        "since=2020-02-01&until=2020-03-01": {"long-ago"},
    }.items():
        rows = signed_in("aud").get(f"/admin/audit/?{query}").context["rows"]
        lines = exported("aud", f"/admin/audit/export/?{query}", "jsonl").splitlines()
        assert {row.target_name for row in rows} & mine == expected, query
        assert {json.loads(line)["target_name"] for line in lines} & mine == expected, query


def test_pages_follow_each_other_without_gap_or_repetition(cast: Cast) -> None:
    system = system_actor(cast.workspace.pk)
    for number in range(120):
        put_agent(system, slug=f"a{number}", name="A", tasks_enabled=True)
    admin = signed_in("admin")
    seen: list[int] = []
    address = ""
    while True:
        page = admin.get(f"/admin/audit/{address}")
        seen += [row.sequence for row in page.context["rows"]]
        if not (address := page.context["older"]):
            break
    total = AuditEntry.objects.filter(workspace=cast.workspace).count()
    assert seen == list(range(total, 0, -1))
    back = admin.get(f"/admin/audit/{page.context['newer']}")
    first = page.context["rows"][0].sequence
    assert [row.sequence for row in back.context["rows"]] == list(range(first + 50, first, -1))


def test_operators_read_their_own_acts_only(cast: Cast) -> None:
    put_agent(cast.actor("ann"), slug="anns", name="Ann's", tasks_enabled=True)
    rows = signed_in("ann").get("/admin/audit/").context["rows"]
    assert [(row.actor_name, row.target_name) for row in rows] == [("ann", "anns")]
    assert signed_in("bob").get("/admin/audit/").status_code == 403
    for path in ("/admin/audit/verify/", "/admin/audit/export/"):
        assert signed_in("ann").post(path).status_code == 403


def test_the_log_of_another_workspace_is_not_read(cast: Cast) -> None:
    put_agent(system_actor(cast.other.pk), slug="canary", name="C", tasks_enabled=True)
    assert "canary" not in signed_in("admin").get("/admin/audit/").content.decode()
    assert "canary" not in exported("aud", "/admin/audit/export/", "jsonl")


def test_verifying_names_the_first_altered_entry(cast: Cast) -> None:
    admin = signed_in("admin")
    assert "unaltered" in admin.post("/admin/audit/verify/").content.decode()
    AuditEntry.objects.filter(workspace=cast.workspace, sequence=3).update(actor_name="Mallory")
    assert "Entry 3 was altered." in admin.post("/admin/audit/verify/").content.decode()


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda row: AuditEntry.objects.filter(pk=row.pk).update(data="{}"), "was altered"),
        (lambda row: AuditEntry.objects.filter(pk=row.pk).delete(), "is missing"),
        (lambda row: AuditEntry.objects.filter(pk=row.pk).update(hash="0" * 64), "was altered"),
    ],
)
def test_verifying_tells_of_any_tampering(
    cast: Cast, tamper: Callable[[AuditEntry], object], said: str
) -> None:
    put_agent(cast.actor("admin"), slug="x", name="X", tasks_enabled=True)
    row = AuditEntry.objects.get(target_name="x")
    put_agent(cast.actor("admin"), slug="y", name="Y", tasks_enabled=True)
    aud = signed_in("aud")
    assert "unaltered" in aud.post("/admin/audit/verify/").content.decode()
    tamper(row)
    text = aud.post("/admin/audit/verify/").content.decode()
    assert f"Entry {row.sequence} {said}." in text
    assert "unaltered" not in text


def test_an_export_is_whole_filtered_and_itself_written_down(cast: Cast) -> None:
    lines = exported("aud", "/admin/audit/export/?verb=agent.created", "jsonl").splitlines()
    assert [json.loads(line)["target_name"] for line in lines] == ["support", "research"]
    entry = AuditEntry.objects.get(verb="audit.exported")
    assert entry.actor_name == "aud"
    assert entry.facts == {"format": "jsonl", "most": 100_000, "verb": "agent.created"}


def test_only_auditors_export(cast: Cast) -> None:
    assert signed_in("admin").post("/admin/audit/export/").status_code == 403
    assert not AuditEntry.objects.filter(verb="audit.exported").exists()


def test_a_cell_that_looks_like_a_formula_is_none_in_the_export(cast: Cast) -> None:
    attack = '=HYPERLINK("http://evil.example","x")'
    system = system_actor(cast.workspace.pk)
    put_agent(system, slug="x", name=attack, tasks_enabled=True)
    AuditEntry.objects.filter(target_name="x").update(target_name=attack)
    rows = list(csv.DictReader(exported("aud", "/admin/audit/export/", "csv").splitlines()))
    assert [row["target_name"] for row in rows if "HYPERLINK" in row["target_name"]] == [
        f"'{attack}"
    ]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_cell_of_a_whole_export_begins_a_formula(cast: Cast, sign: str) -> None:
    put_agent(cast.actor("admin"), slug="x", name="X", tasks_enabled=True)
    attack = f"{sign}1+cmd|' /C calc'!A0\",\n={sign}1"
    members = ("actor_name", "target_id", "target_name", "request_id")
    AuditEntry.objects.filter(target_name="x").update(**dict.fromkeys(members, attack))
    text = exported("aud", "/admin/audit/export/?verb=agent.created", "csv")
    rows = list(csv.reader(StringIO(text, newline="")))
    assert [cell for row in rows for cell in row if cell.startswith(sign)] == []
    assert {len(row) for row in rows} == {len(rows[0])}
    found = csv.DictReader(StringIO(text, newline=""))
    (hit,) = [row for row in found if attack in row["target_name"]]
    assert [hit[name] for name in members] == [f"'{attack}"] * len(members)
    whole = exported("aud", "/admin/audit/export/?verb=agent.created", "jsonl")
    lines = [json.loads(line) for line in whole.splitlines()]
    assert [line["actor_name"] for line in lines if line["target_name"] == attack] == [attack]


@pytest.mark.parametrize(
    "cell", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\n=x", "＝1", "＋1", "－1", "＠x", "  =1"]
)
def test_every_beginning_of_a_formula_is_defused(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "a=1", "1", "{}", "2026-01-01"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert harmless(cell) == cell


def test_the_way_in_is_named_as_people_read_it(cast: Cast) -> None:
    signed_in("ann").post("/admin/profile/", {"time_zone": "UTC", "first_name": "Ann"})
    text = signed_in("ann").get("/admin/audit/").content.decode()
    assert '<span class="muted">Back office</span>' in text
