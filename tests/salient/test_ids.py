from django.test import SimpleTestCase

from salient.ids import uuid7
from salient.ttl import TTLCache


class Uuid7Tests(SimpleTestCase):
    def test_is_a_version_7_uuid(self) -> None:
        made = uuid7()
        self.assertEqual((made.version, made.variant), (7, "specified in RFC 4122"))

    def test_later_ids_sort_later(self) -> None:
        made = [uuid7() for _ in range(1_000)]
        moments = [value.int >> 64 for value in made]

        self.assertEqual(moments, sorted(moments))
        self.assertEqual(len(set(made)), 1_000)


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
