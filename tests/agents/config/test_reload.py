"""Configuration follows its files, and the last good version serves while they are broken."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from unittest.mock import patch

from agents.config.effective import EffectiveConfig
from agents.config.errors import ConfigError
from agents.config.files import InstanceFiles
from agents.config.loader import RECHECK_SECONDS, SETTLE_SECONDS, Loader
from tests.support.config_files import MODEL, ConfigFiles


class ReloadTests(ConfigFiles):
    """The test sets the time: each call of `turn` reads the configuration at a given second."""

    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0
        self.written_ago = 0.0
        self.loader = Loader(clock=lambda: self.now, wall_clock=self.wall_clock)
        self.files = InstanceFiles(self.base, "acme", "bot")
        self.configure("retries: 1")

    def configure(self, text: str) -> Path:
        return self.write("acme/bot/config.yaml", text)

    def wall_clock(self) -> float:
        """The time at which the newest file was written `written_ago` seconds ago."""
        newest = max(path.stat().st_mtime for path in self.base.rglob("*") if path.is_file())
        return newest + self.written_ago

    def turn(self, override: dict[str, Any] | None = None) -> EffectiveConfig:
        return self.loader.load(self.files, override)

    def later(self, seconds: float) -> EffectiveConfig:
        self.now += seconds
        return self.turn()

    def settled(self) -> EffectiveConfig:
        """Return what a turn gets once a change has been looked at twice."""
        self.later(RECHECK_SECONDS)
        return self.later(SETTLE_SECONDS)

    def test_a_change_is_in_force_once_it_was_seen_twice(self) -> None:
        self.assertEqual(self.turn().config.retries, 1)
        self.configure("retries: 2")
        self.assertEqual(self.turn().config.retries, 1)
        self.assertEqual(self.later(RECHECK_SECONDS).config.retries, 1)
        self.assertEqual(self.later(SETTLE_SECONDS).config.retries, 2)

    def test_a_change_that_was_saved_a_while_ago_is_in_the_next_answer(self) -> None:
        self.turn()
        self.configure("retries: 2")
        self.written_ago = SETTLE_SECONDS + 0.01

        self.assertEqual(self.later(RECHECK_SECONDS).config.retries, 2)

    def test_a_file_that_is_gone_for_a_moment_is_waited_for(self) -> None:
        self.turn()
        self.written_ago = 60
        path = self.base / "acme/bot/config.yaml"
        path.unlink()
        self.assertEqual(self.later(RECHECK_SECONDS).config.retries, 1)
        self.configure("retries: 3")
        self.assertEqual(self.later(SETTLE_SECONDS).config.retries, 3)

    def test_every_layer_is_watched(self) -> None:
        self.turn()
        for path, text, key in [
            ("defaults.yaml", f"model: {MODEL}\nhistory_limit: 3", "history_limit"),
            ("acme/account.yaml", "temperature: 1", "temperature"),
            ("acme/bot/system_prompt.md", "Be kind.", "system_prompt"),
        ]:
            with self.subTest(path):
                before = self.turn()
                self.write(path, text)
                after = self.settled()
                self.assertNotEqual(after.content[key], before.content[key])

    def test_a_file_that_is_still_being_written_is_left_alone(self) -> None:
        self.turn()
        for length in range(1, 5):
            self.configure("retries: 5"[:-length] + "#" * length)
            self.assertEqual(self.later(RECHECK_SECONDS).config.retries, 1)
            self.assertIsNone(self.turn().error)

    def test_a_file_that_is_away_for_a_moment_changes_nothing(self) -> None:
        self.turn()
        self.configure("").unlink()
        self.assertEqual(self.later(RECHECK_SECONDS).config.retries, 1)
        self.configure("retries: 3")
        self.assertEqual(self.later(SETTLE_SECONDS).config.retries, 1)
        self.assertEqual(self.later(SETTLE_SECONDS).config.retries, 3)

    def test_a_file_replaced_by_one_of_the_same_size_and_age_is_noticed(self) -> None:
        path = self.configure("retries: 1")
        self.turn()
        new = self.write("acme/bot/new", "retries: 4")
        old = path.stat()
        os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
        new.replace(path)
        self.assertEqual(self.settled().config.retries, 4)

    def test_a_broken_file_keeps_the_last_good_version_until_it_is_good_again(self) -> None:
        good = self.turn()
        self.configure("retries: [")
        with self.assertLogs("agents.config", "ERROR") as logs:
            broken = self.settled()
            self.assertEqual(self.later(RECHECK_SECONDS), broken)
            self.assertEqual(self.later(RECHECK_SECONDS), broken)
        self.assertEqual(len(logs.records), 1)
        self.assertIn("acme/bot/config.yaml:1", logs.output[0])
        self.assertIn("acme/bot/config.yaml:1", str(broken.error))
        self.assertEqual((broken.config, broken.digest), (good.config, good.digest))

        self.configure("retries: 2")
        with self.assertLogs("agents.config", "INFO") as logs:
            mended = self.settled()
        self.assertEqual((mended.config.retries, mended.error), (2, None))
        self.assertIn("good again", logs.output[0])

    def test_an_error_that_stays_the_same_is_logged_once_for_all_edits(self) -> None:
        self.turn()
        with self.assertLogs("agents.config", "ERROR") as logs:
            for edit in ("nope: 1", "nope: 1 # still", "nope: 1 # still here"):
                self.configure(edit)
                self.assertIn("nope", str(self.settled().error))
        self.assertEqual(len(logs.records), 1)

    def test_a_prompt_file_that_is_gone_keeps_the_last_good_version(self) -> None:
        self.turn()
        (self.base / "acme/bot/system_prompt.md").unlink()
        with self.assertLogs("agents.config", "ERROR"):
            effective = self.settled()
        self.assertEqual(effective.config.system_prompt, "Be brief.")
        self.assertIn("acme/bot/system_prompt.md", str(effective.error))

    def test_a_directory_that_is_gone_keeps_the_last_good_version(self) -> None:
        self.turn()
        self.base.rename(self.base.with_name("away"))
        with self.assertLogs("agents.config", "ERROR"):
            self.assertEqual(self.settled().config.retries, 1)

    def test_while_nothing_was_good_yet_every_turn_says_what_is_wrong(self) -> None:
        self.configure("retries: [")
        for _ in range(2):
            with self.assertRaisesMessage(ConfigError, "acme/bot/config.yaml:1"):
                self.turn()
        self.configure("retries: 2")
        self.assertEqual(self.later(RECHECK_SECONDS).config.retries, 2)

    def test_an_override_is_one_more_layer_over_the_same_files(self) -> None:
        self.assertEqual(self.turn({"retries": 4}).config.retries, 4)
        self.assertEqual(self.turn().config.retries, 1)
        self.assertEqual(self.turn({"retries": 3}).config.retries, 3)

    def test_a_new_override_is_laid_over_the_last_good_files(self) -> None:
        self.turn()
        self.configure("nope: 1")
        with self.assertLogs("agents.config", "ERROR"):
            self.settled()
        published = self.turn({"temperature": 1})
        self.assertEqual((published.config.retries, published.config.temperature), (1, 1.0))
        self.assertIn("nope", str(published.error))

    def test_a_wrong_override_is_never_hidden_by_the_last_good_version(self) -> None:
        self.turn()
        with self.assertRaisesMessage(ConfigError, "published here: retries"):
            self.turn({"retries": "many"})

    def test_files_are_looked_at_once_a_second_and_read_once(self) -> None:
        with (
            patch.object(InstanceFiles, "signature", autospec=True, return_value=()) as looked,
            patch.object(InstanceFiles, "layers", autospec=True, return_value=[]) as read,
        ):
            whole = {"model": MODEL, "system_prompt": "x"}
            for _ in range(50):
                self.turn(whole)
            self.assertEqual((looked.call_count, read.call_count), (1, 1))
            self.later_with(whole)
            self.assertEqual((looked.call_count, read.call_count), (2, 1))

    def later_with(self, override: dict[str, Any]) -> None:
        self.now += RECHECK_SECONDS
        self.turn(override)

    def test_turns_in_many_threads_get_the_same_object_and_read_once(self) -> None:
        together = Barrier(8)

        def turn(_: int) -> EffectiveConfig:
            together.wait(timeout=5)
            return self.turn()

        real = InstanceFiles.layers
        with (
            patch.object(InstanceFiles, "layers", autospec=True, side_effect=real) as read,
            ThreadPoolExecutor(8) as pool,
        ):
            got = list(pool.map(turn, range(8)))
        self.assertEqual(len({id(effective) for effective in got}), 1)
        self.assertEqual(read.call_count, 1)

    def test_writers_and_readers_at_once_never_cause_an_error(self) -> None:
        self.turn()

        def edit(number: int) -> None:
            self.configure("retries: [" if number % 3 else f"retries: {number % 5}")

        def turn(_: int) -> str | None:
            self.now += SETTLE_SECONDS
            return self.turn().config.system_prompt

        with self.assertLogs("agents.config"), ThreadPoolExecutor(8) as pool:
            writing = [pool.submit(edit, number) for number in range(100)]
            reading = [pool.submit(turn, number) for number in range(100)]
            prompts = {task.result() for task in reading}
            for task in writing:
                task.result()
            self.configure("retries: [")
            self.settled()
        self.assertEqual(prompts, {"Be brief."})
