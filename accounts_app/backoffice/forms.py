"""Forms of the back office: a service's refusal stands next to the field that it is about."""

import json
import zoneinfo
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import slugify

from accounts_app import strict_json
from accounts_app.backoffice.pages import Page
from accounts_app.backoffice.refusals import in_words, name_of, place_in, steps_of, with_place
from accounts_app.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from accounts_app.states import Permission

UNITS = (("1", "seconds"), ("60", "minutes"), ("3600", "hours"), ("86400", "days"))


class BackOfficeForm(forms.Form):
    """A form whose names are those of the service's members, as far as possible.

    Attributes:
        members: for members that are named otherwise: member → field.
    """

    required_css_class = "required"
    members: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})

    def refuse(self, refusal: DomainError) -> None:
        """Show a refusal where it belongs; what no field is named for stands above the form."""
        if not isinstance(refusal, Invalid):
            self.add_error(None, refusal.detail)
            return
        for error in refusal.errors:
            field = self.field_of(error.field)
            place = self.place_in(field, error.field) if field else name_of(error.field, {})
            self.add_error(field, with_place(place, error.detail))

    def in_words(self, refusal: DomainError) -> str:
        """A refusal in one line, for a page that shows it apart from the fields."""
        labels = {name: str(self[name].label) for name in self.fields}
        named = {member: labels[name] for member, name in self.members.items() if name in labels}
        return in_words(refusal, labels | named)

    def place_in(self, field: str, member: str) -> str:
        """Where in the document that a field holds a fault lies; empty for all of it."""
        steps = steps_of(member)
        is_inside = member.startswith("/") and steps[0] == field
        return " › ".join(place_in(steps[1:])) if is_inside else ""

    def field_of(self, member: str) -> str | None:
        """The field of a member: the longest known beginning of its path, or of its pointer."""
        steps = steps_of(member)
        for length in range(len(steps), 0, -1):
            name = ".".join(steps[:length])
            name = self.members.get(name, name)
            if name in self.fields:
                return name
        return None


def slug_field(says: str = "It cannot be changed later.") -> forms.SlugField:
    """The field of a slug that the name can be asked for instead.

    Args:
        says: what the slug is for.
    """
    help_text = f"{says} Empty: made from the name."
    return forms.SlugField(max_length=60, required=False, help_text=help_text)


class NamedForm(BackOfficeForm):
    """A form of what has a name and, from then on, a slug: an empty one is made from the name."""

    name = forms.CharField(max_length=120)
    slug = slug_field()

    def clean_slug(self) -> str:
        """The typed slug, or the one of the name.

        Raises:
            ValidationError: none was typed, and the name has nothing to make one of.
        """
        name = self.cleaned_data.get("name", "")
        slug: str = self.cleaned_data["slug"] or slugify(name)[:60].strip("-_")
        if name and not slug:
            raise forms.ValidationError(
                "No slug can be made from this name: type one, of a to z, 0 to 9 and hyphens."
            )
        return slug


class FormPage(Page):
    """A page with one form: shown by GET, saved by POST, shown again with what is wrong.

    Attributes:
        form_class: the form.
        write_permissions: any one is needed to save; those who only read see it locked.
    """

    form_class: ClassVar[type[BackOfficeForm]]
    write_permissions: ClassVar[tuple[Permission, ...]] = ()

    def get(self, request: HttpRequest, **names: Any) -> HttpResponseBase:
        return self.show(self.make_form())

    def post(self, request: HttpRequest, **names: Any) -> HttpResponseBase:
        self.check_may_write()
        form = self.make_form(request.POST)
        if not form.is_valid():
            return self.show(form, status=422)
        try:
            said = self.save(form)
        except (NotFound, Forbidden):
            raise
        except DomainError as refusal:
            form.refuse(refusal)
            return self.show(form, status=409 if isinstance(refusal, Conflict) else 422)
        messages.success(request, said)
        return HttpResponseRedirect(self.next_page())

    @property
    def may_write(self) -> bool:
        return not self.write_permissions or any(map(self.actor.can, self.write_permissions))

    def check_may_write(self) -> None:
        """Refuse whoever may only read the page.

        Raises:
            Forbidden: naming what would be needed.
        """
        if not self.may_write:
            self.actor.require(self.write_permissions[0])

    def make_form(self, data: Any = None) -> BackOfficeForm:
        form = self.build_form(data)
        if not self.may_write:
            for field in form.fields.values():
                field.disabled = True
        return form

    def build_form(self, data: Any) -> BackOfficeForm:
        return self.form_class(data, initial=self.initial())

    def show(self, form: BackOfficeForm, *, status: int = 200) -> TemplateResponse:
        more = {"form": form, "may_write": self.may_write, **self.more()}
        return self.render(status=status, **more)

    def initial(self) -> dict[str, Any]:
        """What the form shows before anybody typed."""
        return {}

    def more(self) -> dict[str, Any]:
        """What the template needs besides the form."""
        return {}

    def save(self, form: BackOfficeForm) -> str:
        """Call the service; returns the sentence that says what was done."""
        raise NotImplementedError

    def next_page(self) -> str:
        return self.request.get_full_path()


