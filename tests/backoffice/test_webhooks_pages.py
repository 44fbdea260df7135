"""Webhooks: secrets shown once, deliveries sent again."""

import datetime as dt
import re

import pytest
from standardwebhooks import Webhook as Verifier

from accounts_app.models import AuditEntry
from integrations_app.models import Delivery, Webhook
from integrations_app.services.deliveries import deliver_all
from tests.backoffice.people import signed_in
from tests.conftest import World

FORM = {
    "events": ["task.created", "task.completed"],
    "allow_private_network": "on",
    "enabled": "on",
}


def secret_in(text: str) -> str:
    found = re.search(r'id="secret">([^<]+)<', text)
    assert found is not None
    return found[1]


def test_a_webhook_is_added_and_its_secret_shown_once(world: World) -> None:
    admin = signed_in("admin")
    form = {**FORM, "slug": "crm", "url": world.receiver.url}
    secret = secret_in(admin.post("/admin/add/webhook/", form).content.decode())
    assert secret.startswith("whsec_")
    row = Webhook.objects.get()
    assert (row.slug, row.events) == ("crm", ["task.created", "task.completed"])
    for page in ("/admin/webhooks/", "/admin/webhooks/crm/"):
        assert secret not in admin.get(page).content.decode()
    again = admin.post("/admin/add/webhook/", form)
    assert list(again.context["form"].errors) == ["slug"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"url": "http://127.0.0.1", "allow_private_network": ""}, "url"),
        ({"events": []}, "events"),
        ({"events": ["task.invented"]}, "events"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(
    world: World, changed: dict[str, object], field: str
) -> None:
    form = {**FORM, "slug": "crm", "url": world.receiver.url, **changed}
    answer = signed_in("admin").post("/admin/add/webhook/", form)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not Webhook.objects.exists()


def test_ping_rotate_and_redeliver(world: World) -> None:
    admin = signed_in("admin")
    form = {**FORM, "slug": "crm", "url": world.receiver.url}
    first = secret_in(admin.post("/admin/add/webhook/", form).content.decode())
    admin.post("/admin/webhooks/crm/ping/")
    delivery = Delivery.objects.get()
    rotated = admin.post("/admin/webhooks/crm/rotate/").content.decode()
    assert secret_in(rotated) != first
    assert "signs too until" in admin.get("/admin/webhooks/crm/").content.decode()
    Delivery.objects.update(status="dead", attempts=10)
    text = admin.get("/admin/webhooks/crm/?status=dead").content.decode()
    assert str(delivery.pk) in text
    admin.post(f"/admin/webhooks/crm/deliveries/{delivery.pk}/")
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("pending", 0)


def test_what_was_given_up_and_what_arrived_is_sent_again_by_a_button(world: World) -> None:
    admin, page = signed_in("admin"), "/admin/webhooks/crm/"
    form = {**FORM, "slug": "crm", "url": f"{world.receiver.url}/ok"}
    secret = secret_in(admin.post("/admin/add/webhook/", form).content.decode())
    webhook = Webhook.objects.get()
    asked = world.agent.post("tasks", {"agent": "support", "title": "Ship it?"}).ok(201)
    delivery = Delivery.objects.get()
    Delivery.objects.update(status="dead", attempts=10, next_attempt_at=None, last_error="refused")
    Webhook.objects.update(rests_until=dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    assert deliver_all(webhook.pk) == 0
    text = admin.get(page).content.decode()
    for shown in (
        "task.created",
        str(delivery.pk),
        "refused",
        '<td data-label="Attempts" class="num">10</td>',
    ):
        assert shown in text
    (button,) = re.findall(r'action="([^"]+/deliveries/[^"]+)"', text)
    for number, state in enumerate(("dead", "delivered"), 1):
        assert str(delivery.pk) in admin.get(f"{page}?status={state}").content.decode()
        assert admin.post(button).status_code == 302
        assert deliver_all(webhook.pk) == 1
        assert len(world.receiver.hits) == number
    for hit in world.receiver.hits:
        headers = {name.lower(): value for name, value in hit.headers}
        assert headers["webhook-id"] == str(delivery.pk)
        told = Verifier(secret).verify(hit.body, headers)
        assert (told["type"], told["data"]["task"]) == ("task.created", asked["id"])
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.last_error) == ("delivered", 1, "")
    assert AuditEntry.objects.filter(verb="webhook.redelivered", actor_name="admin").count() == 2


def test_a_delivery_is_sent_again_only_by_its_own_webhook_and_while_that_is_on(
    world: World,
) -> None:
    admin = signed_in("admin")
    for slug in ("crm", "log"):
        admin.post("/admin/add/webhook/", {**FORM, "slug": slug, "url": world.receiver.url})
    admin.post("/admin/webhooks/crm/ping/")
    delivery = Delivery.objects.get()
    Delivery.objects.update(status="dead", attempts=10)
    tail = f"deliveries/{delivery.pk}/"
    assert admin.post(f"/admin/webhooks/log/{tail}").status_code == 404
    assert signed_in("cora").post(f"/admin/webhooks/crm/{tail}").status_code in {403, 404}
    Webhook.objects.update(enabled=False)
    answer = admin.post(f"/admin/webhooks/crm/{tail}", follow=True)
    assert "switched off" in answer.content.decode()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("dead", 10)


def test_the_navigation_counts_what_was_given_up(world: World) -> None:
    admin = signed_in("admin")
    admin.post("/admin/add/webhook/", {**FORM, "slug": "crm", "url": world.receiver.url})
    admin.post("/admin/webhooks/crm/ping/")
    mark = '<span class="nav-count" id="count-failed_webhooks" hx-swap-oob="true">{}</span>'
    assert mark.format("") in admin.get("/admin/counts/").content.decode()
    Delivery.objects.update(status="dead")
    assert mark.format("1") in admin.get("/admin/counts/").content.decode()
    Webhook.objects.update(enabled=False)
    assert mark.format("") in admin.get("/admin/counts/").content.decode()


@pytest.mark.parametrize("username", ["ida", "ann", "aud", "cora"])
def test_only_workspace_admins_keep_webhooks(world: World, username: str) -> None:
    admin = signed_in("admin")
    admin.post("/admin/add/webhook/", {**FORM, "slug": "crm", "url": world.receiver.url})
    client = signed_in(username)
    for path in ("", "rotate/", "ping/"):
        assert client.post(f"/admin/webhooks/crm/{path}", {}).status_code == 403
    assert not Delivery.objects.exists()


def test_the_address_is_asked_for_first_and_names_the_webhook(world: World) -> None:
    admin = signed_in("admin")
    html = admin.get("/admin/add/webhook/").content.decode()
    assert html.index("id_url") < html.index("id_slug") < html.index("id_events")
    form = {**FORM, "url": "https://www.Hooks.Example.com:8443/assent?x=1", "slug": ""}
    assert admin.post("/admin/add/webhook/", form).status_code == 200
    assert Webhook.objects.get().slug == "hooks-example-com"
    again = admin.post("/admin/add/webhook/", form)
    assert again.status_code == 422
    assert list(again.context["form"].errors) == ["slug"]
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize("url", ["nonsense", "https://", "https://[", ""])
def test_an_address_without_a_host_names_nothing(world: World, url: str) -> None:
    answer = signed_in("admin").post("/admin/add/webhook/", {**FORM, "url": url, "slug": ""})
    assert answer.status_code == 422
    assert not Webhook.objects.exists()


def test_deliveries_stand_first_and_the_form_on_its_own_tab(world: World) -> None:
    admin = signed_in("admin")
    made = admin.post("/admin/add/webhook/", {**FORM, "slug": "crm", "url": world.receiver.url})
    assert 'href="/admin/webhooks/crm/">Try it with a ping</a>' in made.content.decode()
    first = admin.get("/admin/webhooks/crm/").content.decode()
    assert "Nothing was sent yet." in first
    assert world.receiver.url in first
    assert "id_url" not in first
    assert (
        "No delivery of this kind."
        in admin.get("/admin/webhooks/crm/?status=dead").content.decode()
    )
    assert "id_url" in admin.get("/admin/webhooks/crm/?tab=settings").content.decode()
    refused = admin.post("/admin/webhooks/crm/?tab=settings", {**FORM, "url": "nonsense"})
    assert refused.status_code == 422
    assert 'value="nonsense"' in refused.content.decode()
    assert Webhook.objects.get().url == world.receiver.url
