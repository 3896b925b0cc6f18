"""What the pages of documentation name exists, and what they say of the code is so."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
from dataclasses import fields
from pathlib import Path

import pytest

import mxm_dataio
from mxm_dataio import errors
from mxm_dataio.cli import output
from mxm_dataio.config.settings import RESERVED, Settings
from mxm_dataio.process import default_root
from mxm_dataio.storage.catalog import migrations, sql, views
from tests.support import CHECKOUT
from tests.support.browser import chromium

from .pages import DOCS, Page, pages, slug

CLI = importlib.import_module("mxm_dataio.cli.main")
PACKAGE = Path(str(mxm_dataio.__file__)).parent
KINDS = [
    name
    for name, one in vars(errors).items()
    if isinstance(one, type) and issubclass(one, (errors.DataIOError, UserWarning))
]


def page(name: str) -> Page:
    """Return a page of docs/ by its name."""
    return Page(DOCS / name)


# -- pages and what they lead to -------------------------------------------------------------------


def test_every_link_leads_somewhere() -> None:
    lost = [f"{one.name}: {link}" for one in pages() for link in one.links if not leads(one, link)]
    assert lost == []


def leads(page: Page, link: str) -> bool:
    """Say whether a link of a page leads to what is there."""
    if link.startswith("https://"):
        return True
    name, _, anchor = link.partition("#")
    path = (page.path.parent / name).resolve() if name else page.path
    if page.path.is_relative_to(DOCS) and not path.is_relative_to(DOCS):
        return False  # nothing is beside the pages where they are built
    return path.exists() and (not anchor or anchor in map(slug, Page(path).headings))


def test_every_page_stands_in_the_contents_of_the_site_and_on_its_first_page() -> None:
    listed = re.findall(r"- ([\w/-]+\.md)$", (CHECKOUT / "mkdocs.yml").read_text(), re.MULTILINE)
    there = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
    assert sorted(listed) == there
    assert sorted({*page("index.md").links} - {"#"}) == [
        name for name in there if name != "index.md"
    ]


def test_no_page_names_where_packages_come_from() -> None:
    for one in pages():
        assert not re.search(r"pypi\.|files\.pythonhosted|index-url", one.text), one.name


def test_every_file_that_is_named_exists() -> None:
    missing = []
    for one in pages():
        named = re.findall(r"`((?:tests|examples|configs|mxm_dataio|docs)/[\w/.-]+?)/?`", one.text)
        named += re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", one.text)
        missing += [f"{one.name}: {name}" for name in named if not is_there(name)]
    assert missing == []


def is_there(name: str) -> bool:
    """Say whether a file of the checkout or of the package is there."""
    return (CHECKOUT / name).exists() or (CHECKOUT / "mxm_dataio" / name).exists()


# -- what is said of the code ----------------------------------------------------------------------


def test_every_setting_is_listed_with_its_default() -> None:
    rows = dict(
        re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page("reference/settings.md").text, re.MULTILINE)
    )
    settings = Settings(root=Path(default_root({})))
    assert list(rows) == [field.name for field in fields(Settings)]
    for name, shown in rows.items():
        value = getattr(settings, name)
        if name != "root":
            assert shown.strip("`") == ("none" if value in (None, (), {}) else str(value).lower())


def test_every_variable_of_the_environment_that_is_named_is_read() -> None:
    known = {field.name.upper() for field in fields(Settings)} | RESERVED
    named = {name for one in pages() for name in re.findall(r"\bMXM_DATAIO_([A-Z_]+)\b", one.text)}
    assert len(named) > 8
    assert sorted(named - known) == []


def test_the_documented_defaults_are_those_of_the_file() -> None:
    omegaconf = pytest.importorskip("omegaconf")
    held = omegaconf.OmegaConf.load(CHECKOUT / "configs" / "default.yaml")["dataio"]
    settings = Settings(root=Path(default_root({})))
    assert sorted(held) == sorted(field.name for field in fields(Settings))
    for name in set(held) - {"root"}:
        value = getattr(settings, name)
        assert held[name] == (list(value) if isinstance(value, tuple) else value)


def test_every_command_is_listed_with_what_its_help_says() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", page("reference/cli.md").text, re.MULTILINE)
    assert rows == [(name, about) for name, (_, _, about) in CLI._COMMANDS.items()]


def test_every_command_has_its_help_where_the_site_is_built(tmp_path: Path) -> None:
    made = runpy.run_path(str(DOCS / "tools" / "fill.py"))
    made["main"](tmp_path / "pages")
    text = (tmp_path / "pages" / "reference" / "cli.md").read_text()
    assert [name for name in CLI._COMMANDS if f"\n## {name}\n" not in text] == []
    assert "Usage: mxm-dataio sessions [OPTIONS]" in text
    assert "--require-full-coverage" in text


def test_every_command_that_finds_something_wrong_is_among_the_statuses() -> None:
    rows = page("reference/exit-statuses.md").text.partition("\n| 1 | ")[2].partition("\n| 2 |")[0]
    listed = re.findall(r"`(\w+)`", "".join(row.split("|")[-3] for row in rows.splitlines()))
    wrong = [
        name
        for name, (module, _, _) in CLI._COMMANDS.items()
        if "WRONG" in (PACKAGE / "cli" / "commands" / f"{module}.py").read_text()
    ]
    assert sorted(listed) == sorted(wrong)
    assert (output.WRONG, output.MISUSED) == (1, 2)


def test_every_public_name_is_in_the_reference() -> None:
    names = re.findall(r"^::: mxm_dataio\.(\w+)$", page("reference/api.md").text, re.MULTILINE)
    assert sorted(set(mxm_dataio.__all__) - set(names)) == []
    assert len(names) == len(set(names))


def test_every_table_and_column_of_the_store_is_listed() -> None:
    text = page("reference/store-schema.md").text
    assert f"`user_version` the version of the schema: {migrations.SCHEMA_VERSION}." in " ".join(
        text.split()
    )
    assert f"0x{migrations.APPLICATION_ID:X}" in text
    with migrations.empty() as db:
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        for table in tables:
            part = text.partition(f"\n`{table}`:")[2]
            part = re.split(r"\n`\w+`:", part)[0]
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            assert [name for name in columns if f"`{name}`" not in part] == [], table


def test_every_column_of_the_views_is_listed_with_its_kind() -> None:
    text = page("reference/sql.md").text
    parts = re.split(r"^`(\w+)`: ", text.partition("## Functions")[0], flags=re.MULTILINE)[1:]
    listed = {
        view: re.findall(r"^\| `(\w+)` \| (\w+) \|", part, re.MULTILINE)
        for view, part in zip(parts[::2], parts[1::2], strict=True)
    }
    assert listed == {
        view: [(column.name, column.kind) for column in columns]
        for view, columns in views.VIEWS.items()
    }
    functions = re.findall(r"^\| `(\w+)\(", text.partition("## Functions")[2], re.MULTILINE)
    assert tuple(functions) == sql._FUNCTIONS


def test_every_column_of_an_archive_is_listed() -> None:
    pytest.importorskip("pyarrow")
    from mxm_dataio.archive import exchanges, index_table, session_object

    text = page("reference/archive-format.md").text
    calls, _, rest = text.partition("`attempts` has lists of these")
    attempts, _, rest = rest.partition("## Sessions")
    sessions, _, rest = rest.partition("## The index")
    for part, columns in (
        (calls, exchanges.COLUMNS),
        (calls, exchanges._CONTENT),
        (attempts, exchanges._ATTEMPT),
        (sessions, session_object._COLUMNS),
        (sessions, (*session_object._OBJECT, *session_object._PAYLOAD)),
        (rest, index_table.COLUMNS),
    ):
        assert [column.name for column in columns if f"`{column.name}`" not in part] == []


def test_every_folder_and_module_at_the_top_of_the_package_is_on_the_map() -> None:
    names = [f"{path.name}/" if path.is_dir() else path.name for path in PACKAGE.iterdir()]
    rows = page("explanation/architecture.md").section("The map")
    missing = [name for name in names if f"`{name}`" not in rows]
    assert sorted({*missing} - {"__pycache__/", "py.typed"}) == []


def test_every_option_of_pytests_is_listed() -> None:
    from mxm_dataio.pytest_plugin import hooks

    source = "".join(path.read_text() for path in Path(str(hooks.__file__)).parent.glob("*.py"))
    text = page("reference/pytest.md").text
    options = set(re.findall(r'"(--dataio-[\w-]+)"', source))
    assert options
    assert sorted(option for option in options if f"`{option}" not in text) == []


def test_every_kind_of_error_is_explained() -> None:
    headings = page("troubleshooting.md").headings
    assert [name for name in KINDS if name != "DataIOError" and f"`{name}`" not in headings] == []


# -- troubleshooting -------------------------------------------------------------------------------

# Where the errors come from that users meet most: every one is explained.
MOST_MET = (
    "api.py", "models.py", "http/answers.py", "store.py", "config/", "ingest/",
    "replay/misses.py", "coverage/watch.py", "cassettes/", "storage/catalog/", "storage/payloads/",
    "formats/cassette/files.py",
)  # fmt: skip


def template(node: ast.AST) -> str:
    """Return a text with … for what differs."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(template(value) for value in values)
        case ast.BinOp(left=left, right=right):
            return template(left) + template(right)
    return "…"


