"""What a build from a clone says of what it will lack."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("socketio/client-dist/socket.io.js", "client/hubbub.js.gz", "projects/chat/app.py")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build script of the extension, compiled."""
    if shutil.which("rustc") is None:
        pytest.skip("there is no rustc here")
    script = tmp_path_factory.mktemp("build") / "script"
    subprocess.run(["rustc", "--edition", "2024", "-o", script, ROOT / "rust/py/build.rs"], check=True)
    return script


@pytest.mark.parametrize("missing", [(), *((part,) for part in PARTS), PARTS])
def test_a_build_without_what_make_puts_together_says_what_it_lacks(
    script: Path, tmp_path: Path, missing: tuple[str, ...]
) -> None:
    (tmp_path / "rust/py").mkdir(parents=True)
    for part in PARTS:
        if part not in missing:
            file = tmp_path / "python/hubbub" / part
            file.parent.mkdir(parents=True)
            file.touch()
    said = subprocess.run([script], cwd=tmp_path / "rust/py", capture_output=True, text=True, check=True).stdout
    warnings = [line for line in said.splitlines() if line.startswith("cargo:warning=")]
    assert len(warnings) == bool(missing)
    words = dict(zip(PARTS, ("Socket.IO client", "compressed forms", "hubbub new"), strict=True))
    for part, word in words.items():
        assert (word in "".join(warnings)) == (part in missing)
    assert all("make wheel" in warning for warning in warnings)
