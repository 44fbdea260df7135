"""The audit log's page: who reads what, keyset paging, verification, exports that are safe."""

import csv
import json

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
