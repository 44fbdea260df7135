"""The frame of the back office: members only, one look-up closed after the other."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts_app.backoffice.base import SafeModelAdmin
from accounts_app.models import ApiKey, Membership
from tests.backoffice.people import signed_in
from tests.conftest import PASSWORD, Cast


def test_the_first_page_leads_to_the_sign_in(cast: Cast, client: Client) -> None:
    assert client.get("/").headers["Location"] == "/admin/"
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1] == ("/accounts/login/?next=/admin/", 302)
    assert answer.status_code == 200


def test_a_member_signs_in_with_the_password(cast: Cast, client: Client) -> None:
    form = {"username": "ann", "password": PASSWORD, "next": "/admin/"}
    answer = client.post("/accounts/login/", form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    assert client.get("/admin/", follow=True).status_code == 200


def test_a_wrong_password_signs_nobody_in(cast: Cast, client: Client) -> None:
    answer = client.post("/accounts/login/", {"username": "ann", "password": "wrong"})
    assert answer.status_code == 200
    assert "sessionid" not in client.cookies


def test_nobody_enters_without_a_membership(cast: Cast) -> None:
    Membership.objects.filter(user__username="ann").update(is_active=False)
    assert signed_in("ann").get("/admin/").status_code == 302


def test_a_model_page_shows_no_row_of_another_workspace(cast: Cast) -> None:
    cast.key(name="canary of ours")
    cast.key(name="canary of theirs", workspace=cast.other)
    text = signed_in("admin").get("/admin/accounts_app/apikey/").content.decode()
    assert "canary of ours" in text
    assert "canary of theirs" not in text
    foreign = ApiKey.objects.get(name="canary of theirs")
    answer = signed_in("admin").get(f"/admin/accounts_app/apikey/{foreign.pk}/change/", follow=True)
    assert "canary of theirs" not in answer.content.decode()


@pytest.mark.parametrize(
    "lookup", ["digest__startswith=a", "digest__regex=^(a+)+$", "owner__password__startswith=m"]
)
def test_a_look_up_in_the_address_reveals_nothing(cast: Cast, lookup: str) -> None:
    cast.key(name="canary")
    answer = signed_in("admin").get(f"/admin/accounts_app/apikey/?{lookup}")
    assert answer.status_code in (302, 400)


def test_every_model_page_is_a_safe_one() -> None:
    for model, page in admin.site._registry.items():
        assert isinstance(page, SafeModelAdmin), model
        assert page.view_permissions, model


@pytest.mark.parametrize("username", ["ann", "bob", "gus", "ida", "aud"])
def test_only_admins_read_keys_and_members(cast: Cast, username: str) -> None:
    for page in ("accounts_app_apikey_changelist", "accounts_app_membership_changelist"):
        assert signed_in(username).get(reverse(f"admin:{page}")).status_code == 403


def test_nothing_is_added_changed_or_deleted_through_a_model_page(cast: Cast) -> None:
    cast.key(name="kept")
    key = ApiKey.objects.get(name="kept")
    client = signed_in("admin")
    assert client.post("/admin/accounts_app/apikey/add/", {"name": "new"}).status_code == 403
    path = f"/admin/accounts_app/apikey/{key.pk}"
    assert client.post(f"{path}/change/", {"name": "changed"}).status_code == 403
    assert client.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    assert list(ApiKey.objects.values_list("name", flat=True)) == ["kept"]
