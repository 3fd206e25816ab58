"""The page of this release: one file that verifies in a browser (``verifier/build.mjs`` makes it)."""

from __future__ import annotations

from importlib import resources


def verifier_page() -> bytes:
    """``verify.html``, byte for byte as its digest is published with the release."""
    return (resources.files("attest.publish.site") / "templates" / "verify.html").read_bytes()
