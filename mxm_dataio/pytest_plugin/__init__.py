"""The pytest plugin: tests record their calls in cassettes, and replay them for ever after.

Loaded by every pytest run of an environment that has this package.
"""

from __future__ import annotations

from .fixtures import (
    _dataio_marked,
    dataio,
    dataio_cassette_dir,
    dataio_cassette_name,
    dataio_class,
    dataio_config,
    dataio_module,
    dataio_session,
    dataio_session_dir,
)
from .hooks import (
    pytest_addoption,
    pytest_configure,
    pytest_fixture_setup,
    pytest_load_initial_conftests,
    pytest_make_collect_report,
    pytest_runtest_call,
    pytest_runtest_makereport,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_unconfigure,
)

__all__ = [
    "_dataio_marked",
    "dataio",
    "dataio_cassette_dir",
    "dataio_cassette_name",
    "dataio_class",
    "dataio_config",
    "dataio_module",
    "dataio_session",
    "dataio_session_dir",
    "pytest_addoption",
    "pytest_configure",
    "pytest_fixture_setup",
    "pytest_load_initial_conftests",
    "pytest_make_collect_report",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_unconfigure",
]
