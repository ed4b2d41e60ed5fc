from __future__ import annotations

from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.http import HttpRequest, HttpResponse
from django.test import SimpleTestCase, override_settings
from django.urls import include, path

from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.auth.route_checks import undeclared
from accounts.models import Scope
from salient.security.checks import faults
from salient.urls import urlpatterns as all_urls


async def planted(_request: HttpRequest, **_names: str) -> HttpResponse:
    return HttpResponse("everything")


@api_view("GET", scope=Scope.CHAT)
async def declared(_request: ApiRequest) -> HttpResponse:
    return HttpResponse()


@api_view("POST", scope="everything")  # type: ignore[arg-type]
async def misspelt(_request: ApiRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    *all_urls,
    path("accounts/<str:account>/", include(([path("export", planted)], "planted"))),
]


class RouteCheckTests(SimpleTestCase):
    def test_every_route_of_the_product_declares_its_scope(self) -> None:
        self.assertEqual([e for e in run_checks() if e.id == "accounts.E010"], [])

    @override_settings(ROOT_URLCONF=__name__)
    def test_the_project_does_not_start_with_a_route_that_declares_none(self) -> None:
        with self.assertRaisesMessage(SystemCheckError, "accounts/<str:account>/export"):
            call_command("check")

    @override_settings(ROOT_URLCONF=__name__)
    def test_the_server_says_so_as_well(self) -> None:
        # The tests' own settings are refused, too.
        routes = [fault for fault in faults() if "scope" in fault]
        self.assertEqual(len(routes), 1)
        self.assertIn("accounts/<str:account>/export", routes[0])

    def test_what_counts_as_declared(self) -> None:
        for view, errors in (
            (declared, 0),
            (by_method(declared), 0),
            (planted, 1),
            (misspelt, 1),
            (by_method(declared, misspelt), 1),
        ):
            with self.subTest(view=view):
                self.assertEqual(len(undeclared([("accounts/x", view)])), errors)

    def test_pages_authenticate_themselves(self) -> None:
        self.assertEqual(undeclared([("accounts/x/", planted), ("admin/^a/$", planted)]), [])
