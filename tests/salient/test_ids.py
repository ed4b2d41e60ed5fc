from django.test import SimpleTestCase

from salient.api.problems import NotFound
from salient.api.schemas import path_uuid
from salient.ids import parse_uuid, uuid7
from salient.ttl import TTLCache, forget_rows


class Uuid7Tests(SimpleTestCase):
    def test_is_a_version_7_uuid(self) -> None:
        made = uuid7()
        self.assertEqual((made.version, made.variant), (7, "specified in RFC 4122"))

    def test_later_ids_sort_later(self) -> None:
        made = [uuid7() for _ in range(1_000)]
        moments = [value.int >> 64 for value in made]

        self.assertEqual(moments, sorted(moments))
        self.assertEqual(len(set(made)), 1_000)


class ParseTests(SimpleTestCase):
    def test_an_id_is_read_and_other_text_is_none(self) -> None:
        made = uuid7()

        self.assertEqual((parse_uuid(str(made)), path_uuid(made.hex, "session")), (made, made))
        for text in ("", "1", "x" * 32, f"{made}0"):
            with self.subTest(text):
                self.assertIsNone(parse_uuid(text))
                self.assertRaises(NotFound, path_uuid, text, "session")


class TTLCacheTests(SimpleTestCase):
    def test_forgets_after_its_time(self) -> None:
        gone: TTLCache[str, int] = TTLCache(seconds=-1)
        gone.put("a", 1)

        self.assertIsNone(gone.get("a"))

    def test_the_oldest_gives_way(self) -> None:
        cache: TTLCache[str, int] = TTLCache(seconds=60, size=2)
        for number, key in enumerate("aba" + "c"):
            cache.put(key, number)

        self.assertEqual([cache.get(key) for key in "abc"], [2, None, 3])

    def test_only_what_rows_say_is_forgotten_with_a_change_of_rows(self) -> None:
        rows: TTLCache[str, int] = TTLCache(seconds=60)
        counts: TTLCache[str, int] = TTLCache(of_rows=False)
        for cache in (rows, counts):
            cache.put("a", 1)

        forget_rows()

        self.assertEqual((rows.get("a"), counts.get("a")), (None, 1))

    async def test_a_value_is_loaded_once_and_none_is_not_stored(self) -> None:
        cache: TTLCache[tuple[str, int], str] = TTLCache()
        loaded: list[str] = []

        def load(name: str, number: int) -> str | None:
            loaded.append(name)
            return f"{name}{number}" if number else None

        self.assertEqual([await cache.get_or_load(load, "a", 1) for _ in range(2)], ["a1", "a1"])
        self.assertEqual([await cache.get_or_load(load, "b", 0) for _ in range(2)], [None, None])
        self.assertEqual((loaded, cache.get(("a", 1))), (["a", "b", "b"], "a1"))
