"""Sets Salient up on a machine that has only python3: uv, .venv, the locked packages, .env."""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
LOCKS = ROOT / "requirements"
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# The pip of Debian and Ubuntu as a file: no root is needed to fetch and run it.
PIP_PACKAGE, CERTIFICATES_PACKAGE = "python3-pip-whl", "ca-certificates"
OPENMP_PACKAGE = "libgomp1"
NO_OPENMP = "the local model's runtime cannot be loaded (on Debian: apt-get install libgomp1)"
# One line of a .pth file: a library that is loaded is not looked for on the system again.
LOAD_OPENMP = (
    "import ctypes, os, sys; file = os.path.join(sys.prefix, 'lib', 'libgomp.so.1'); "
    "os.path.exists(file) and ctypes.CDLL(file, ctypes.RTLD_GLOBAL)\n"
)
LARGER_MODEL = "qwen2.5-1.5b"
NO_PIP = (
    "uv is needed to set Salient up, and neither uv nor pip is here. Install one of them "
    "(on Debian and Ubuntu: apt-get install python3-pip) and call make again."
)


class Stop(Exception):
    """Ends the set-up with one line that says what to do."""


def say(text: str) -> None:
    """Print for the person at the terminal; stdout is left to what comes after the set-up."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def run(command: list[str], *, env: dict[str, str] | None = None, quiet: bool = False) -> None:
    """Run a step; its output is shown, or, when quiet, only after a failure."""
    output = subprocess.PIPE if quiet else None
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env=env,
        stdout=output,
        stderr=output,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    if done.returncode:
        detail = f"\n{done.stdout}{done.stderr}".rstrip() if quiet else ""
        raise Stop(f"this step failed: {' '.join(command)}{detail}")


def works(command: list[str]) -> bool:
    """Whether a command is there and ends well."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    except OSError:
        return False
    return done.returncode == 0


# uv


def uv() -> str:
    """The path of uv: the one on PATH, else our own, fetched through pip."""
    on_path, own = shutil.which("uv"), VAR / "uv" / "bin" / "uv"
    if on_path:
        return on_path
    if not works([str(own), "--version"]):
        fetch_uv()
    return str(own)


def fetch_uv() -> None:
    """Install uv into var/uv; nothing outside the checkout changes (PEP 668 safe)."""
    say("Fetching uv …")
    env = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    wheel = None if works([sys.executable, "-m", "pip", "--version"]) else pip_wheel(env)
    if wheel:
        env["PYTHONPATH"] = str(wheel)
    options = ["--quiet", "--disable-pip-version-check", "--no-cache-dir", "--upgrade"]
    target = ["--target", str(VAR / "uv")]
    lock = ["--require-hashes", "-r", str(LOCKS / "uv.txt")]
    run([sys.executable, "-m", "pip", "install", *options, *target, *lock], env=env)


def pip_wheel(env: dict[str, str]) -> Path:
    """A pip that runs from its wheel, for a Python without pip: Python's own copy or Debian's."""
    bundled = Path(os.__file__).parent / "ensurepip" / "_bundled"
    for wheel in sorted(bundled.glob("pip-*.whl")):
        return wheel
    try:
        return debian_pip_wheel(env)
    except Stop as stop:
        raise Stop(NO_PIP) from stop


def debian_pip_wheel(env: dict[str, str]) -> Path:
    """Fetch Debian's pip with apt, without root and without touching the system."""
    packages = [PIP_PACKAGE]
    if not SYSTEM_CERTIFICATES.exists() and not env.get("PIP_CERT"):
        packages.append(CERTIFICATES_PACKAGE)
    unpacked = download_packages(packages)
    if CERTIFICATES_PACKAGE in packages:
        env["PIP_CERT"] = str(certificate_bundle(unpacked))
    return first(unpacked, "usr/share/python-wheels/pip-*.whl")


def download_packages(packages: list[str]) -> Path:
    """Unpack Debian packages under var/apt, without root, and return where."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Stop("this is no Debian")
    folder = VAR / "apt"
    unpacked = folder / "unpacked"
    unpacked.mkdir(parents=True, exist_ok=True)
    options = private_apt(folder)
    download = ["apt-get", *options, "download", *packages]
    try:
        # Fresh lists of our own: those of a slim image are missing or stale.
        run(["apt-get", *options, "update"], quiet=True)
        subprocess.run(download, cwd=folder, check=True, capture_output=True)
        for package in folder.glob("*.deb"):
            run(["dpkg-deb", "-x", str(package), str(unpacked)], quiet=True)
    except subprocess.CalledProcessError as error:
        raise Stop(f"apt cannot fetch {' '.join(packages)}") from error
    return unpacked


def first(folder: Path, pattern: str) -> Path:
    """The file in a folder that matches."""
    for path in sorted(folder.glob(pattern)):
        return path
    raise Stop(f"there is no {pattern} in {folder}")


def private_apt(folder: Path) -> list[str]:
    """Options that keep apt's lists and cache in a folder of our own."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": folder / "cache",
        "Debug::NoLocking": "true",
        # apt's own user could not write below a home directory.
        "APT::Sandbox::User": "root",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def certificate_bundle(unpacked: Path) -> Path:
    """One file of all certificates in the unpacked package, as a slim image has none."""
    bundle = VAR / "apt" / "ca-certificates.pem"
    parts = sorted(unpacked.glob("usr/share/ca-certificates/**/*.crt"))
    bundle.write_text("".join(part.read_text() for part in parts))
    return bundle


