"""Members: added, given roles, groups and agents, deactivated and let in again."""

import secrets
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.choices import MOST, ChoicesField, offer, person_label
from accounts_app.backoffice.forms import BackOfficeForm, FormPage
from accounts_app.backoffice.lists import listed
from accounts_app.backoffice.pages import Page, register
from accounts_app.models import Agent, Group, Membership, User
from accounts_app.scoping import Actor
from accounts_app.services.members import create_member
from accounts_app.services.membership import (
    add_existing,
    change_member,
    deactivate_member,
    get_group,
    get_member,
    put_group,
    reactivate_member,
)
from accounts_app.states import Permission, Role

MANAGE = (Permission.MANAGE_WORKSPACE,)
PARENTS = (("Members", "admin:members"),)
WHAT_FOR = {
    Role.VIEWER: "sees headers and masked summaries of tasks",
    Role.OPERATOR: "decides tasks: approvals, inputs, escalations",
    Role.GUARD_ANALYST: "decides anomaly reviews and triages incidents",
    Role.INTEGRATION_ADMIN: "edits integrations, operations and agents",
    Role.WORKSPACE_ADMIN: "everything, members and keys included",
    Role.AUDITOR: "reads all, masked; reads and exports the audit log",
}


def _roles() -> forms.MultipleChoiceField:
    choices = [(role.value, f"{role.label}: {WHAT_FOR[role]}") for role in Role]
    return forms.MultipleChoiceField(
        label="Roles", choices=choices, widget=forms.CheckboxSelectMultiple
    )


class NewMemberForm(BackOfficeForm):
    username = forms.CharField(label="User name", max_length=150)
    email = forms.EmailField(label="E-mail", required=False, max_length=254)
    roles = _roles()
    existing = forms.BooleanField(
        label="This person has an account here already",
        required=False,
        help_text="In another workspace of this installation: they keep their password.",
    )


class MemberForm(BackOfficeForm):
    roles = _roles()
    groups = ChoicesField(label="Groups")
    limited_to = ChoicesField(
        label="Only tasks of these agents", help_text="None chosen: every agent."
    )


class GroupForm(BackOfficeForm):
    name = forms.CharField(max_length=80)
    members = {"members": "people"}
    people = ChoicesField(label="Members")


@register("members/", "members")
class MembersPage(Page):
    """The members of the workspace, those who are out included."""

    title = "Members"
    template_name = "accounts_app/members.html"
    permissions = MANAGE

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = (
            Membership.objects.visible_to(self.actor)
            .select_related("user")
            .prefetch_related("groups", "limited_to")
            .order_by("-is_active", "user__username")
        )
        columns = ("user__username", "user__email", "user__first_name", "user__last_name")
        return self.render(listed=listed(request, rows, columns), roles=dict(Role.choices))


@register("add/member/", "member_add")
class MemberAddPage(FormPage):
    """A new member; a new account's password is shown once."""

    title = "Add a member"
    template_name = "accounts_app/form_page.html"
    permissions = write_permissions = MANAGE
    parents = PARENTS
    form_class = NewMemberForm
    made: Membership

    def more(self) -> dict[str, Any]:
        return {"button": "Add the member"}

    def post(self, request: HttpRequest, **names: Any) -> HttpResponseBase:
        self.password = ""
        answer = super().post(request, **names)
        if answer.status_code == 302 and self.password:
            return self.render(
                template="accounts_app/shown_once.html",
                secret=self.password,
                what="The first password of the new member",
                advice="Give it to them by a safe way; they change it under their name.",
                back=reverse("admin:member", args=[self.made.pk]),
                done="Choose their groups and agents",
            )
        return answer

    def save(self, form: BackOfficeForm) -> str:
        typed = form.cleaned_data
        if typed["existing"]:
            add_existing(self.actor, username=typed["username"], roles=typed["roles"])
        else:
            password = secrets.token_urlsafe(12)
            self.made = create_member(
                self.actor,
                username=typed["username"],
                email=typed["email"],
                roles=typed["roles"],
                password=password,
            )
            self.password = password
        return f"{typed['username']} is a member."

    def next_page(self) -> str:
        return reverse("admin:members")


class MemberBase(Page):
    """A page about one member."""

    permissions = MANAGE
    parents = PARENTS
    member: Membership

    def prepare(self, **names: Any) -> None:
        self.member = get_member(self.actor, names["pk"])

    @property
    def address(self) -> str:
        return reverse("admin:member", args=[self.member.pk])


