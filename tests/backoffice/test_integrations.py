"""The integrations' pages: write-only credentials, refusals next to their fields, real tests."""

import re

import pytest
from django.test import Client

from accounts_app.models import AuditEntry
from accounts_app.scoping import system_actor
from integrations_app.credentials import open_credential
from integrations_app.models import Integration
from integrations_app.services.catalogue import OperationValues, put_operation
from tests.backoffice.people import signed_in
from tests.conftest import TOKEN, World

FORM = {
    "name": "Payments",
    "kind": "http",
    "base_url": "http://127.0.0.1:1",
    "allow_private_network": "on",
    "auth": "",
    "enabled": "on",
}


def form_of(world: World, **changed: str) -> dict[str, str]:
    return {**FORM, "base_url": world.receiver.url, **changed}


@pytest.fixture
def ida(world: World) -> Client:
    return signed_in("ida")


def test_the_list_shows_what_is_set_and_never_the_credential(world: World, ida: Client) -> None:
    text = ida.get("/admin/integrations/").content.decode()
    assert "Payments" in text
    assert "Bearer token" in text
    assert TOKEN not in text
    for tab in ("", "?tab=settings"):
        assert TOKEN not in ida.get(f"/admin/integrations/payments/{tab}").content.decode()


def test_an_integration_of_another_workspace_is_not_there(world: World) -> None:
    cora = signed_in("cora")
    assert "Payments" not in cora.get("/admin/integrations/").content.decode()
    assert cora.get("/admin/integrations/payments/").status_code == 404


def test_saving_without_a_new_credential_keeps_it(world: World, ida: Client) -> None:
    answer = ida.post("/admin/integrations/payments/", form_of(world, name="Pay"))
    assert answer.status_code == 302
    row = Integration.objects.get(slug="payments")
    assert (row.name, row.auth_version) == ("Pay", 1)
    assert open_credential(row).values == {"token": TOKEN}


def test_a_replaced_credential_is_sealed_and_in_no_answer(world: World, ida: Client) -> None:
    form = form_of(world, auth="basic", auth_username="us", auth_password="pa ss ")
    answer = ida.post("/admin/integrations/payments/", form, follow=True)
    row = Integration.objects.get(slug="payments")
    assert open_credential(row).values == {"username": "us", "password": "pa ss "}
    assert "pa ss" not in answer.content.decode()
    assert "pa ss" not in "".join(AuditEntry.objects.values_list("data", flat=True))


def test_another_address_needs_the_credential_anew(world: World, ida: Client) -> None:
    form = form_of(world, base_url="https://elsewhere.example", name="Typed and kept")
    answer = ida.post("/admin/integrations/payments/", form)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "The scheme, host or port changed: give the credential anew." in text
    assert re.search(r'id="id_auth_error"[^>]*>The scheme', text)
    assert 'value="Typed and kept"' in text
    assert Integration.objects.get(slug="payments").base_url == world.receiver.url


def test_a_secret_that_was_refused_is_not_sent_back(world: World, ida: Client) -> None:
    form = form_of(world, auth="header", auth_header="Bad Name", auth_value="canary-value")
    answer = ida.post("/admin/integrations/payments/", form)
    assert answer.status_code == 422
    assert "canary-value" not in answer.content.decode()
    assert "Type it again" in answer.content.decode()
    assert Integration.objects.get(slug="payments").auth_type == "bearer"


def test_an_integration_is_added_once(world: World, ida: Client) -> None:
    form = form_of(world, slug="crm", name="CRM", auth="none")
    answer = ida.post("/admin/add/integration/", form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/integrations/crm/")
    again = ida.post("/admin/add/integration/", {**form, "name": "Another"})
    assert again.status_code == 409
    assert "The integration &#x27;crm&#x27; exists." in again.content.decode()
    assert Integration.objects.get(slug="crm").name == "CRM"


@pytest.mark.parametrize("username", ["ann", "bob", "gus", "aud"])
def test_readers_see_it_locked_and_change_nothing(world: World, username: str) -> None:
    client = signed_in(username)
    page = client.get("/admin/integrations/payments/").content.decode()
    assert "Save the integration" not in page
    assert client.post("/admin/integrations/payments/", form_of(world, name="X")).status_code == 403
    assert client.post("/admin/integrations/payments/test/").status_code == 403
    assert Integration.objects.get(slug="payments").name == "Payments"
    assert world.receiver.hits == []


def test_the_test_of_a_connection_sends_the_credential_and_tells_the_status(
    world: World, ida: Client
) -> None:
    answer = ida.post("/admin/integrations/payments/test/", follow=True)
    assert "The service answered" in answer.content.decode()
    (hit,) = world.receiver.hits
    assert hit.header("Authorization") == f"Bearer {TOKEN}"
    assert AuditEntry.objects.filter(verb="integration.tested").count() == 1


def test_the_test_of_a_connection_goes_to_no_private_address(world: World, ida: Client) -> None:
    Integration.objects.filter(slug="payments").update(allow_private_network=False)
    answer = ida.post("/admin/integrations/payments/test/", follow=True)
    assert "is not allowed" in answer.content.decode()
    assert world.receiver.hits == []


def test_a_get_of_the_test_does_nothing(world: World, ida: Client) -> None:
    assert ida.get("/admin/integrations/payments/test/").status_code == 405
    assert world.receiver.hits == []


def test_sixty_operations_stand_before_the_form_and_are_searched(world: World, ida: Client) -> None:
    integration = Integration.objects.get(slug="payments")
    system = system_actor(world.cast.workspace.pk)
    for number in range(60):
        values = OperationValues(name=f"Look {number}", effect="read", method="GET", path="/look")
        put_operation(system, integration, f"look_{number:02}", values)
    path = "/admin/integrations/payments/"
    page = ida.get(path)
    html = page.content.decode()
    assert "Operations (63)" in html
    assert len(page.context["listed"].rows) == 50
    assert 'rel="next"' in html
    assert "id_base_url" not in html
    found = ida.get(f"{path}?q=look_59").content.decode()
    assert found.count('href="/admin/operations/payments/') == 1
    settings = ida.get(f"{path}?tab=settings").content.decode()
    assert "id_base_url" in settings
    assert "Look 1" not in settings
    refused = ida.post(f"{path}?tab=settings", form_of(world, base_url="nonsense"))
    assert refused.status_code == 422
    assert "nonsense" in refused.content.decode(), "what was typed is kept, on the same tab"
    saved = ida.post(f"{path}?tab=settings", form_of(world, name="Pay"))
    assert saved.headers["Location"] == f"{path}?tab=settings"
