"""The installation that the tests of a real node share."""

from __future__ import annotations

from node_world import installed

__all__ = ["installed"]
