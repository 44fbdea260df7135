"""What has a name and a slug is asked for its name; a slug that nobody typed is made from it."""

from typing import Any

import pytest

from accounts_app.models import Agent
from guard_app.models import GuardRule
from integrations_app.models import Integration, Operation
from tests.backoffice import test_integrations, test_operations
from tests.backoffice.people import signed_in
from tests.conftest import World

NAME = "Côté fast: refunds (EU)"
MADE = "cote-fast-refunds-eu"
RULE = {
    "expected_version": "0",
    "detector": "condition",
    "p_when": "args.amount > 30",
    "effect": "review",
    "enabled": "on",
    "shadow": "on",
}
PAGES: list[tuple[str, dict[str, Any], Any]] = [
    ("agent/", {"enabled": "on"}, Agent),
    ("integration/", {**test_integrations.FORM, "auth": "none"}, Integration),
    ("operation/payments/", {**test_operations.FORM, "expected_version": "0"}, Operation),
    ("guard-rule/?detector=condition", RULE, GuardRule),
]


@pytest.mark.parametrize(("page", "form", "model"), PAGES, ids=[page for page, _, _ in PAGES])
def test_an_empty_slug_is_made_from_the_name(
    world: World, page: str, form: dict[str, Any], model: Any
) -> None:
    admin, path = signed_in("admin"), f"/admin/add/{page}"
    html = admin.get(path).content.decode()
    assert 0 < html.index('name="name"') < html.index('name="slug"')
    assert "Empty: made from the name." in html
    named = {**form, "name": NAME, "slug": ""}
    before = model.objects.count()
    assert admin.post(path, named).status_code == 302
    assert model.objects.get(slug=MADE).name == NAME
    again = admin.post(path, named)
    assert again.status_code in (409, 422)
    assert MADE in str(again.context["form"].errors)
    assert admin.post(path, {**named, "slug": "typed"}).status_code == 302
    assert model.objects.get(slug="typed").name == NAME
    unspeakable = admin.post(path, {**named, "name": "退款"})
    assert unspeakable.status_code == 422
    assert "No slug can be made from this name" in str(unspeakable.context["form"].errors["slug"])
    nameless = admin.post(path, {**named, "name": ""})
    assert list(nameless.context["form"].errors) == ["name"]
    assert model.objects.count() == before + 2


def test_a_slug_made_from_a_long_name_fits(world: World) -> None:
    name = f"{'a' * 59} b"
    signed_in("admin").post("/admin/add/agent/", {"name": name, "slug": "", "enabled": "on"})
    assert Agent.objects.get(name=name).slug == "a" * 59
