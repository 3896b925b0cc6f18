"""What is built to be installed: what an index shows of it, and what a project has that uses it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from tests.support import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
_LINK = re.compile(r"(!?)\[[^]]*\]\(([^)]*)\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def packaged_readme() -> str:
    """Return the README as it is in what is built."""
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = "".join(
        part["text"] if "text" in part else (CHECKOUT / part["path"]).read_text(encoding="utf-8")
        for part in hook["fragments"]
    )
    for one in hook["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    return text


def lost(text: str) -> list[str]:
    """Return the links and pictures of a text that lead nowhere where it stands alone."""
    links = _LINK.findall(_CODE.sub("", text))
    return [link for _, link in links if not link.startswith(("https://", "#"))]


def test_no_link_and_no_picture_leads_into_the_checkout() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert lost(readme)
    assert lost(packaged_readme()) == []
    assert _CODE.findall(readme) == _CODE.findall(packaged_readme())[: len(_CODE.findall(readme))]
    assert "as one page.\n" in packaged_readme()


def test_each_address_is_one() -> None:
    urls = PROJECT["project"].get("urls", {})
    assert [url for url in urls.values() if not url.startswith("https://")] == []


def test_what_is_to_be_installed_is_an_extra_and_quoted_for_every_shell() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    paths = [*(CHECKOUT / "docs").rglob("*.md"), CHECKOUT / "README.md"]
    import mxm_dataio

    paths += Path(str(mxm_dataio.__file__)).parent.rglob("*.py")
    found: list[str] = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        for quote, names in re.findall(r"(.)(?:mxm-dataio|(?<![\w.])\.)\[([a-z,]+)\]", text):
            found.append(names)
            assert quote in "'\"", f"{path}: [{names}]"
            assert set(names.split(",")) <= set(extras), path
    assert {"cli", "config", "freeze", "yaml", "zstd"} <= set(found)


# -- built -----------------------------------------------------------------------------------------

CONSUMER = """
from mxm_dataio import IngestSession, Mode, Response, Session, Store, use_cassette

with IngestSession("market", "data", mode="replay") as ingest:
    response: Response = ingest.request("https://data.example/", {"day": 2})
    session: Session = ingest.session

with use_cassette("a.json", Mode.AUTO, ttl="1h"), Store("data") as store:
    sources: list[str] = [one.source for one in store.sessions()]
"""
WRONG = 'from mxm_dataio import IngestSession\nIngestSession("market", mode="recrod")\n'


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a wheel and a source distribution."""
    for needed in ("build", "hatchling", "hatch_fancy_pypi_readme", "twine"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    folder = tmp_path_factory.mktemp("dist")
    run(["build", "--no-isolation", "--outdir", str(folder), str(CHECKOUT)], folder)
    assert sorted(path.suffix for path in folder.iterdir()) == [".gz", ".whl"]
    return folder


def run(command: list[str], folder: Path, status: int = 0) -> str:
    """Run a module of this Python's in a folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_an_index_takes_it(built: Path) -> None:
    run(["twine", "check", "--strict", *map(str, built.iterdir())], built)
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        [name] = [one for one in wheel.namelist() if one.endswith(".dist-info/METADATA")]
        metadata: Any = message_from_bytes(wheel.read(name))
    assert metadata.get_payload(decode=True).decode() == packaged_readme()


@pytest.mark.long
def test_a_project_that_uses_it_is_checked_against_its_types(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    [site] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    for name, code in (("consumer", CONSUMER), ("wrong", WRONG)):
        (tmp_path / f"{name}.py").write_text(code)
    checks = ["mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    checks += ["--python-executable", str(tmp_path / "venv" / "bin" / "python")]
    run([*checks, "consumer.py"], tmp_path)
    assert "[arg-type]" in run([*checks, "wrong.py"], tmp_path, status=1)
    (site / "mxm_dataio" / "py.typed").unlink()
    assert "[import-untyped]" in run([*checks, "consumer.py"], tmp_path, status=1)
