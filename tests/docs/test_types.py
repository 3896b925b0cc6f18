"""What the pages have in Python passes strict type checkers, as do the names that users have."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support import CHECKOUT

from .pages import Block, pages

pytestmark = pytest.mark.long


def can_be_checked(block: Block) -> bool:
    """Say whether a block is Python, and what it imports is installed, if it is one not run."""
    if block.language != "python":
        return False
    named = [
        name
        for node in ast.walk(ast.parse(block.code))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    ]
    missing = [name for name in named if name and find_spec(name.partition(".")[0]) is None]
    # Ray, Spark and Airflow are gigabytes.
    return not (block.why_not and missing)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Return a folder with each block of Python of the README and the pages."""
    folder = tmp_path / "blocks"
    folder.mkdir()
    for page in pages():
        stem = re.sub(r"\W", "_", page.name)
        for number, block in enumerate(page.blocks):
            if can_be_checked(block):
                (folder / f"{stem}_{number}.py").write_text(block.code, encoding="utf-8")
    assert len(list(folder.iterdir())) > 20
    return folder


def checked(command: list[str]) -> None:
    """Run a type checker."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_takes_the_examples(examples: Path) -> None:
    checked(["mypy", "--strict", "--cache-dir", "/dev/null", *map(str, examples.iterdir())])


def test_pyright_takes_the_examples_and_the_names_that_users_have(examples: Path) -> None:
    # It fetches Node, where there is none.
    starts = [sys.executable, "-m", "pyright", "--version"]
    if subprocess.run(starts, capture_output=True, check=False).returncode != 0:
        pytest.skip("pyright, or the Node that it needs, is not installed")
    project = examples.parent / "pyrightconfig.json"
    shutil.copy(CHECKOUT / "tests" / "typing" / "api.py", examples)
    project.write_text(json.dumps({"include": ["blocks"], "extraPaths": [str(CHECKOUT)]}))
    checked(["pyright", "-p", str(project), "--pythonpath", sys.executable])
