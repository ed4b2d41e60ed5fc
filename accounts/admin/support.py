"""Support accesses in the admin: who reads which account's texts, why and until when."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path

from accounts.admin.base import RecordAdmin, way_back
from accounts.admin.formatting import row_address
from accounts.members import support_access
from accounts.members.staff_roles import StaffRole, register_rights
from accounts.models import Account, SupportAccess, User

register_rights(SupportAccess, StaffRole.SUPPORT, {"add"})


@admin.register(SupportAccess)
class SupportAccessAdmin(RecordAdmin[SupportAccess]):
    """Staff open an access on the page whose texts they need; here they see it and end it."""

    nothing_yet = "Nobody has opened the texts of an account yet."
    menu_place = 2
    # An access is opened at the texts, so the page itself offers no form to add one.
    operator_may = frozenset({"view"})
    list_display = ["staff", "account", "reason", "created_at", "expires_at", "state"]
    list_select_related = ["account"]
    list_filter = ["account"]
    search_fields = ["staff", "reason"]
    search_help_text = "A part of a reason, or of a colleague's address."
    fields = ["staff", "account", "reason", "created_at", "expires_at", "ended_at", "state"]
    change_form_template = "admin/support/access.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("open/", view(self.open_view), name="support-open"),
            path("<uuid:object_id>/end/", view(self.end_view), name="support-end"),
            *super().get_urls(),
        ]

    def open_view(self, request: HttpRequest) -> HttpResponse:
        """Open an access by its form, and lead back to the texts."""
        if not support_access.may_open(request.user):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        form = support_access.ReasonForm(request.POST)
        if form.is_valid():
            data = form.cleaned_data
            try:
                access = support_access.open_access(
                    cast(User, request.user),
                    data["account"],
                    reason=data["reason"],
                    minutes=data["minutes"],
                )
            except ValidationError as error:
                form.add_error(None, error)
            else:
                home = row_address(Account, access.account_id)
                return redirect(way_back(request, home))
        if "account" not in form.cleaned_data:
            messages.error(request, "There is no such account.")
            return redirect("admin:accounts_account_changelist")
        return support_access.reason_page(request, form.cleaned_data["account"].pk, form)

    def render_change_form(self, request: Any, context: Any, *given: Any, **more: Any) -> Any:
        access = more["obj"]
        may_end = support_access.state_of(access) == "open" and self._may_end(request, access)
        return super().render_change_form(request, context | {"may_end": may_end}, *given, **more)

    def _may_end(self, request: HttpRequest, access: SupportAccess) -> bool:
        own = access.user_id == cast(User, request.user).pk
        return own or request.user.has_perm("accounts.change_supportaccess")

    def end_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """End one's own access; who may change accesses ends any."""
        access = get_object_or_404(SupportAccess, pk=object_id)
        if not self._may_end(request, access):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        support_access.end_access(access)
        messages.success(request, "The access has ended.")
        return redirect("admin:accounts_supportaccess_changelist")

    @admin.display(description="state")
    def state(self, access: SupportAccess) -> str:
        return support_access.state_of(access)
