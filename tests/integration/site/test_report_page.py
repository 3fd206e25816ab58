"""The printable report in a real browser: nothing is refused by its policy, and axe has nothing to say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from attest.audit import report
from attest.model import SourceFailure
from tests.support.bundles import sufficient_token, withheld_token
from tests.support.dossiers import dossier

pytestmark = pytest.mark.requires("chromium", "apt-get install chromium")

AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"


def test_report__in_a_browser__reads_without_complaint_and_axe_finds_no_violation(
    chromium: Browser, tmp_path: Path
) -> None:
    if not AXE.exists():
        message = "axe-core is not installed: npm ci"
        if os.environ.get("ATTEST_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    tokens = [
        withheld_token(sufficient_token("EURW", "EUR", "0x" + "ee" * 20)),
        sufficient_token(accounts=4, supply=1_300_000_000_000),
    ]
    failure = SourceFailure("usd-main", "bank", "malformed-xml", "<b>cannot</b> be read", "", "")
    path = tmp_path / "report.html"
    path.write_bytes(report.html(dossier(tokens, failures=[failure]), report.Labels({}, {"usdw-0": "US"})))
    complaints: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=False)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith("file:") or complaints.append(request.url))
    page.goto(path.as_uri())
    assert page.title() == "Reserve report 2026-W47: Example Issuer Ltd"
    assert page.evaluate("getComputedStyle(document.querySelector('.label')).borderLeftWidth") == "4px"
    assert complaints == []
    page.evaluate(AXE.read_text(encoding="utf-8"))
    result = page.evaluate("axe.run(document, {resultTypes: ['violations', 'incomplete']})")
    assert len(result["passes"]) > 10
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in result["violations"]] == []
    for size in ("A4", "Letter"):
        printed = page.pdf(format=size)
        assert printed.startswith(b"%PDF-")
    context.close()
