"""What docs/custody.md and docs/custody/ say can be typed as it stands there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import TypeAdapter

from attest.cli.main import main
from attest.config import Connection, Source
from attest.custody import formats, transport

ROOT = Path(__file__).parents[3]
OVERVIEW = ROOT / "docs/custody.md"
PAGES = sorted((ROOT / "docs/custody").glob("*.md"))
HOST_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIOed1iWBTp031VoQe4BIsvlFyaF"


def frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(frozen, value))
    return {key: frozen(one) for key, one in value.items()} if isinstance(value, dict) else value


def snippets(page: Path) -> Iterator[dict[str, Any]]:
    for text in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        # Keys are too long to stand there whole.
        yield frozen(tomllib.loads(re.sub(r"AAAA[A-Za-z0-9]+(?:\.\.\.|…)", HOST_KEY, dedent(text))))


@pytest.mark.parametrize("page", [OVERVIEW, *PAGES], ids=lambda page: page.stem)
def test_page__its_configuration__is_understood(page: Path) -> None:
    for snippet in snippets(page):
        connections = {
            name: TypeAdapter[Any](Connection).validate_python(one)
            for name, one in snippet.get("connections", {}).items()
        }
        for name, account in snippet.get("accounts", {}).items():
            for written in account.get("sources", ()):
                if "format" not in written:
                    continue  # shows one setting of a source
                source = Source.model_validate(written)
                where = f"{page.name}: {name}/{source.id}"
                formats.check_options(source.format, source.options, where)
                known = formats.find(source.format, where)
                assert source.corroborates or not known.corroborates, where
                assert bool(source.location) or known.location != "required", where
                if known.fetch is None and (source.connection is None or source.connection in connections):
                    transport.check_location(source.location, connections.get(source.connection or ""), where)


def test_overview__names_every_page_and_every_format() -> None:
    text = OVERVIEW.read_text(encoding="utf-8")
    assert set(re.findall(r"custody/([a-z0-9]+\.md)", text)) >= {page.name for page in PAGES} - {"http.md"}
    assert [name for name in formats.BUILT_IN if f"`{name}`" not in text] == []
    assert "(http.md)" in (ROOT / "docs/custody/transports.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [OVERVIEW, *PAGES], ids=lambda page: page.stem)
def test_page__its_links__lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page__codes_of_refusals__are_those_of_the_code(page: Path) -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "attest").rglob("*.py")))
    rows = re.findall(r"^\| ((?:`[a-z0-9-]+`(?:, )?)+) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    codes = {code for row in rows for code in re.findall(r"`([a-z]+(?:-[a-z0-9]+)+)`", row)} - set(formats.BUILT_IN)
    assert [code for code in sorted(codes) if f'"{code}"' not in source] == []


@pytest.mark.parametrize("page", [OVERVIEW, *PAGES], ids=lambda page: page.stem)
def test_page__commands_on_files_of_this_repository__say_what_stands_below_them(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^ +(attest custody read (?:examples|tests)/.*)$", text, re.MULTILINE):
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line)[1:])
        assert ended.value.code == 0, line
        shown = [one.split() for one in capsys.readouterr().out.splitlines() if one.strip()]
        below = text.partition(line)[2].replace("```text", "")
        written = [one.split() for one in below.splitlines() if one.strip() and one.strip() != "```"]
        if written[0][0] == "account":  # what it prints is shown, too
            assert written[: len(shown)] == shown, line
