"""Templates and sheets as a whole: each template compiles, the admin's sheet stays small."""

from django.template.loader import get_template
from django.test import SimpleTestCase

from tests.project.source_tree import ROOT, templates

LARGEST_SHEET = 16_000


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