@register("members/<uuid:pk>/", "member")
class MemberPage(MemberBase, FormPage):
    """A member's roles, groups and agents."""

    template_name = "accounts_app/member.html"
    write_permissions = MANAGE

    def build_form(self, data: Any) -> BackOfficeForm:
        member = self.member
        form = MemberForm(
            data,
            initial={
                "roles": member.roles,
                "groups": [str(group.pk) for group in member.groups.all()],
                "limited_to": [str(agent.pk) for agent in member.limited_to.all()],
            },
        )
        offer(form, "groups", _groups(self.actor).values_list("pk", "name")[:MOST])
        agents = _agents(self.actor).values_list("pk", "name", "slug")[:MOST]
        offer(form, "limited_to", [(pk, f"{name} ({slug})") for pk, name, slug in agents])
        return form

    def more(self) -> dict[str, Any]:
        return {"title": str(self.member), "member": self.member}

    def save(self, form: BackOfficeForm) -> str:
        typed = form.cleaned_data
        change_member(
            self.actor,
            self.member,
            roles=typed["roles"],
            groups=_groups(self.actor).filter(pk__in=typed["groups"]),
            limited_to=_agents(self.actor).filter(pk__in=typed["limited_to"]),
        )
        return f"{self.member} is saved; it holds from their next request on."


@register("members/<uuid:pk>/deactivate/", "member_deactivate")
class MemberDeactivatePage(MemberBase):
    """Lets a member in no longer."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        def do() -> str:
            released = deactivate_member(self.actor, self.member)
            back = f" {released} claimed tasks went back to the queue." if released else ""
            return f"{self.member} is out; what they decided stays.{back}"

        return self.act(do, then=self.address)


@register("members/<uuid:pk>/reactivate/", "member_reactivate")
class MemberReactivatePage(MemberBase):
    """Lets a member in again."""

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        def do() -> str:
            reactivate_member(self.actor, self.member)
            return f"{self.member} is in again, with the roles that they had."

        return self.act(do, then=self.address)


@register("groups/", "groups")
class GroupsPage(Page):
    """Groups: people who are named together as reviewers."""

    title = "Groups"
    template_name = "accounts_app/groups.html"
    permissions = MANAGE
    parents = PARENTS

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = _groups(self.actor).prefetch_related("memberships__user")
        return self.render(listed=listed(request, rows, ("name",)))


class GroupEditor(FormPage):
    """What adding and changing a group have in common."""

    template_name = "accounts_app/form_page.html"
    permissions = write_permissions = MANAGE
    parents: ClassVar = (*PARENTS, ("Groups", "admin:groups"))
    group: Group | None = None

    def build_form(self, data: Any) -> BackOfficeForm:
        group = self.group
        initial: dict[str, Any] = {}
        if group is not None:
            chosen = [str(member.pk) for member in group.memberships.all()]
            initial = {"name": group.name, "people": chosen}
        form = GroupForm(data, initial=initial)
        people = _people(self.actor).select_related("user")[:MOST]
        offer(form, "people", [(row.pk, _label(row.user)) for row in people])
        return form

    def save(self, form: BackOfficeForm) -> str:
        people = _people(self.actor).filter(pk__in=form.cleaned_data["people"])
        name = form.cleaned_data["name"]
        saved = put_group(self.actor, name=name, members=people, group=self.group)
        return f"The group “{saved.name}” is saved."

    def next_page(self) -> str:
        return reverse("admin:groups")


@register("add/group/", "group_add")
class GroupAddPage(GroupEditor):
    """A new group."""

    title = "Add a group"

    def more(self) -> dict[str, Any]:
        return {"button": "Add the group"}


@register("groups/<uuid:pk>/", "group")
class GroupPage(GroupEditor):
    """A group's name and members."""

    def prepare(self, **names: Any) -> None:
        self.group = get_group(self.actor, names["pk"])

    def more(self) -> dict[str, Any]:
        return {"title": str(self.group), "button": "Save the group"}


def _groups(actor: Actor) -> Any:
    return Group.objects.visible_to(actor).order_by("name")


def _agents(actor: Actor) -> Any:
    return Agent.objects.visible_to(actor).order_by("name")


def _people(actor: Actor) -> Any:
    rows = Membership.objects.visible_to(actor).filter(is_active=True)
    return rows.order_by("user__username")


def _label(user: User) -> str:
    return person_label(user.get_full_name(), user.username)
