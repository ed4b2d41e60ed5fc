"""/metrics: who gets it, which labels there are, and the files of processes that have ended."""

from __future__ import annotations

import errno
import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from django.test import SimpleTestCase, TestCase, override_settings
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

from salient.observability import count_files, multiprocess, stored
from salient.observability.count_files import ReservedDict
from salient.observability.recorder import MOST_CODES, provider_of, shared
from sessions_app.usage.figures import accounts_today
from tests.support.api_client import ApiClient
from tests.support.commands import python
from tests.support.usage import busy_account

TOKEN = "a-token-of-prometheus"


class TokenTests(SimpleTestCase):
    async def test_without_a_token_it_is_not_there(self) -> None:
        answer = await ApiClient().get("/metrics")

        self.assertEqual((answer.status, answer.json()["code"]), (404, "unknown_route"))
        self.assertNotEqual(answer.json()["nearest"], "/metrics")

    async def test_another_token_is_refused(self) -> None:
        with override_settings(METRICS_TOKEN=TOKEN):
            for sent in (None, f"{TOKEN}x", TOKEN[:-1], "", "ä"):
                answer = await ApiClient(sent).get("/metrics")
                self.assertEqual(answer.status, 401, sent)
                self.assertEqual(answer.headers["www-authenticate"], "Bearer")


class LabelTests(SimpleTestCase):
    def test_the_connections_of_accounts_are_one_provider(self) -> None:
        self.assertEqual(provider_of("connection/acme-vllm"), "connection")
        self.assertEqual(provider_of("openai"), "openai")

    def test_codes_are_words_and_not_too_many(self) -> None:
        recorder = shared()
        known = set(recorder._codes)
        self.addCleanup(setattr, recorder, "_codes", known)

        recorder.refusal("No Code!\n")
        for number in range(MOST_CODES + 5):
            recorder.refusal(f"code_{number}")

        self.assertLessEqual(len(recorder._codes), MOST_CODES + 1)
        self.assertNotIn("No Code!\n", recorder._codes)


class FullDiskTests(SimpleTestCase):
    """Without the space a write into a mapped file ends the process (SIGBUS)."""

    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.path = folder / "counter_1.db"
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.full = mock.patch("os.posix_fallocate", side_effect=full)

    def opened(self) -> Any:
        counts = ReservedDict(str(self.path))
        self.addCleanup(counts.close)
        return counts

    def counts(self, path: Path) -> dict[str, float]:
        found = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
        return {key: value for key, value, _, _ in found}

    def test_the_space_of_a_file_is_taken_before_it_is_written(self) -> None:
        counts = self.opened()
        taken = self.path.stat()
        self.assertGreaterEqual(taken.st_blocks * 512, taken.st_size)
        for number in range(2000):
            counts.write_value(f"key-{number:040}", number, 0)
        grown = self.path.stat()
        self.assertGreater(grown.st_size, taken.st_size)
        self.assertGreaterEqual(grown.st_blocks * 512, grown.st_size)
        self.assertEqual(len(self.counts(self.path)), 2000)

    def test_a_process_without_space_counts_in_memory_and_says_so(self) -> None:
        with self.full, self.assertLogs("salient", "ERROR") as log:
            counts = self.opened()
            for number in range(2000):
                counts.write_value(f"key-{number:040}", number, 0)
        self.assertIn("No space left", log.output[0])
        self.assertEqual(counts.read_value(f"key-{1999:040}")[0], 1999)
        # An empty file would keep all others from being summed.
        self.assertFalse(self.path.exists())

    def test_one_that_grows_into_a_full_disk_goes_on_in_memory(self) -> None:
        counts = self.opened()
        counts.write_value("first", 7, 0)
        with self.full, self.assertLogs("salient", "ERROR"):
            for number in range(2000):
                counts.write_value(f"key-{number:040}", number, 0)
        self.assertEqual(counts.read_value("first")[0], 7)
        self.assertEqual(counts.read_value(f"key-{1999:040}")[0], 1999)
        self.assertEqual(self.counts(self.path)["first"], 7)

    def test_our_metrics_are_kept_in_such_files(self) -> None:
        shared()
        self.assertIs(vars(values)["MmapedDict"], ReservedDict)

    def test_where_no_space_can_be_reserved_they_are_kept_as_the_library_keeps_them(self) -> None:
        with (
            mock.patch.object(values, "MmapedDict", MmapedDict),
            mock.patch("salient.observability.count_files.sys.platform", "darwin"),
        ):
            count_files.use()
            self.assertIs(vars(values)["MmapedDict"], MmapedDict)