def uv_environment(command: str) -> dict[str, str]:
    """Where uv keeps its things: below var/ when it is our own, else as its owner set it."""
    env = {**os.environ, "VIRTUAL_ENV": str(VENV), "UV_NO_PROGRESS": "1"}
    if Path(command).is_relative_to(VAR):
        env.setdefault("UV_CACHE_DIR", str(VAR / "cache" / "uv"))
        env.setdefault("UV_PYTHON_INSTALL_DIR", str(VAR / "python"))
        env.setdefault("UV_LINK_MODE", "copy" if os.name == "nt" else "hardlink")
    return env


def call_uv(*arguments: str) -> None:
    """Run uv in the checkout."""
    command = uv()
    run([command, "--quiet", *arguments], env=uv_environment(command))


# The virtual environment


def install(name: str, *, dependencies: bool = True) -> None:
    """Install one lock file into .venv, unless exactly that was done before."""
    lock = LOCKS / f"{name}.txt"
    stamp = VENV / f".salient-{name}"
    wanted = hashlib.sha256(lock.read_bytes() + python_version().encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted and works([str(VENV_PYTHON), "-V"]):
        return
    make_venv()
    say(f"Installing requirements/{name}.txt …")
    options = [] if dependencies else ["--no-deps"]
    call_uv("pip", "install", *options, "--require-hashes", "-r", str(lock))
    stamp.write_text(wanted)


def python_version() -> str:
    """The Python that Salient runs on."""
    return (ROOT / ".python-version").read_text().strip()


def make_venv() -> None:
    """Make .venv with the wanted Python; a broken or older one is replaced."""
    major_minor = python_version().replace(".", ", ")
    wanted = f"import sys; sys.exit(sys.version_info[:2] != ({major_minor}))"
    if works([str(VENV_PYTHON), "-c", wanted]):
        return
    say(f"Making .venv with Python {python_version()} …")
    call_uv("venv", "--clear", "--python", python_version(), str(VENV))


def install_local_model() -> None:
    """Install the model that answers without a key; the demo also works without it."""
    try:
        install("local", dependencies=False)
        make_runtime_work()
        if os.environ.get("LOCAL_MODEL") == LARGER_MODEL:
            say(f"{LARGER_MODEL} is about 1 GB: the first time takes a while.")
            install("local-qwen", dependencies=False)
    except Stop as stop:
        say(f"{stop}\nThe local model is not available here: the demo answers with `scripted`.")


def make_runtime_work() -> None:
    """See that the model's runtime can be loaded; a bare Debian lacks a library that it needs."""
    load = [str(VENV_PYTHON), "-c", "import xllamacpp"]
    if works(load):
        return
    try:
        add_openmp()
    except Stop as stop:
        raise Stop(NO_OPENMP) from stop
    if not works(load):
        raise Stop(NO_OPENMP)


def add_openmp() -> None:
    """Put Debian's OpenMP library into .venv, to be loaded whenever its Python starts."""
    say("Fetching libgomp …")
    library = first(download_packages([OPENMP_PACKAGE]), "usr/lib/*/libgomp.so.1")
    shutil.copyfile(str(library.resolve()), str(VENV / "lib" / "libgomp.so.1"))
    packages = first(VENV, "lib/python*/site-packages")
    (packages / "salient_libgomp.pth").write_text(LOAD_OPENMP)


def environment() -> None:
    """Write what .env lacks."""
    run([str(VENV_PYTHON), "-m", "salient.local.environment_file"])


# The port


def check_port() -> None:
    """Stop when HOST:PORT is not to be had, before anything else is done."""
    host, text = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Stop(f"PORT={text} is not a port: give a number from 1 to 65535.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, int(text), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        of_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        cure = "HOST is to be an address of this machine" if of_host else "Try make run PORT=8001"
        raise Stop(f"{host}:{text} cannot be used: {reason}. {cure}.") from error


# The locks

LOCK_FILES = {
    "dev": ["pyproject.toml", "--group", "dev"],
    "base": ["pyproject.toml", "-c", "requirements/dev.txt"],
    "run": ["pyproject.toml", "--group", "embedded", "-c", "requirements/dev.txt"],
    "local": ["--group", "local", "--no-deps"],
    "local-qwen": ["--group", "local-qwen", "--no-deps"],
    "uv": ["--group", "bootstrap", "--no-deps"],
}


def lock() -> None:
    """Resolve pyproject.toml into requirements/*.txt, with hashes and for every platform."""
    options = ["--universal", "--generate-hashes", "--no-emit-index-url", "--no-header"]
    for name, arguments in LOCK_FILES.items():
        say(f"requirements/{name}.txt")
        target = ["--python-version", python_version(), "-o", f"requirements/{name}.txt"]
        call_uv("pip", "compile", *options, *arguments, *target)


def main() -> int:
    """Do one step of the set-up."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("install").add_argument("name")
    for name in ("port", "local-model", "environment", "lock"):
        steps.add_parser(name)
    arguments = parser.parse_args()
    actions = {
        "port": check_port,
        "local-model": install_local_model,
        "environment": environment,
        "lock": lock,
        "install": lambda: install(arguments.name),
    }
    try:
        actions[arguments.step]()
    except Stop as stop:
        say(f"salient: {stop}")
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not error.filename:
            raise
        say(f"salient: {error.filename} cannot be used: {str(error.strerror).lower()}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
