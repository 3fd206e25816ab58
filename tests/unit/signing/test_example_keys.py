"""The example keys open with the published password and are the ones that their README lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from attest.secrets import resolve
from attest.signing.signer import open_digest_signer, open_note_signer

FOLDER = Path(__file__).parents[3] / "keys.example"
LISTED = re.findall(
    r"^\| `([a-z0-9-]+)\.(json|pem)` \|[^|]*\| `(\w+)` \|$", (FOLDER / "README.md").read_text(), re.MULTILINE
)


def test_readme__lists_every_key_of_the_folder() -> None:
    files = {path.name for path in FOLDER.iterdir() if path.is_file()} - {"README.md", "password.txt"}

    assert files == {f"{name}.{kind}" for name, kind, _ in LISTED}
    assert len(files) == 7


@pytest.mark.parametrize(("name", "kind", "public"), LISTED)
def test_key__opened_with_the_published_password__is_the_listed_one(name: str, kind: str, public: str) -> None:
    password = resolve("file:password.txt", base=FOLDER)
    uri = f"keystore:{name}.{kind}"

    if kind == "json":
        assert open_digest_signer(uri, address=public, password=password, base=FOLDER).address == public
    else:
        key = bytes.fromhex(public)
        assert open_note_signer(uri, public_key=key, password=password, base=FOLDER).public_key == key
