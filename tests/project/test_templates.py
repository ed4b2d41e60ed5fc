"""Templates and sheets as a whole: each template compiles, the admin's pages are of one make."""

import re

from django.template.loader import get_template
from django.test import SimpleTestCase

from tests.project.source_tree import ROOT, place, sources, templates

LARGEST_SHEET = 16_000
# The templates with buttons that send a form. A page with one form extends the first.
FORMS = {
    "admin/plain_form.html",
    # Two views of one text side by side, kept while one types.
    "admin/instance/edit.html",
    # Five forms that are sent together.
    "admin/onboarding.html",
    # One of several forms on a page; a download; a choice that is part of an address.
    "admin/lifecycle/form.html",
    "admin/lifecycle/account.html",
    "admin/account_choice.html",
    # One button above a form of Django's.
    "admin/connection/change.html",
    "admin/member/invitation.html",
    "admin/support/access.html",
}


class TemplateTests(SimpleTestCase):
    def test_each_template_compiles(self) -> None:
        # What `extends` and `block` refuse is found where the template is read, not before.
        names = list(templates())
        self.assertGreater(len(names), 50)
        for name in names:
            with self.subTest(name):
                get_template(name)

    def test_the_sheet_of_every_page_stays_small(self) -> None:
        self.assertLess((ROOT / "static" / "admin.css").stat().st_size, LARGEST_SHEET)

    def test_pages_with_a_form_share_one_template(self) -> None:
        found = {
            str(path.relative_to(ROOT / "templates"))
            for path in (ROOT / "templates" / "admin").rglob("*.html")
            if 'class="submit-row"' in path.read_text()
        }
        self.assertEqual(found, FORMS)

    def test_one_function_makes_the_addresses_of_rows(self) -> None:
        found = {
            place(path)
            for path in sources()
            if re.search(r'(admin:\w+_\w+|name\})_change"', path.read_text())
        }
        self.assertEqual(found, {"accounts/admin/formatting.py"})
