"""How the programs in benches/servers get what they need, and how they are started then.

Every rival has a place of its own below .venv/rivals, so that no two have to agree on a dependency and one that cannot
be had does not keep out another. What was installed once is used again until the kit changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

SERVERS = Path(__file__).resolve().parent.parent / "servers"


class Unavailable(Exception):
    """A server cannot take part; says why."""


@dataclass(frozen=True)
class Ready:
    command: list[str]
    """What is run, with the port and the mode to follow."""
    versions: str


@dataclass(frozen=True)
class Kit:
    """What a program needs."""

    program: str
    """Its file in benches/servers."""

    def make(self, place: Path) -> Ready:
        """Installs into `place`, an empty folder."""
        raise NotImplementedError

    def state(self) -> str:
        """What is installed is of use for as long as this stays the same."""
        return repr(self)

    def ready(self, place: Path) -> Ready:
        """Installs if that has not been done yet. Raises `Unavailable`."""
        note = place / "ready.json"
        if note.exists():
            noted = json.loads(note.read_text())
            if noted["state"] == self.state():
                return Ready(**noted["ready"])
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        made = self.make(place)
        note.write_text(json.dumps({"state": self.state(), "ready": asdict(made)}))
        return made


@dataclass(frozen=True)
class Here(Kit):
    """A Python that is given, with packages that are there."""

    python: str
    packages: tuple[str, ...]

    def ready(self, place: Path) -> Ready:
        # The wheel may have been built anew.
        place.mkdir(parents=True, exist_ok=True)
        return self.make(place)

    def make(self, place: Path) -> Ready:
        return Ready([self.python, str(SERVERS / self.program)], package_versions(self.python, self.packages, place))


@dataclass(frozen=True)
class Venv(Kit):
    """A virtual environment with packages from PyPI."""

    packages: tuple[str, ...]
    """The first is the rival."""
    at_least: tuple[int, int] = (3, 10)
    """The oldest Python that it runs on."""
    debian: tuple[str, ...] = ()
    """Shared libraries that the wheel does not bring along."""

    def make(self, place: Path) -> Ready:
        run([find_python(self.at_least), "-m", "venv", str(place / "venv")])
        python = str(place / "venv" / "bin" / "python")
        run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.packages])
        if self.debian:
            install_debian(self.debian)
        versions = package_versions(python, self.packages, place)
        if self.at_least > (3, 10):
            versions += f", {python_version(python)}"
        return Ready([python, str(SERVERS / self.program)], versions)


@dataclass(frozen=True)
class Npm(Kit):
    """Packages from the npm registry, for Node or for a runtime that is one of them."""

    packages: tuple[str, ...]
    """The first is the rival."""
    runtime: str = "node"

    def make(self, place: Path) -> Ready:
        if not shutil.which("npm"):
            raise Unavailable("there is no npm")
        run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(place), *self.packages])
        modules = place / "node_modules"
        versions = [
            f"{name} {json.loads((modules / name / 'package.json').read_text())['version']}" for name in self.packages
        ]
        runtime = modules / ".bin" / self.runtime
        command = str(runtime) if runtime.exists() else self.runtime
        version = run([command, "--version"]).strip()
        if self.runtime not in self.packages:
            versions.append(f"{self.runtime} {version.removeprefix('v')}")
        return Ready([command, str(SERVERS / self.program)], ", ".join(versions))


@dataclass(frozen=True)
class Compiled(Kit):
    """A program that is made of its source."""

    def state(self) -> str:
        return f"{self!r} {hashlib.sha256((SERVERS / self.program).read_bytes()).hexdigest()}"


@dataclass(frozen=True)
class C(Compiled):
    """One C file and the C library."""

    flags: tuple[str, ...] = ("-O2",)

    def make(self, place: Path) -> Ready:
        compiler = os.environ.get("CC", "cc")
        run([compiler, *self.flags, "-o", str(place / "program"), str(SERVERS / self.program)])
        return Ready([str(place / "program")], run([compiler, "--version"]).splitlines()[0])


@dataclass(frozen=True)
class UWebSockets(Compiled):
    """uWebSockets in C++. Its sources are had from the Rust crate that packs them, as it is in no other registry."""

    crate: str = "libuwebsockets-sys"
    version: str = "0.0.10"
    flags: tuple[str, ...] = ("-O3", "-DLIBUS_NO_SSL", "-DUWS_NO_ZLIB")
    parts: tuple[str, ...] = ("bsd", "context", "loop", "socket", "udp", "eventing/epoll_kqueue")

    def make(self, place: Path) -> Ready:
        sources = self.fetch(place) / "uWebSockets"
        c, cpp = os.environ.get("CC", "cc"), os.environ.get("CXX", "c++")
        includes = [f"-I{sources / 'uSockets' / 'src'}", f"-I{sources / 'src'}"]
        objects = []
        for part in self.parts:
            objects.append(str(place / f"{Path(part).name}.o"))
            source = sources / "uSockets" / "src" / f"{part}.c"
            run([c, *self.flags, *includes, "-c", str(source), "-o", objects[-1]])
        program = str(place / "program")
        run([cpp, "-std=c++20", *self.flags, *includes, str(SERVERS / self.program), *objects, "-o", program])
        version = run([cpp, "--version"]).splitlines()[0]
        return Ready([program], f"uWebSockets of {self.crate} {self.version}, {version}")

    def fetch(self, place: Path) -> Path:
        """The crate's folder, through a package that depends on it."""
        manifest = place / "Cargo.toml"
        manifest.write_text(
            '[package]\nname = "sources"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n'
            f'[workspace]\n[dependencies]\n{self.crate} = "={self.version}"\n'
        )
        (place / "lib.rs").touch()
        described = run(["cargo", "metadata", "--format-version=1", "--manifest-path", str(manifest)])
        found = [package for package in json.loads(described)["packages"] if package["name"] == self.crate]
        return Path(found[0]["manifest_path"]).parent


