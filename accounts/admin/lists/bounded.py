"""What keeps a list cheap: the time of its queries, what it counts, its rows' addresses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import ActionLocation
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import OperationalError, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from psycopg.errors import QueryCanceled

from accounts.admin.changes.links import may_be_key

# So many rows of a list are counted and paged through.
MOST_COUNTED = 5_000


class BoundedPaginator(Paginator[Any]):
    """Counts the rows up to MOST_COUNTED; further ones are found by searching."""

    @cached_property
    def is_cut(self) -> bool:
        return self._counted > MOST_COUNTED

    @cached_property
    def count(self) -> int:
        return min(self._counted, MOST_COUNTED)

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: MOST_COUNTED + 1].count())


class BoundedList[M: Model](admin.ModelAdmin[M]):
    """A list that is counted within bounds, and whose actions take rows of it alone."""

    paginator = BoundedPaginator

    def action_checkbox(self, obj: M) -> SafeString:
        """Write the box that chooses a row: Django renders three templates of a form for each."""
        return format_html(
            '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">',
            ACTION_CHECKBOX_NAME,
            str(obj.pk),
            f"Select this object for an action - {obj}",
        )

    def response_action(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        action_location: ActionLocation = ActionLocation.CHANGE_LIST,
    ) -> HttpResponse | None:
        """Refuse ids that are none, and “all” of more rows than are counted, or counted in time."""
        problem, chosen = "", request.POST.getlist(ACTION_CHECKBOX_NAME)
        takes_all = forms.BooleanField(required=False).clean(request.POST.get("select_across"))
        if takes_all and not in_time(lambda: not BoundedPaginator(queryset, 1).is_cut):
            problem = f"These are more than {MOST_COUNTED:,} rows: search or filter first."
        elif not all(may_be_key(self.model, each) for each in chosen):
            problem = "Choose rows of this list."
        if not problem:
            return super().response_action(request, queryset, action_location)
        self.message_user(request, problem, messages.WARNING)
        return HttpResponseRedirect(request.get_full_path())


class LinkedList(ChangeList):
    """Makes all addresses of its rows from that of the list, as Django's routes do.

    Django itself tries the routes for each row: once for the address, and once more for the list's
    filters, which it adds to it.
    """

    def __init__(self, *options: Any, **more: Any) -> None:
        super().__init__(*options, **more)
        self._kept, self.preserved_filters = self.preserved_filters, ""

    @cached_property
    def _below(self) -> str:
        site = self.model_admin.admin_site.name
        list_page = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return reverse(list_page, current_app=site)

    def url_for_result(self, result: Model) -> str:
        page = f"{self._below}{quote(getattr(result, self.pk_attname))}/change/"
        return f"{page}?{self._kept}" if self._kept else page


def in_time[Found](read: Callable[[], Found]) -> Found | None:
    """Return what is read; None where the database stopped it, because it took too long."""
    try:
        with transaction.atomic():
            return read()
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        return None
