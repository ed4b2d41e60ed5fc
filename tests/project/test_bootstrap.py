"""The set-up of a bare machine: clear lines, no work done twice, secrets made once."""

import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from unittest import TestCase, mock

from salient.local import environment_file
from salient.local.shared_process import ROOT


def load_bootstrap() -> ModuleType:
    """bin/bootstrap.py is a program, not part of a package."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bin" / "bootstrap.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load_bootstrap()


class PortTests(TestCase):
    def check(self, host: str, port: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "bin/bootstrap.py", "port"]
        env = {**os.environ, "HOST": host, "PORT": port}
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )

    def test_a_taken_port_is_one_clear_line(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = self.check("127.0.0.1", str(port))

        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            done.stderr,
            f"salient: 127.0.0.1:{port} cannot be used: address already in use. "
            "Try make run PORT=8001.\n",
        )

    def test_a_free_port_is_fine(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.assertEqual(self.check("127.0.0.1", str(port)).returncode, 0)

    def test_a_host_of_another_machine_is_named_as_the_fault(self) -> None:
        # Reserved for documentation (RFC 5737): no machine has it.
        done = self.check("192.0.2.1", "8000")

        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            done.stderr,
            "salient: 192.0.2.1:8000 cannot be used: cannot assign requested address. "
            "HOST is to be an address of this machine.\n",
        )

    def test_what_is_no_port_or_no_host_is_one_line(self) -> None:
        for host, port in (("127.0.0.1", "http"), ("127.0.0.1", "70000"), ("no.such.invalid", "1")):
            done = self.check(host, port)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)


class InstallTests(TestCase):
    def setUp(self) -> None:
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.root / "requirements").mkdir()
        (self.root / "requirements" / "run.txt").write_text("one==1\n")
        (self.root / ".python-version").write_text("3.13\n")
        bin_folder = self.root / ".venv" / "bin"
        bin_folder.mkdir(parents=True)
        (bin_folder / "python").symlink_to(sys.executable)
        self.calls: list[tuple[str, ...]] = []
        replaced = {
            "ROOT": self.root,
            "VENV": self.root / ".venv",
            "VENV_PYTHON": bin_folder / "python",
            "LOCKS": self.root / "requirements",
            "VAR": self.root / "var",
            "call_uv": lambda *arguments: self.calls.append(arguments),
            "say": lambda text: None,
        }
        for name, value in replaced.items():
            patch = mock.patch.object(bootstrap, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def test_a_lock_is_installed_with_its_hashes_and_only_once(self) -> None:
        bootstrap.install("run")
        bootstrap.install("run")

        self.assertEqual(len(self.calls), 1)
        self.assertIn("--require-hashes", self.calls[0])

    def test_a_changed_lock_is_installed_again(self) -> None:
        bootstrap.install("run")
        (self.root / "requirements" / "run.txt").write_text("one==2\n")
        bootstrap.install("run")

        self.assertEqual(len(self.calls), 2)

    def test_a_failed_install_is_tried_again_the_next_time(self) -> None:
        with (
            mock.patch.object(bootstrap, "call_uv", side_effect=bootstrap.Stop("no network")),
            self.assertRaises(bootstrap.Stop),
        ):
            bootstrap.install("run")
        bootstrap.install("run")

        self.assertEqual(len(self.calls), 1)

    def test_another_python_makes_the_environment_anew(self) -> None:
        (self.root / ".python-version").write_text("3.99\n")
        bootstrap.install("run")

        self.assertEqual([call[0] for call in self.calls], ["venv", "pip"])

    def test_without_the_local_model_the_set_up_goes_on(self) -> None:
        printed: list[str] = []
        with (
            mock.patch.object(bootstrap, "install", side_effect=bootstrap.Stop("no wheel")),
            mock.patch.object(bootstrap, "say", printed.append),
        ):
            bootstrap.install_local_model()

        self.assertIn("the demo answers with `scripted`", printed[0])

    def test_a_runtime_that_cannot_be_loaded_is_reported_and_does_not_stop_it(self) -> None:
        printed: list[str] = []
        with (
            mock.patch.object(bootstrap, "works", return_value=False),
            mock.patch.object(shutil, "which", return_value=None),
            mock.patch.object(bootstrap, "install"),
            mock.patch.object(bootstrap, "say", printed.append),
        ):
            bootstrap.install_local_model()

        self.assertIn("apt-get install libgomp1", printed[-1])
        self.assertIn("the demo answers with `scripted`", printed[-1])

    def test_a_machine_with_neither_pip_nor_apt_reads_what_to_install(self) -> None:
        with (
            mock.patch.object(bootstrap.os, "__file__", str(self.root / "os.py")),
            mock.patch.object(shutil, "which", return_value=None),
            self.assertRaisesRegex(bootstrap.Stop, "apt-get install python3-pip"),
        ):
            bootstrap.pip_wheel({})


class EnvironmentFileTests(TestCase):
    def setUp(self) -> None:
        self.path = Path(self.enterContext(tempfile.TemporaryDirectory())) / ".env"

    def values(self) -> dict[str, str]:
        lines = self.path.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    def test_it_is_made_with_secrets_that_only_its_owner_reads(self) -> None:
        environment_file.complete(self.path)

        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        values = self.values()
        self.assertEqual((values["DEBUG"], values["DEMO"]), ("true", "true"))
        self.assertGreaterEqual(len(values["SECRET_KEY"]), 50)
        self.assertNotEqual(values["SECRET_KEY"], values["API_KEY_PEPPER"])

    def test_two_checkouts_have_different_secrets(self) -> None:
        environment_file.complete(self.path)
        first = self.values()["SECRET_KEY"]
        self.path.unlink()
        environment_file.complete(self.path)
        self.assertNotEqual(self.values()["SECRET_KEY"], first)

    def test_what_stands_there_stays_and_only_what_is_missing_is_added(self) -> None:
        own = "# mine\nexport SECRET_KEY=kept\nDEBUG=false\nOTHER=1"
        self.path.write_text(own)

        self.assertEqual(
            environment_file.complete(self.path),
            ["API_KEY_PEPPER", "SECRET_ENCRYPTION_KEYS", "DEMO"],
        )
        self.assertTrue(self.path.read_text().startswith(f"{own}\n"))
        self.assertEqual(self.path.read_text().count("SECRET_KEY"), 1)
        before = self.path.read_bytes()
        self.assertEqual(environment_file.complete(self.path), [])
        self.assertEqual(self.path.read_bytes(), before)


class MakefileTests(TestCase):
    def test_a_python_too_old_is_one_clear_line(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            old = Path(folder) / "python3"
            old.write_text(
                f"#!{sys.executable}\nimport sys\n"
                "class Old(tuple): __lt__ = lambda self, other: True\n"
                "sys.version_info = Old((3, 7))\nexec(sys.argv[2])\n"
            )
            old.chmod(0o755)
            command = ["make", "--no-print-directory", "run", f"PYTHON3={old}"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

        self.assertEqual(done.returncode, 2)
        self.assertIn("python3 is 3.7, at least 3.9 is needed", done.stderr)
