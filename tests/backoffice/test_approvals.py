"""The Approvals page: who sees what, what is shown, and what a decision there does."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts_app.models import AuditEntry, Membership, User
from tasks_app.models import Decision, UserTask
from tasks_app.services.sweeping import sweep
from tests.conftest import World

PAGE = "/admin/review/approvals/"


def signed_in(username: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=username))
    return client


def page(username: str, query: str = "") -> str:
    answer = signed_in(username).get(PAGE + query)
    assert answer.status_code == 200
    return answer.content.decode()


def ask(world: World, **members: Any) -> UserTask:
    body = {"agent": "support", "title": "Ship it?", **members}
    return UserTask.objects.get(pk=world.agent.post("tasks", body).ok(201)["id"])


def refund(world: World, amount: float = 900, **members: Any) -> UserTask:
    call = world.refund(amount, **members).ok(201)
    return UserTask.objects.get(tool_call=call["id"])


def decide(client: Client, task: UserTask, action: str = "approve", **form: Any) -> Any:
    data = {"action": action, "revision": task.revision, **form}
    headers = {"HX-Request": "true"}
    return client.post(f"/admin/review/tasks/{task.pk}/decide/", data, headers=headers)


def trusted(html: str) -> str:
    """The zones that say what will be sent."""
    return " ".join(re.findall(r"<section[^>]*data-trusted.*?</section>", html, re.S))


def test_the_filter_names_only_the_agents_that_an_operator_is_limited_to(world: World) -> None:
    member = Membership.objects.get(user__username="abe")
    member.limited_to.set([world.cast.research])
    narrowed, whole = page("abe"), page("ann")
    assert "Research" in narrowed
    assert ">Support<" not in narrowed
    assert ">Support<" in whole
    assert signed_in("abe").get("/admin/agents/support/").status_code == 404
    assert ">Support" not in signed_in("abe").get("/admin/sessions/").content.decode()


def test_the_filter_names_the_agent_of_a_task_that_names_a_limited_operator(world: World) -> None:
    Membership.objects.get(user__username="abe").limited_to.set([world.cast.research])
    ask(world, title="Open to all")
    assert ">Support<" not in page("abe")
    ask(world, title="For Abe", reviewers={"users": ["abe"]})
    assert ">Support<" in page("abe")
    found = page("abe", "?agent=support")
    assert "For Abe" in found
    assert "Open to all" not in found


def test_the_card_shows_what_would_be_sent_and_why_a_person_is_asked(world: World) -> None:
    refund(world, reason="The customer is right.")
    html = page("ann")
    zone = trusted(html)
    assert ">POST<" in zone
    assert f"<b>{world.receiver.url}</b>/ok/refunds" in zone
    assert "900" in zone
    assert "ch_1" in zone
    assert "Asked because" in html
    assert "<code>args.amount &gt; 100</code>" in html
    assert "The customer is right." in html
    assert "The customer is right." not in zone


def test_the_credential_is_named_and_never_shown(world: World) -> None:
    refund(world)
    html = page("ann")
    assert "a bearer token, added when it is sent" in html
    assert "sk-very-secret-token" not in html


def test_approving_on_the_card_runs_the_call(world: World) -> None:
    task = refund(world)
    answer = decide(signed_in("ann"), task, comment="Looks good to me!")
    assert answer.status_code == 200
    html = answer.content.decode()
    assert "Approve</span>" in html
    assert "ann@example.com" in html
    assert "Looks good to me!" in html
    assert '<form class="answer"' not in html
    task.refresh_from_db()
    assert (task.status, task.action, task.comment) == ("completed", "approve", "Looks good to me!")
    assert task.channel == "backoffice"
    assert task.tool_call is not None
    assert task.tool_call.status == "queued"


def test_it_works_without_scripts_too(world: World) -> None:
    task = refund(world)
    data = {"action": "reject", "revision": 1, "then": f"{PAGE}?kind=approvals"}
    answer = signed_in("ann").post(f"/admin/review/tasks/{task.pk}/decide/", data)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{PAGE}?kind=approvals")
    task.refresh_from_db()
    assert (task.status, task.action) == ("completed", "reject")


def test_a_form_leads_to_no_other_site(world: World) -> None:
    data = {"action": "reject", "revision": 1, "then": "//evil.example/admin/"}
    answer = signed_in("ann").post(f"/admin/review/tasks/{refund(world).pk}/decide/", data)
    assert answer.headers["Location"] == PAGE


def test_the_second_gets_the_conflict_with_who_and_what_and_keeps_the_text(world: World) -> None:
    task = refund(world)
    decide(signed_in("abe"), task, comment="Checked.")
    answer = decide(signed_in("ann"), task, "reject", comment="I am not so sure.")
    assert answer.status_code == 409
    html = answer.content.decode()
    assert "Already &#x27;approve&#x27; by abe" in html
    assert "abe@example.com" in html
    assert "I am not so sure." in html
    assert "What you had typed was not sent" in html
    assert 'name="action"' not in html
    assert Decision.objects.count() == 1


def test_a_decision_on_what_was_shown_before_it_changed_is_refused(world: World) -> None:
    task = refund(world)
    world.operation(path="/ok/other").ok(200)
    answer = decide(signed_in("ann"), task, comment="As shown.")
    assert answer.status_code == 409
    html = answer.content.decode()
    assert "You looked at revision 1; the present one is 2." in html
    assert "/ok/other" in html
    assert "As shown." in html
    assert "this changed: path" in html
    assert not Decision.objects.exists()
    task.refresh_from_db()
    assert decide(signed_in("ann"), task).status_code == 200


def test_no_action_is_never_an_approval(world: World) -> None:
    task = refund(world)
    answer = decide(signed_in("ann"), task, "")
    assert answer.status_code == 422
    assert "Choose an action: approve, reject." in answer.content.decode()
    assert not Decision.objects.exists()


def test_a_missing_revision_decides_nothing(world: World) -> None:
    task = refund(world)
    assert decide(signed_in("ann"), task, revision="").status_code == 409
    assert not Decision.objects.exists()


def test_nothing_acts_on_a_get(world: World) -> None:
    task = refund(world)
    client = signed_in("ann")
    for path in ("", "card/", "decide/?action=approve&revision=1", "reveal/"):
        assert client.get(f"/admin/review/tasks/{task.pk}/{path}").status_code in (200, 302, 405)
    assert not Decision.objects.exists()
    assert not AuditEntry.objects.filter(verb="task.revealed").exists()


def test_a_post_without_its_token_is_refused(world: World) -> None:
    task = refund(world)
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="ann"))
    assert decide(client, task).status_code == 403
    assert not Decision.objects.exists()


def test_a_viewer_sees_the_header_and_a_masked_summary_only(world: World) -> None:
    task = refund(world, 73497349, reason="Because of the canary.")
    html = page("bob")
    assert "Payments: Refund a charge" in html
    for hidden in ("ch_1", "73497349", "canary", "/ok/refunds", 'name="action"'):
        assert hidden not in html
    assert "You see the header of this task and a masked summary" in html
    assert "charge: ••• · amount: •••" in html
    answer = decide(signed_in("bob"), task)
    assert answer.status_code == 403
    assert "Your roles do not include deciding tasks." in answer.content.decode()
    assert not Decision.objects.exists()


def test_a_viewer_cannot_search_what_they_cannot_see(world: World) -> None:
    refund(world, reason="Because of the canary.")
    assert "No task matches" in page("bob", "?q=canary")
    assert "Refund a charge" in page("ann", "?q=canary")


def test_another_workspace_sees_nothing(world: World) -> None:
    task = refund(world)
    cora = signed_in("cora")
    assert "Nothing waits for you." in page("cora")
    for path in ("", "card/"):
        assert cora.get(f"/admin/review/tasks/{task.pk}/{path}").status_code == 404
    assert decide(cora, task).status_code == 404
    assert cora.get(f"/admin/review/states/?ids={task.pk}").json() == {"states": {}}
    assert not Decision.objects.exists()


def test_an_auditor_reveals_with_a_reason_that_is_recorded(world: World) -> None:
    task = refund(world)
    aud = signed_in("aud")
    html = page("aud")
    assert "•••" in html
    assert "ch_1" not in html
    refused = aud.post(f"/admin/review/tasks/{task.pk}/reveal/", {"reason": " "})
    assert refused.status_code == 422
    assert "Say why you look" in refused.content.decode()
    assert not AuditEntry.objects.filter(verb="task.revealed").exists()
    shown = aud.post(f"/admin/review/tasks/{task.pk}/reveal/", {"reason": "Complaint 17"})
    assert "ch_1" in trusted(shown.content.decode())
    entry = AuditEntry.objects.get(verb="task.revealed")
    assert (entry.actor_name, entry.data) == ("aud", '{"reason":"Complaint 17"}')
    assert decide(aud, task).status_code == 403


def test_sensitive_values_are_masked_until_somebody_asks(world: World) -> None:
    world.operation(sensitive=["/charge"]).ok(200)
    task = refund(world)
    html = page("ann")
    assert "ch_1" not in html
    assert "900" in trusted(html)
    client = signed_in("ann")
    shown = client.post(
        f"/admin/review/tasks/{task.pk}/reveal/", headers={"HX-Request": "true"}
    ).content.decode()
    assert "ch_1" in trusted(shown)
    assert AuditEntry.objects.filter(verb="task.revealed", actor_name="ann").count() == 1
    assert "ch_1" not in page("ann")


def test_a_viewer_reveals_nothing(world: World) -> None:
    task = refund(world)
    answer = signed_in("bob").post(f"/admin/review/tasks/{task.pk}/reveal/", {"reason": "Please"})
    assert answer.status_code == 403
    assert not AuditEntry.objects.filter(verb="task.revealed").exists()


def test_whoever_started_the_session_reads_why_they_cannot_decide(world: World) -> None:
    task = refund(world, run=world.run(participant="Ann@Example.com"))
    html = page("ann")
    assert "Whoever started the session cannot decide this task; ask somebody else." in html
    assert 'name="action"' not in html
    assert decide(signed_in("ann"), task).status_code == 403
    assert not Decision.objects.exists()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pay\u202eevil", "pay⟦U+202E⟧evil"),
        ("a\u200bb", "a⟦U+200B⟧b"),
        ("tag\U000e0041", "tag⟦U+E0041⟧"),
        ("bell\x07", "bell⟦U+0007⟧"),
        ("filler\u3164", "filler⟦U+3164⟧"),
    ],
)
def test_invisible_characters_are_written_out(world: World, text: str, shown: str) -> None:
    body = {"charge": text, "amount": 900}
    refund(world, arguments=body, reason=text)
    html = re.sub(r"</?span[^>]*>", "", page("ann"))
    assert shown in trusted(html)
    assert shown in html.replace(trusted(html), "")
    assert text not in html


def test_a_long_value_is_folded_with_its_size_and_its_end(world: World) -> None:
    text = "start " + "x" * 50_000 + " the real victim"
    refund(world, arguments={"charge": text, "amount": 900})
    zone = trusted(page("ann"))
    assert "more characters …" in zone
    assert "49,762" in zone
    assert text in zone


def test_markup_from_an_agent_is_text(world: World) -> None:
    text = "<img src=x onerror=alert(1)>{{ 7*7 }}{% now %}"
    refund(world, arguments={"charge": text, "amount": 900}, reason=text)
    ask(world, title=text, description=text, draft=text)
    html = page("ann")
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;{{ 7*7 }}{% now %}") >= 5


def test_answers_by_kind(world: World) -> None:
    ann = signed_in("ann")
    choice = ask(world, kind="multi_option", options=[{"id": "a", "label": "First"}])
    number = ask(world, kind="number", input={"minimum": 5, "integer": True})
    text = ask(world, kind="text")
    question = ask(world, kind="aitl_escalation")
    assert decide(ann, choice, "select", value="b").status_code == 422
    assert decide(ann, number, "submit", value="abc").status_code == 422
    assert decide(ann, number, "submit", value="4").status_code == 422
    assert decide(ann, text, "submit", value=" ").status_code == 422
    assert decide(ann, question, "answer", value="").status_code == 422
    assert not Decision.objects.exists()
    assert decide(ann, choice, "select", value="a").status_code == 200
    assert decide(ann, number, "submit", value="7").status_code == 200
    assert decide(ann, text, "submit", value="Hello").status_code == 200
    assert decide(ann, question, "decline", value="").status_code == 200
    values = {task.kind: (task.action, task.value) for task in UserTask.objects.all()}
    assert values == {
        "multi_option": ("select", "a"),
        "number": ("submit", 7),
        "text": ("submit", "Hello"),
        "aitl_escalation": ("decline", None),
    }


def test_a_wrong_answer_stays_in_its_field(world: World) -> None:
    task = ask(world, kind="number")
    html = decide(signed_in("ann"), task, "submit", value="12,5", comment="Mine").content.decode()
    assert 'value="12,5"' in html
    assert ">Mine</textarea>" in html
    assert "Write a number like 1250 or 12.5" in html


def test_a_required_comment_is_asked_for(world: World) -> None:
    task = ask(world, actions=[{"name": "hold", "comment_required": True}])
    answer = decide(signed_in("ann"), task, "hold")
    assert answer.status_code == 422
    assert "“Hold” needs a comment." in answer.content.decode()
    assert decide(signed_in("ann"), task, "hold", comment="Wait").status_code == 200


def test_the_states_tell_that_a_card_has_changed(world: World) -> None:
    task = refund(world)
    client = signed_in("ann")

    def state() -> str:
        found = client.get(f"/admin/review/states/?ids={task.pk},nonsense").json()["states"]
        return str(found[str(task.pk)])

    before = state()
    assert f'data-token="{before}"' in page("ann")
    decide(signed_in("abe"), task)
    assert state() != before
    card = client.get(f"/admin/review/tasks/{task.pk}/card/").content.decode()
    assert "abe@example.com" in card


def test_filters_stand_in_the_address(world: World) -> None:
    ask(world, title="By support", participant="Alice@Acme.com")
    ask(world, title="By research", agent="research", kind="text")
    assert "By research" not in page("ann", "?agent=support")
    assert "By support" not in page("ann", "?kind=input")
    assert "By support" in page("ann", "?kind=approvals")
    assert "By research" not in page("ann", "?person=alice@acme.COM")
    assert "By support" in page("ann", "?person=alice@acme.COM")
    assert "By support" in page("ann", "?from=2020-01-01&to=2999-01-01")
    assert "No task matches" in page("ann", "?from=2999-01-01")
    assert "No task matches" in page("ann", "?q=' or 1=1")
    assert "Nothing waits" not in page("ann", "?q=' or 1=1")


def test_mine_are_the_tasks_that_i_take_part_in(world: World) -> None:
    ask(world, title="For Ann", participant="ANN@example.com")
    ask(world, title="By her name", participant="ann")
    ask(world, title="For nobody")
    assert titles(page("ann", "?person=me")) == {"For Ann", "By her name"}
    assert titles(page("ann")) == {"For Ann", "By her name", "For nobody"}
    assert titles(page("abe", "?person=me")) == set()


def test_a_members_user_name_finds_what_any_of_their_names_finds(world: World) -> None:
    ask(world, title="For Ann", participant="ANN@example.com")
    ask(world, title="By her name", participant="ann")
    ask(world, title="For nobody")
    assert titles(page("abe", "?person=Ann")) == {"For Ann", "By her name"}
    assert titles(page("abe", "?person=ann@example.com")) == {"For Ann"}
    assert titles(page("abe", "?person=cora")) == set()


def test_who_has_no_role_for_the_queue_sees_their_own_whatever_they_ask_for(world: World) -> None:
    ask(world, title="For Ida", participant="ida")
    ask(world, title="For Ann", participant="ann")
    for query in ("", "?person=me", "?person=ida"):
        assert titles(page("ida", query)) == {"For Ida"}
    assert titles(page("ida", "?person=ann")) == set()


def titles(html: str) -> set[str]:
    known = {"For Ida", "For Ann", "By her name", "For nobody"}
    return {title for title in known if f">{title}<" in html}


def test_an_empty_queue_reads_otherwise_than_filters_that_match_nothing(world: World) -> None:
    for query, kind in (("", "queue"), ("?tab=completed", "queue"), ("?kind=aitl", "filtered")):
        assert re.findall(r'data-empty="(\w+)"', page("ann", query)) == [kind]
    ask(world)
    assert "data-empty" not in page("ann")


def test_a_time_out_is_badged_as_one(world: World, move_clock: Callable[[float], None]) -> None:
    task = ask(world, timeout_seconds=60)
    move_clock(61)
    sweep(execute_here=False)
    badge = '<span class="badge badge-warn">Timed out</span>'
    assert badge in page("ann", "?tab=completed")
    assert badge in signed_in("ann").get(f"/admin/review/tasks/{task.pk}/").content.decode()


def test_a_time_out_says_what_its_policy_did(
    world: World, move_clock: Callable[[float], None]
) -> None:
    task = ask(world, timeout_seconds=60, on_timeout={"action": "reject"})
    move_clock(61)
    sweep(execute_here=False)
    badge = '<span class="badge badge-warn">Timed out: Reject</span>'
    assert badge in page("ann", "?tab=completed")
    assert "nobody decided: its policy did" in page("ann", "?tab=completed")
    html = signed_in("ann").get(f"/admin/review/tasks/{task.pk}/").content.decode()
    assert badge in html
    assert "Nobody decided before the deadline: this is what its policy does then" in html


def test_looking_at_a_task_claims_nothing_and_leaves_no_trace(world: World) -> None:
    task = refund(world)
    before = AuditEntry.objects.count()
    ann = signed_in("ann")
    for path in ("", "card/"):
        assert ann.get(f"/admin/review/tasks/{task.pk}/{path}").status_code == 200
    page("ann")
    task.refresh_from_db()
    assert (task.claimed_by, task.claim_token, task.claim_expires_at) == (None, None, None)
    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize(
    "query",
    [
        "?kind=nonsense&tab=x&sort=x&flag=x&from=x&to=9999-12-31",
        "?after=%00&agent=%00&q=%00&person=%00",
        "?after=eyJhIjoxfQ",
        "?after=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwgIjAxOTAwMDAwLTAwMDAtNzAwMC04MDAwLTAwMDAwMDAwMDAwMCJd",
        "?q=" + "x" * 5000,
    ],
)
def test_a_strange_address_gives_a_page(world: World, query: str) -> None:
    ask(world)
    page("ann", query)


def test_load_more_goes_on_where_the_page_ended(world: World) -> None:
    for number in range(23):
        ask(world, title=f"Task number {number:02}")
    first = page("ann")
    titles = re.findall(r"Task number \d\d", first)
    assert titles == [f"Task number {number:02}" for number in range(20)]
    link = re.search(r'id="more".*?href="([^"]+)"', first, re.S)
    assert link is not None
    headers = {"HX-Request": "true", "HX-Target": "more"}
    answer = signed_in("ann").get(PAGE + link[1].replace("&amp;", "&"), headers=headers)
    html = answer.content.decode()
    assert re.findall(r"Task number \d\d", html) == [f"Task number {n}" for n in (20, 21, 22)]
    assert "<html" not in html
    assert 'id="more"' not in html


def test_the_completed_tab_shows_outcome_person_and_time(world: World) -> None:
    task = refund(world)
    decide(signed_in("ann"), task, "reject", comment="No.")
    html = page("bob", "?tab=completed")
    assert "Reject" in html
    assert "ann@example.com" in html
    assert "ch_1" not in html
    assert "just now" in html


def test_earlier_decisions_stand_on_the_card(world: World) -> None:
    decide(signed_in("ann"), refund(world, 300))
    decide(signed_in("ann"), refund(world, 400), "reject", comment="Too much.")
    refund(world, 500)
    html = " ".join(page("ann").split())
    assert "Earlier on this operation by this agent:" in html
    assert "Approve 1" in html
    assert "Reject 1" in html
    assert "Too much." in html


@pytest.mark.parametrize("sort", ["oldest", "newest", "due"])
def test_every_order_goes_on_without_gaps_or_repeats(world: World, sort: str) -> None:
    for number in range(23):
        timeout = [None, 100, 900][number % 3]
        ask(world, title=f"Task number {number:02}", timeout_seconds=timeout)
    seen: list[str] = []
    path = f"{PAGE}?sort={sort}"
    while path:
        html = signed_in("ann").get(path).content.decode()
        seen += re.findall(r"Task number \d\d", html)
        link = re.search(r'id="more".*?href="([^"]+)"', html, re.S)
        path = PAGE + link[1].replace("&amp;", "&") if link else ""
    assert sorted(seen) == [f"Task number {number:02}" for number in range(23)]
    if sort != "due":
        assert seen == sorted(seen, reverse=sort == "newest")
