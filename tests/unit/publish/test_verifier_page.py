"""The verifier page as package data: what the command hands out, and what its release publishes of it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import resource
import subprocess
from pathlib import Path

import pytest

from attest.publish.site.verifier_page import verifier_page
from attest.records import digest
from tests.support.commands import attest

ROOT = Path(__file__).parents[3]


def test_verify_page__digest__is_the_published_one() -> None:
    published = (ROOT / "docs" / "verify-page.sha256").read_text(encoding="ascii")
    assert published == f"{digest(verifier_page())}  verify.html\n"
    assert attest("verify-page").out == published


def test_verify_page__out__writes_the_page_and_never_over_another_file(tmp_path: Path) -> None:
    file = tmp_path / "verify.html"
    said = attest("verify-page", "--out", file, "--json")
    assert said.code == 0
    assert said.document == {"file": str(file), "sha256": digest(file.read_bytes()), "exit_code": 0}
    assert file.read_bytes() == verifier_page()
    again = attest("verify-page", "--out", file)
    assert again.code == 2
    assert "nothing is overwritten" in again.err


def test_verify_page__no_room_for_it__leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        said = attest("verify-page", "--out", tmp_path / "verify.html", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (said.code, said.document["code"]) == (2, "not-writable")
    assert not list(tmp_path.iterdir())


def test_page__policy__names_its_own_script_and_style_by_digest() -> None:
    page = verifier_page().decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        source = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{source}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert not re.search(r'\sstyle="|\son[a-z]+="|javascript:', page.split("<script>")[0])


def test_page__licence__of_the_library_inside_is_in_it() -> None:
    page = verifier_page().decode()
    assert page.count("Permission is hereby granted, free of charge") == 2
    assert "@noble/curves 2.4.0" in page


@pytest.mark.requires("node", "apt-get install nodejs")
def test_build__made_again__gives_the_committed_page() -> None:
    if not (ROOT / "node_modules" / "esbuild").exists():
        message = "esbuild is not installed: npm ci"
        if os.environ.get("ATTEST_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    build = ROOT / "attest" / "publish" / "site" / "verifier" / "build.mjs"
    done = subprocess.run(["node", build, "--check"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
