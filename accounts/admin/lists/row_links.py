"""The links from the rows of a list to their pages."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model
from django.urls import reverse


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
