"""Renaming on the pages of accounts and agents, and releasing the slugs they had before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path

from accounts.admin.base import PlatformModelAdmin
from accounts.admin.changes.links import row_to_change
from accounts.admin.formatting import row_address
from accounts.models import FormerSlug
from accounts.models.slugs import is_slug
from salient.api.problems import Problem

MOST_CHARACTERS = 63


class RenameForm(forms.Form):
    """The new slug."""

    slug = forms.CharField(
        max_length=MOST_CHARACTERS,
        help_text="Lower-case letters, digits, hyphens and underscores. It stands in every URL.",
    )


class RenamableAdmin[M: Model](PlatformModelAdmin[M]):
    """Pages of rows with a slug that is changed on a page of its own."""

    # What the row's name in a sentence is: "account".
    renamed = ""

    def slug_of(self, row: M) -> str:
        raise NotImplementedError

    def rename(self, row: M, slug: str) -> None:
        """Rename the row; raises a Problem."""
        raise NotImplementedError

    def former_slugs(self, row: M) -> Sequence[FormerSlug | Any]:
        raise NotImplementedError

    def release(self, row: M, slug: str) -> bool:
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.rename_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_rename"
        return [path("<uuid:object_id>/rename/", view, name=name), *super().get_urls()]

    def rename_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Ask for the new slug, and rename the row; or release a former slug."""
        row = row_to_change(self, request, object_id)
        if request.method == "POST" and (slug := request.POST.get("release", "")):
            return self._released(request, row, slug)
        form = RenameForm(
            request.POST if request.method == "POST" else None, initial={"slug": self.slug_of(row)}
        )
        if form.is_valid():
            try:
                slug = form.cleaned_data["slug"]
                self.rename(row, slug)
            except Problem as problem:
                form.add_error("slug", problem.detail.removeprefix("slug: "))
            else:
                text = f"The {self.renamed} is “{slug}” now. Old addresses redirect to it."
                self.message_user(request, text, messages.SUCCESS)
                return redirect(row_address(row))
        return self.render_page(
            request,
            "admin/rename.html",
            f"Rename {row}",
            row=row,
            form=form,
            kind=self.renamed,
            former=[(str(each), each.expires_at) for each in self.former_slugs(row)],
        )

    def _released(self, request: HttpRequest, row: M, slug: str) -> HttpResponse:
        if is_slug(slug) and self.release(row, slug):
            text = f"“{slug}” no longer redirects here."
            self.message_user(request, text, messages.SUCCESS)
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_rename", row.pk)
