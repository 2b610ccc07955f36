"""Tests' side of the stand-in for CRIU, and images for it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import TOP, Box

Record = list[dict[str, Any]]


class StandIn:
    """Puts the stand-in first in $PATH; ``settings`` control its behaviour."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.file = box.directory / "criu.json"
        self.image = box.directory / "image"
        self.directory = box.directory / "bin"
        self.directory.mkdir()
        program = (TOP / "integration" / "support" / "criu" / "criu").read_text().partition("\n")[2]
        (self.directory / "criu").write_text(f"#!{sys.executable}\n{program}")
        (self.directory / "criu").chmod(0o755)

    def env(self, **settings: Any) -> dict[str, str]:
        told = json.dumps({"record": str(self.file), **settings})
        return {**os.environ, "PATH": f"{self.directory}:{os.environ['PATH']}", "CRIU_STAND_IN": told}

    def checkpoint(self, name: str, *words: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        return self.box.call("checkpoint", "--image-path", str(self.image), *words, name, env=self.env(**settings))

    def restore(self, bundle: Path, *words: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        self.box.new_id()
        name = self.box.ids[-1]
        quiet: dict[str, Any] = {"capture_output": False, "stdin": subprocess.DEVNULL}
        with open(self.box.directory / "out", "w+") as output, open(self.box.directory / "err", "w+") as errors:
            done = self.box.call(
                *("restore", "--image-path", str(self.image), "-b", str(bundle), *words, name),
                **{**quiet, "stdout": output, "stderr": errors, "env": self.env(**settings)},
            )
            output.seek(0), errors.seek(0)
            done.stdout, done.stderr = output.read(), errors.read()
        return done

    def record(self) -> Record:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def options(self) -> dict[str, Any]:
        """The options of the last request."""
        found: dict[str, Any] = self.record()[-1]["opts"]
        return found


def bound(source: Path) -> Any:
    """Returns a change of a config: adds a bind mount below a tmpfs, and one through a link of the image."""

    def change(config: dict[str, Any]) -> None:
        config["mounts"].append({"destination": "/home", "type": "bind", "source": str(source), "options": ["rbind"]})

    return change


def prepared_image(box: Box, criu: StandIn) -> None:
    """Makes an image as `checkpoint` writes it."""
    criu.image.mkdir(exist_ok=True)
    (criu.image / "descriptors.json").write_text('["/dev/null", "/dev/null", "/dev/null"]')
