"""The forms of a page, as a browser would send them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser

# These are sent only by a click on them.
BUTTONS = {"submit", "button", "image", "reset"}


@dataclass
class Control:
    """A field of a form; `values` is what a browser sends for it as it stands."""

    name: str
    kind: str
    values: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    is_required: bool = False


@dataclass
class Form:
    action: str
    method: str
    controls: dict[str, Control] = field(default_factory=dict)
    # The value of each button by its name.
    buttons: dict[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, list[str]]:
        return {each.name: each.values for each in self.controls.values() if each.values}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.form: Form | None = None
        self.open: Control | None = None
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.form = Form(found.get("action", ""), found.get("method", "get").lower())
            self.forms.append(self.form)
        elif self.form is not None and "disabled" not in found:
            self._read(self.form, tag, found)

    def _read(self, form: Form, tag: str, found: dict[str, str]) -> None:
        kind = found.get("type", "submit" if tag == "button" else "text")
        name = found.get("name", "")
        if tag in {"input", "button"} and kind in BUTTONS:
            form.buttons[name] = found.get("value", "")
        elif tag == "input" and name:
            control = form.controls.setdefault(name, Control(name, kind))
            control.is_required |= "required" in found
            if kind in {"checkbox", "radio"}:
                control.options.append(found.get("value", "on"))
            if kind not in {"checkbox", "radio"} or "checked" in found:
                control.values.append(found.get("value", "on" if kind == "checkbox" else ""))
        elif tag in {"select", "textarea"}:
            kind = "multiple" if "multiple" in found else tag
            self.open = form.controls[name] = Control(name, kind, is_required="required" in found)
            self.text = ""
        elif tag == "option" and self.open is not None:
            self.open.options.append(found.get("value", ""))
            if "selected" in found:
                self.open.values.append(found.get("value", ""))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        elif self.open is not None and tag == self.open.kind == "textarea":
            # A browser drops the first line end, and sends the others as CRLF.
            self.open.values = [self.text.removeprefix("\n").replace("\n", "\r\n")]
            self.open = None
        elif self.open is not None and tag == "select":
            if not self.open.values and self.open.kind == "select":
                self.open.values = self.open.options[:1]
            self.open = None


def forms_in(page: str) -> list[Form]:
    reader = _Reader()
    reader.feed(page)
    return reader.forms


def form_with(page: str, name: str) -> Form | None:
    """Return the page's first form that has a field or a button of this name."""
    return next(
        (each for each in forms_in(page) if name in {**each.controls, **each.buttons}), None
    )
