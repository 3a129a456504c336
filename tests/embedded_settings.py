"""Settings for tests: embedded mode below a folder of this run's own, gone when it ends."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "SLIPWAY_TEST_HOME" not in os.environ:
    os.environ["SLIPWAY_TEST_HOME"] = tempfile.mkdtemp(prefix="slipway-test-")
    atexit.register(shutil.rmtree, os.environ["SLIPWAY_TEST_HOME"], ignore_errors=True)
# Test processes that run side by side have a home each.
os.environ["SLIPWAY_HOME"] = str(
    Path(os.environ["SLIPWAY_TEST_HOME"], os.environ.get("PYTEST_XDIST_WORKER", ""))
)
os.environ.setdefault("SLIPWAY_IMPORT_PATHS", tempfile.gettempdir())

from slipway.settings import *  # noqa: F403 - everything, once the home is named

# Hashing passwords well is slow on purpose; tests check keys and roles, not PBKDF2.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
