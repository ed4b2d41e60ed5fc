"""The page with the API's reference: open to everybody, and only what this server serves."""

from __future__ import annotations

import re
from http import HTTPStatus

from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import SimpleTestCase

VIEWER = settings.BASE_DIR / "static/vendor/swagger-ui-dist"


class ReferenceTests(SimpleTestCase):
    def test_it_shows_the_whole_document(self) -> None:
        answer = self.client.get("/docs/", secure=True)

        self.assertEqual(answer.status_code, HTTPStatus.OK)
        self.assertContains(answer, 'data-document="/openapi.json"')

    def test_everything_comes_from_this_server(self) -> None:
        answer = self.client.get("/docs/", secure=True)

        linked = re.findall(r'(?:src|href)="([^"]+)"', answer.content.decode())
        files = [link.removeprefix("/static/") for link in linked if link != "/openapi.json"]
        self.assertEqual(len(files), 6)
        self.assertEqual([name for name in files if finders.find(name) is None], [])
        policy = answer["Content-Security-Policy"]
        self.assertIn("script-src 'self'", policy)
        self.assertNotIn("unsafe", policy)

    def test_the_viewer_has_its_licence_and_version(self) -> None:
        self.assertIn("Apache License", (VIEWER / "LICENSE").read_text())
        self.assertRegex(
            (VIEWER / "README").read_text(), r"^swagger-ui-dist \d+\.\d+\.\d+, Apache-2.0"
        )
        for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
            self.assertNotIn(b"sourceMappingURL=swagger", (VIEWER / name).read_bytes())
