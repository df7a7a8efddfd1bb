"""The wheel, as others install it: in an environment that has it and its dependencies, and nothing of this checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

from tests.support.processes import ROOT

SCRIPT = "from kafkajourney.control.cli import main; main()"


def built(folder: Path) -> Path:
    """Build the wheel into a folder; return it."""
    how = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "wheel", *how, "--wheel-dir", str(folder), "."]
    subprocess.run(command, cwd=ROOT, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


class Installed:
    """An environment with the wheel; its dependencies are this environment's, without the path to the checkout."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        asked = [str(self.python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        own = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(own)
        # A plain line: the .pth files of that folder, which lead to the checkout, are not read.
        (own / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
        self.top_level = {path.name for path in own.iterdir()} - {"dependencies.pth"}
        self.variables = {n: v for n, v in os.environ.items() if not n.startswith(("KAFKAJOURNEY_", "PYTHON"))}

    def kafkajourney(self, folder: Path, *arguments: str, code: int = 0) -> str:
        """Run the console script in a folder, which it does not look into for modules; return what it printed."""
        return self.run(folder, "-P", "-c", SCRIPT, *arguments, code=code)

    def run(self, folder: Path, *arguments: str, code: int = 0) -> str:
        """Run Python in a folder to its end; return what it printed."""
        return self.command(folder, str(self.python), *arguments, code=code)

    def command(self, folder: Path, *arguments: str, code: int = 0, **variables: str) -> str:
        """Run any command in a folder to its end; return what it printed."""
        done = subprocess.run(
            arguments,
            cwd=folder,
            env=self.variables | variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == code, printed
        assert "Traceback" not in printed or "pytest" in arguments, printed
        return printed

    def start(self, folder: Path, *arguments: str) -> subprocess.Popen[str]:
        """Start Python in a folder."""
        command = [str(self.python), *arguments]
        out, err = subprocess.PIPE, subprocess.STDOUT
        return subprocess.Popen(command, cwd=folder, env=self.variables, stdout=out, stderr=err, text=True)
