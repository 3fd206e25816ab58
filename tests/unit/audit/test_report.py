"""The printable report: what it says, that it loads and runs nothing, and that it prints the same twice."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from base64 import b64encode
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from attest.audit import report
from attest.audit.report import Labels
from attest.errors import OperatorError
from attest.model import SourceFailure
from attest.records import dump_plain
from tests.support.bundles import sufficient_token, withheld_token
from tests.support.dossiers import dossier

NONE = Labels({}, {})
HOSTILE = '<script>alert("x")</script>\'"&<img src=http://evil.example/x>'


class _Page(HTMLParser):
    """The page's elements, and its text without its style."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._styled = False
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        self._styled = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._styled:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def shown(*, labels: Labels = NONE, **given: Any) -> _Page:
    return _Page(report.html(dossier(**given), labels))


def test_html__plain_week__says_the_figures_and_what_it_is() -> None:
    text = shown().text
    for words in (
        "Management’s statement.",
        "It is not an audit, a review or an opinion",
        "USDW: 1,204,113.07 USD held against 1,200,000 USDW issued (100.3 %)",
        "1. Tokens outstanding",
        "2. Reserve assets available",
        "3. Comparison",
        "4. Method",
        "5. Exceptions",
        "Demand deposits 2 1,204,113.07 100.0 % on demand not stated",
        "At least 2 sources of 2 independent origins must state the closing-booked balance to the last unit",
        "None: no token withheld",
        "not in the log yet",
    ):
        assert words in text, words


def test_html__categories_and_countries__come_from_the_labels_or_else_the_balance_kind() -> None:
    labels = Labels({"usdw-0": "treasury-bill"}, {"usdw-0": "US", "usdw-1": "CH"})
    token = sufficient_token(accounts=4)
    text = shown(tokens=[token], labels=labels, kinds=["custody-total", "on-chain", "closing-available"]).text
    for row in (
        "Demand deposits 1 0.01 0.0 % on demand not stated",
        "Treasury bills, notes and bonds 1 1,204,113.04 99.9 % not stated US",
        "Tokenised reserves 1 0.01 0.0 % not stated CH",
        "Other 1 0.01 0.0 % not stated not stated",
        "Reserve 4 1,204,113.07",
    ):
        assert row in text, row


def test_html__short_and_withheld_tokens__are_among_the_exceptions() -> None:
    short = sufficient_token(supply=1_300_000_000_000)
    text = shown(tokens=[withheld_token(sufficient_token("EURW", "EUR", "0x" + "ee" * 20)), short]).text
    assert "short by 95,886.93 USDW" in text
    assert "No reserve is stated for EURW in this period (deadline)." in text
    assert "EURW not stated not stated" in text


def test_html__failures_refusals_and_disclosures__are_told_in_full() -> None:
    failure = SourceFailure("usd-main", "bank", "malformed-xml", "cannot be read", "", "")
    plain = {"format": "attest-disclosure/1", "kind": "waiver", "code": "single-feed", "subject": "usd-new"}
    detail = dump_plain({**plain, "detail": "one feed only", "salt": "0" * 64})
    text = shown(failures=[failure], refusals=[("decide", "two sources disagree")], disclosures=[detail]).text
    for words in (
        "source failed usd-main/bank malformed-xml: cannot be read",
        "refused run attempt 1, step decide refused: two sources disagree",
        "waiver usd-new single-feed: one feed only",
    ):
        assert words in text, words


def test_html__hostile_names__are_text_and_nothing_else() -> None:
    failure = SourceFailure(HOSTILE, HOSTILE, "code", HOSTILE, "", "")
    page = shown(issuer=HOSTILE, custodian=HOSTILE, failures=[failure])
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "link", "object", "form", "a"}
    assert HOSTILE in page.text