def run(command: list[str]) -> str:
    """What a command prints. Raises `Unavailable` with its last words."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    except FileNotFoundError:
        raise Unavailable(f"there is no {command[0]}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{Path(command[0]).name} did not end within 600 s") from None
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{Path(command[0]).name}: {last_line(error.stderr or error.stdout)}") from None


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def find_python(at_least: tuple[int, int]) -> str:
    """This Python if it is new enough, else the newest of those on the PATH and pyenv's."""
    if sys.version_info >= at_least:
        return sys.executable
    names = [f"python3.{minor}" for minor in range(20, at_least[1] - 1, -1)]
    found = [path for name in names if (path := shutil.which(name))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for path in sorted(pyenv.glob("3.*/bin/python"), reverse=True)]
    for path in found:
        code = f"import sys; sys.exit(sys.version_info < {at_least})"
        if subprocess.run([path, "-c", code], capture_output=True).returncode == 0:
            return path
    raise Unavailable(f"it needs Python {at_least[0]}.{at_least[1]} and there is none")


def python_version(python: str) -> str:
    return run([python, "-V"]).strip()


def package_versions(python: str, packages: tuple[str, ...], place: Path) -> str:
    code = "import importlib.metadata as m, sys\nprint(', '.join(f'{name} {m.version(name)}' for name in sys.argv[1:]))"
    found = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, cwd=place)
    if found.returncode != 0:
        raise Unavailable(last_line(found.stderr))
    return found.stdout.strip()


def install_debian(packages: tuple[str, ...]) -> None:
    """Installs Debian's packages if this is root on such a system.

    If that is not so, or fails, they may be there all the same; if they are not, the server will say so when it starts.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    with contextlib.suppress(Unavailable):
        run(["apt-get", "update"])
        run(["apt-get", "install", "--yes", "--no-install-recommends", *packages])