class DurationWidget(forms.MultiWidget):
    """A number and its unit."""

    template_name = "accounts_app/parts/duration.html"

    def __init__(self) -> None:
        number = forms.NumberInput(attrs={"step": "any", "min": "0", "aria-label": "How many"})
        super().__init__([number, forms.Select(choices=UNITS, attrs={"aria-label": "Unit"})])

    def decompress(self, value: Any) -> list[Any]:
        if value in (None, ""):
            return [None, "3600"]
        seconds = float(value)
        unit = next(u for u, _ in reversed(UNITS) if seconds % int(u) == 0 or u == "1")
        number = seconds / int(unit)
        return [int(number) if number.is_integer() else number, unit]


class DurationField(forms.MultiValueField):
    """A length of time in seconds, typed with a unit; empty is None."""

    widget = DurationWidget

    def __init__(self, **options: Any) -> None:
        fields = (forms.FloatField(min_value=0, required=False), forms.ChoiceField(choices=UNITS))
        super().__init__(fields, require_all_fields=False, **options)

    def compress(self, data_list: list[Any]) -> float | None:
        if not data_list or data_list[0] is None:
            return None
        seconds = float(data_list[0]) * int(data_list[1] or 1)
        return int(seconds) if seconds.is_integer() else seconds


def time_zones() -> list[tuple[str, str]]:
    """The time zones that a person can choose from."""
    names = sorted(name for name in zoneinfo.available_timezones() if "/" in name or name == "UTC")
    return [(name, name.replace("_", " ")) for name in names if not name.startswith("Etc/")]


class JsonField(forms.CharField):
    """JSON as text, read by the one strict parser; what was typed is kept when it is refused."""

    def __init__(self, *, rows: int = 10, **options: Any) -> None:
        attrs = {"rows": rows, "class": "code", "spellcheck": "false"}
        super().__init__(widget=forms.Textarea(attrs=attrs), **options)

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text.strip():
            return None
        try:
            return strict_json.loads(text.encode())
        except DomainError as refusal:
            raise forms.ValidationError(refusal.detail) from refusal


class LinesField(forms.CharField):
    """A list of texts, one on each line."""

    def __init__(self, *, rows: int = 3, **options: Any) -> None:
        attrs = {"rows": rows, "class": "code", "spellcheck": "false"}
        super().__init__(widget=forms.Textarea(attrs=attrs), required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        lines = (line.strip() for line in super().clean(value).splitlines())
        return [line for line in lines if line]


class SuggestingInput(forms.TextInput):
    """A field that suggests some texts and takes any.

    Args:
        suggested: each text, with what people read beside it.
    """

    def __init__(self, suggested: Iterable[tuple[str, str]]) -> None:
        super().__init__(attrs={"autocomplete": "off"})
        self.suggested = list(suggested)

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        list_id = f"{(attrs or {}).get('id', name)}_suggested"
        field = super().render(name, value, {**(attrs or {}), "list": list_id}, renderer)
        options = format_html_join("", '<option value="{}">{}</option>', self.suggested)
        return format_html('{}<datalist id="{}">{}</datalist>', field, list_id, options)


def said(request: HttpRequest, name: str) -> str:
    """What was typed into a field of a form that has no more than that."""
    return str(request.POST.get(name, "")).replace("\0", "").strip()


def code_area(rows: int) -> forms.Textarea:
    """A text area for what is written by rules: fixed width, no spelling."""
    return forms.Textarea(attrs={"rows": rows, "class": "code", "spellcheck": "false"})