def test_html__the_page__asks_for_nothing_and_names_its_style_in_its_policy() -> None:
    page = report.html(dossier(), NONE)
    parsed = _Page(page)
    for _, attributes in parsed.elements:
        assert not {"src", "href", "style", "onclick", "srcset", "background"} & set(attributes)
    assert b"url(" not in page
    assert b"@import" not in page
    style = re.search(rb"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    policy = next(a["content"] for t, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    digest = b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_html__headings_and_tables__are_read_in_order_and_by_scope() -> None:
    page = shown(tokens=[sufficient_token(accounts=3)])
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(next_ <= level + 1 for level, next_ in pairwise(levels))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("caption") == tags.count("table") > 0
    assert all(attributes.get("scope") in {"col", "row"} for tag, attributes in page.elements if tag == "th")
    assert ("html", {"lang": "en"}) in page.elements


# -- PDF -------------------------------------------------------------------------------------------------------------


def text_of(printed: bytes, tmp_path: Path) -> str:
    path = tmp_path / "report.pdf"
    path.write_bytes(printed)
    return subprocess.run(
        ["pdftotext", "-layout", str(path), "-"], capture_output=True, check=True, encoding="utf-8", timeout=60
    ).stdout


@pytest.mark.no_cover  # the printer's lines, 300 times
@pytest.mark.requires("pdftotext", "apt-get install poppler-utils")
def test_pdf__300_accounts_with_long_names__prints_every_one_and_numbers_the_pages(tmp_path: Path) -> None:
    custodian = "The Very Long Established Custodian And Trust Company Of Somewhere " * 2
    printed = report.pdf(
        report.html(
            dossier(
                [sufficient_token(accounts=300)],
                custodian=custodian,
                account="account-with-a-name-of-64-characters-which-is-as-long-as-{}-x",
            ),
            NONE,
        )
    )
    text = text_of(printed, tmp_path)
    pages = text.count("\f")
    assert pages > 10
    for page in range(1, pages + 1):
        assert f"Page {page} of {pages}" in text
    joined = re.sub(r"\s+", "", text)
    assert all(f"usdw-{number}-x" in joined for number in range(300))
    assert text.count("Amount") > 10  # the head of the table stands on every page again


@pytest.mark.requires("pdftotext", "apt-get install poppler-utils")
def test_pdf__names_in_other_scripts__stand_in_it(tmp_path: Path) -> None:
    name = "Эмитент Ελλάδα Österreich Ltd"
    printed = report.pdf(report.html(dossier(issuer=name, custodian="Банк Ωμέγα"), NONE))
    text = text_of(printed, tmp_path)
    assert name in text
    assert "Банк" in text


@pytest.mark.requires("pdfinfo", "apt-get install poppler-utils")
def test_pdf__its_metadata__is_tagged_titled_and_dated_by_the_cutoff(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(report.pdf(report.html(dossier(), NONE)))
    told = subprocess.run(
        ["pdfinfo", "-isodates", str(path)], capture_output=True, check=True, encoding="utf-8", timeout=60
    ).stdout
    facts = dict(re.findall(r"^([A-Za-z ]+):\s+(.*)$", told, re.MULTILINE))
    assert (facts["Tagged"], facts["JavaScript"]) == ("yes", "no")
    assert facts["Title"] == "Reserve report 2026-W47: Example Issuer Ltd"
    assert facts["CreationDate"] == facts["ModDate"] == "2026-11-22T23:59:59Z"
    about = subprocess.run(["pdfinfo", "-meta", str(path)], capture_output=True, check=True, timeout=60).stdout
    assert b'pdfuaid:part="1"' in about


def test_pdf__printed_again_in_another_process__is_the_same_bytes(tmp_path: Path) -> None:
    program = (
        "import sys; from attest.audit import report; from tests.support.dossiers import dossier;"
        "sys.stdout.buffer.write(report.pdf(report.html(dossier(), report.Labels({}, {}))))"
    )
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=120).stdout
    assert again == report.pdf(report.html(dossier(), NONE))
    assert again.startswith(b"%PDF-")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x.png", "file:///etc/hostname", "data:text/plain,x"])
def test_pdf__page_that_asks_for_something__gets_nothing(url: str) -> None:
    asks = f'<main><img alt="x" src="{url}"><a rel="attachment" href="{url}">x</a>'.encode()
    page = report.html(dossier(), NONE).replace(b"<main>", asks)
    with mock.patch("urllib.request.OpenerDirector.open", side_effect=AssertionError(url)) as opened:
        printed = report.pdf(page)
    assert printed.startswith(b"%PDF-")
    assert not opened.called


@pytest.mark.parametrize(
    ("fault", "message", "advice"),
    [
        (ModuleNotFoundError("no", name="weasyprint"), "weasyprint", "pip install 'reserve-attest[report]'"),
        (
            OSError("cannot load library 'libpango-1.0-0'"),
            "libpango-1.0-0",
            "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0",
        ),
    ],
)
def test_pdf__what_prints_is_missing__names_the_line_that_brings_it(
    fault: Exception, message: str, advice: str
) -> None:
    def missing(name: str, *arguments: Any) -> Any:
        if name == "weasyprint":
            raise fault
        return real(name, *arguments)

    real = __import__
    with mock.patch("builtins.__import__", missing), pytest.raises(OperatorError) as refused:
        report.pdf(b"<p>")
    assert message in refused.value.message
    assert advice in refused.value.advice
    assert refused.value.code == "extra-missing"
