"""A support bundle helps and tells no secret: canaries are planted everywhere and searched for."""

from __future__ import annotations

import json
import secrets
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from slipway.cli import secrets_out, support
from slipway.cli.root import root


def planted(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Canaries wherever a secret may be, and in the logs in every dress that secrets wear."""
    made = [f"canary{secrets.token_hex(12)}" for _ in range(16)]
    (home / "logs").mkdir(parents=True)
    for name, value in zip(("secret-key", "audit-key", "seal-key"), made, strict=False):
        (home / name).write_text(f"{value}\n")
    (home / "demo.env").write_text(f"SLIPWAY_USER=ada\nSLIPWAY_PASSWORD={made[3]}\n")
    monkeypatch.setenv("SLIPWAY_DATABASE_URL", f"postgres://slipway:{made[4]}@db/slipway")
    monkeypatch.setenv("SLIPWAY_SMTP_URL", f"smtp://user:p%40{made[5]}@mail:587")
    monkeypatch.setenv("SLIPWAY_METRICS_TOKEN", made[6])
    monkeypatch.setenv("SLIPWAY_SECRET_KEY", made[7])
    said = [
        *(f"a plain mention of {value}" for value in made[:8] if value != made[5]),
        f"authorization: Bearer {made[8]}",
        f"GET https://store/x?X-Signature={made[9]} 200",
        f'{{"user": "ada", "password": "{made[10]}", "n": 1}}',
        f"connecting to redis://:{made[11]}@cache:6379/0",
        f"key sk-slip-{made[12]} was used",
        f"client_secret={made[13]}",
        f"-----BEGIN PRIVATE KEY-----\n{made[14]}\n-----END PRIVATE KEY-----",
        f"token eyJhbGciOiJub25lIn0.{made[15]}.sig",
        f"p@{made[5]}",
        "2026-11-22 12:00:00 INFO slipway: looked at 7 jobs",
    ]
    (home / "logs" / "web.log").write_text("\n".join(said) + "\n")
    return made


def test_no_canary_comes_through_and_what_helps_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("SLIPWAY_HOME", str(home))
    made = planted(home, monkeypatch)
    (home / "objects" / "projects").mkdir(parents=True)
    (home / "objects" / "projects" / "rows-of-a-customer.jsonl").write_text("private row")
    file = tmp_path / "bundle.tar.gz"
    done = CliRunner().invoke(root, ["support", "bundle", str(file)])
    assert done.exit_code == 0, done.output
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as archive:
        texts = {
            member.name.removeprefix("slipway-support/"): archive.extractfile(member).read()  # type: ignore[union-attr]  # they are files
            for member in archive.getmembers()
        }
    whole = b"\n".join(texts.values())
    for number, canary in enumerate(made):
        assert canary.encode() not in whole, f"canary {number}"
    assert b"rows-of-a-customer" not in whole
    assert b"private row" not in whole
    assert b"looked at 7 jobs" in texts["logs/web.log"]
    assert b"Django==" in texts["versions.txt"] or b"django==" in texts["versions.txt"]
    assert {each["what"] for each in json.loads(texts["doctor.json"])} >= {"disk", "memory"}
    shown = json.loads(texts["settings.json"])
    assert shown["SLIPWAY_DATABASE_URL"] == "postgres://[removed]@db/slipway"


def test_a_long_log_is_cut_at_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "_LOG_BYTES", 64)
    log = tmp_path / "web.log"
    log.write_text(f"authorization: Bearer {'x' * 60}\nthe last line\n")
    assert support._end(log) == "the last line\n"


def test_words_that_are_no_secrets_stay() -> None:
    text = "took 12 tokens; the secret of success; http://127.0.0.1:8000/api/v1/keys 200"
    assert secrets_out.clean(text, []) == text