class AccountTests(TestCase):
    def test_the_busiest_have_a_label_each_and_the_rest_has_one(self) -> None:
        for slug, turns in (("small", 1), ("large", 9), ("other", 4), ("tiny", 1)):
            busy_account(slug, turns=turns)

        with override_settings(METRICS_ACCOUNTS=2):
            found = {figure.name: figure for figure in accounts_today()}
        self.assertEqual(
            found["account_turns_today"].values, {("large",): 9, ("other",): 4, ("(other)",): 2}
        )
        with override_settings(METRICS_ACCOUNTS=0):
            self.assertEqual(list(accounts_today()), [])


class StoredTests(TestCase):
    async def test_they_say_how_late_the_oldest_job_is(self) -> None:
        late = timezone.now() - timedelta(minutes=7)
        await DBTaskResult.objects.acreate(
            task_path="a.b.some_job",
            run_after=late,
            args_kwargs={"args": [], "kwargs": {}},
            backend_name="default",
            queue_name="default",
            priority=0,
        )

        figures = await stored.read_stored()

        assert figures is not None
        found = {figure.name: figure.values for figure in figures}
        self.assertEqual(found["jobs"], {("some_job", "waiting"): 1})
        self.assertAlmostEqual(found["jobs_due_seconds"][()], 7 * 60, delta=30)
        self.assertEqual(found["webhooks_waiting"], {(): 0})
        self.assertEqual(found["webhooks_due_seconds"], {(): 0})


class FolderTests(SimpleTestCase):
    def setUp(self) -> None:
        self.base = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(tempfile, "tempdir", str(self.base)))
        self.enterContext(mock.patch.dict(os.environ))

    def folders(self) -> set[str]:
        return {path.name for path in self.base.iterdir()}

    def test_those_of_killed_servers_go_and_those_of_others_stay(self) -> None:
        ended = python("import os; print(os.getpid())").strip()
        mine, other = str(os.getpid()), str(os.getppid())
        for number in (ended, mine, other, "x"):
            (self.base / f"salient-metrics-{number}-a").mkdir()

        multiprocess.make_folder()

        left = self.folders() - {Path(os.environ[multiprocess.VARIABLE]).name}
        self.assertEqual(left, {f"salient-metrics-{other}-a", "salient-metrics-x-a"})
        multiprocess.remove_folder()
        self.assertEqual(self.folders(), left)
        self.assertNotIn(multiprocess.VARIABLE, os.environ)

    def test_a_process_that_ended_leaves_its_counters_alone(self) -> None:
        os.environ[multiprocess.VARIABLE] = str(self.base)
        for name in ("gauge_livesum_7", "gauge_livemax_7", "counter_7", "gauge_livesum_77"):
            (self.base / f"{name}.db").touch()

        multiprocess.forget_process(7)

        self.assertEqual(self.folders(), {"counter_7.db", "gauge_livesum_77.db"})


class SumTests(SimpleTestCase):
    def test_two_processes_are_one_sum_also_when_one_has_ended(self) -> None:
        program = (
            "from salient.observability.recorder import of_all_processes, shared\n"
            "shared().turn_status('complete')\n"
            "shared().running_streams.set(3)\n"
            "from prometheus_client import generate_latest\n"
            "print(generate_latest(of_all_processes()).decode())\n"
        )
        with tempfile.TemporaryDirectory() as folder:
            found = [python(program, **{multiprocess.VARIABLE: folder}) for _ in range(2)]

        self.assertIn('salient_turns_total{status="complete"} 2.0', found[1])
