#!/usr/bin/env python3
"""Django's own commands for those who work on Slipway: `.venv/bin/python manage.py …`."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "slipway.settings")
    sys.path.insert(0, str(Path(__file__).parent / "platform"))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