def templates() -> str:
    """Return all that the package's code says, a text a line."""
    return "\n".join(
        " ".join(template(node).split())
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp))
    )


def explained() -> list[str]:
    """Return the messages in the tables of the page."""
    rows = page("troubleshooting.md").text.partition("## `ReplayMissError`")[2].splitlines()
    cells = [row.split(" | ")[0] for row in rows if row.startswith("| `")]
    return [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]


def says(message: str, text: str) -> bool:
    """Say whether a message of the page stands in a line."""
    parts = [part.strip() for part in re.split("…", message) if part.strip()]
    return re.search(".*".join(map(re.escape, parts)), text) is not None


def test_every_message_that_is_explained_is_one_that_the_code_says() -> None:
    said = templates()
    assert explained()
    assert [one for one in explained() if not says(one, said)] == []


def test_every_message_that_users_meet_most_is_explained() -> None:
    known = explained()
    made = [text for module in PACKAGE.rglob("*.py") for text in errors_of(module)]
    assert len(made) > 50
    assert [text for text in made if not any(says(one, text) for one in known)] == []


def errors_of(path: Path) -> list[str]:
    """Return what the errors say that a module makes, if users meet those."""
    if not str(path.relative_to(PACKAGE)).startswith(MOST_MET):
        return []
    texts = [
        " ".join(template(node.args[0]).split())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and node.args
        if isinstance(node.func, ast.Name) and node.func.id in KINDS
    ]
    return [text for text in texts if len(text.strip("… :")) > 9]


# -- pictures --------------------------------------------------------------------------------------


def test_every_picture_is_shown_and_made_by_a_script() -> None:
    shown = {Path(link).name for one in pages() for link in one.links if link.endswith(".png")}
    assert shown == {path.name for path in DOCS.rglob("*.png")}
    script = (DOCS / "tools" / "screenshots.py").read_text(encoding="utf-8")
    assert [name for name in shown if f"{name}" not in script] == []


@pytest.mark.long
def test_the_pictures_can_be_taken(tmp_path: Path) -> None:
    if chromium() is None:
        pytest.skip("there is no Chromium here")
    runpy.run_path(str(DOCS / "tools" / "screenshots.py"))["main"](tmp_path)
    for path in tmp_path.iterdir():
        assert path.stat().st_size > 50_000
    assert {path.name for path in tmp_path.iterdir()} == {"report.png", "report-dark-phone.png"}
