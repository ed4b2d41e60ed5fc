"""Configuration is read from below its directory, from plain files, and from nowhere else."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from agents import config
from tests.support.config_files import MODEL, ConfigFiles


class PathTests(ConfigFiles):
    def setUp(self) -> None:
        super().setUp()
        self.outside = Path(self.enterContext(TemporaryDirectory()))
        (self.outside / "config.yaml").write_text("display_name: stolen")

    def test_only_slugs_become_paths(self) -> None:
        for name in ("..", "", ".", "a/b", "/etc", "a\\b", "A", "bot\n", "bot\0", "é", "a" * 64):
            for slugs in ((name, "bot"), ("acme", name)):
                with self.subTest(slugs), self.assertRaisesMessage(config.ConfigError, "no valid"):
                    config.load(*slugs, base=self.base)

    def test_a_link_that_leads_out_is_refused(self) -> None:
        (self.base / "acme/bot/config.yaml").symlink_to(self.outside / "config.yaml")
        self.assertEqual(
            self.problems(), ["acme/bot/config.yaml: points outside the configuration directory"]
        )

    def test_a_folder_that_leads_out_is_refused(self) -> None:
        (self.base / "acme/evil").symlink_to(self.outside)
        with self.assertRaisesMessage(config.ConfigError, "points outside"):
            config.read("acme", "evil", base=self.base)

    def test_a_link_within_the_directory_is_followed(self) -> None:
        target = self.write("..data/config.yaml", "retries: 4")
        (self.base / "acme/bot/config.yaml").symlink_to(target)
        self.assertEqual(self.read().config.retries, 4)

    def test_the_directory_itself_may_be_a_link(self) -> None:
        link = self.outside / "configs"
        link.symlink_to(self.base)
        self.assertEqual(config.read("acme", "bot", base=link).config.model, MODEL)

    def test_a_link_to_nowhere_is_not_a_missing_file(self) -> None:
        (self.base / "acme/bot/config.yaml").symlink_to("gone.yaml")
        self.assertEqual(
            self.problems(), ["acme/bot/config.yaml: points to a file that does not exist"]
        )

    def test_what_is_no_file_is_refused_and_does_not_block(self) -> None:
        path = self.base / "acme/bot/config.yaml"
        os.mkfifo(path)
        self.assertEqual(self.problems(), ["acme/bot/config.yaml: is not a regular file"])
        path.unlink()
        path.mkdir()
        self.assertEqual(self.problems(), ["acme/bot/config.yaml: is not a regular file"])

    def test_a_file_in_a_folder_s_place_is_an_error(self) -> None:
        self.write("beta", "not a folder")
        with self.assertRaisesMessage(config.ConfigError, "beta/account.yaml: cannot be read"):
            config.read("beta", "bot", base=self.base)

    def test_a_large_file_is_refused(self) -> None:
        self.write("acme/bot/system_prompt.md", "x" * (64 * 1024 + 1))
        self.assertEqual(self.problems(), ["acme/bot/system_prompt.md: is larger than 64 KB"])

    def test_the_largest_file_is_read(self) -> None:
        self.write("acme/bot/system_prompt.md", "x" * (64 * 1024))
        self.assertEqual(len(self.read().config.system_prompt), 64 * 1024)
