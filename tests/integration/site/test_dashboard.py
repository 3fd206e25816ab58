"""The dashboard in a real browser: what a reader on a phone, at a desk, with a keyboard or a printer meets."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as BrowserPage

from attest.documents import Feed
from attest.publish.site.render import render
from attest.records import format_instant
from tests.support import feeds

pytestmark = pytest.mark.requires("chromium", "apt-get install chromium")

AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
MIXED = feeds.weeks(12, states={0: {"EURW": "short", "GBPW": "withheld"}, 4: {"EURW": "withheld"}})
ALL_STATES = feeds.weeks(2, states={0: {"EURW": "short", "GBPW": "withheld"}}, clock="pinned")
WIDE_WORDS = feeds.feed(
    [
        replace(
            feeds.period(
                [
                    feeds.token("LONGTOKENNAME" * 4, supply="1.000000000000000001", decimals=18),
                    feeds.token("BIG", "JPY", str(10**70), str(10**70 - 1), decimals=0),
                    feeds.token("GBPW", "GBP", None, code="a-reason-code-that-goes-on-for-ever" * 3),
                ],
            ),
            witnesses=("witness." + "long" * 30,),
            attestors=("f" * 128,),
        )
    ],
    issuer="An Issuer With A Name That Does Not End " * 4,
)


@pytest.fixture
def show(chromium: Browser, tmp_path: Path) -> Iterator[Callable[..., BrowserPage]]:
    """Open a feed's page from ``file://`` at the time it was made; fails the test on any complaint of the browser."""
    complaints: list[str] = []
    contexts = []

    def opened(feed: Feed, *, reader_later: timedelta = timedelta(), **options: Any) -> BrowserPage:
        for name, data in render(feed, now=feeds.FRESH).items():
            (tmp_path / name).write_bytes(data)
        context = chromium.new_context(**{"viewport": DESK, **options})
        contexts.append(context)
        page = context.new_page()
        page.clock.set_fixed_time(format_instant(feeds.FRESH + reader_later))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on(
            "request",
            lambda request: request.url.startswith(("file:", "data:")) or complaints.append(f"asked for {request.url}"),
        )
        page.goto((tmp_path / "index.html").as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A plain web server over ``folder``: its address, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, code: object = "-", size: object = "-") -> None:
            asked.append(f"{self.path} {code}")

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def test_dashboard__served_over_http__asks_for_itself_only_and_without_complaint(
    chromium: Browser, tmp_path: Path
) -> None:
    for name, data in render(MIXED, now=feeds.FRESH).items():
        (tmp_path / name).write_bytes(data)
    page = chromium.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    with served(tmp_path) as (address, asked):
        page.goto(address + "/", wait_until="networkidle")
        page.close()
    assert complaints == []
    assert len(asked) == 1, asked
    assert asked[0].startswith("/ ")


def test_dashboard__hostile_feed__runs_nothing(show: Callable[..., BrowserPage]) -> None:
    hostile = feeds.feed(
        [replace(feeds.period([feeds.token(feeds.HOSTILE, reserve=None)]), witnesses=(feeds.HOSTILE,))],
        issuer=feeds.HOSTILE,
        contact=feeds.HOSTILE,
    )
    page = show(hostile)
    expect(page.locator(".issuer")).to_have_text(feeds.HOSTILE)
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0


def test_dashboard__injected_markup__is_stopped_by_the_policy(chromium: Browser, tmp_path: Path) -> None:
    html = render(feeds.weeks(1), now=feeds.FRESH)["index.html"].decode()
    attack = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    (tmp_path / "index.html").write_text(html.replace("<main", attack + "<main", 1))
    page = chromium.new_page()
    refusals: list[str] = []
    page.on("console", lambda message: refusals.append(message.text))
    page.goto((tmp_path / "index.html").as_uri())
    assert page.title() == "Reserves of Example Money plc"
    page.close()
    assert any("Content Security Policy" in text for text in refusals)


@pytest.mark.parametrize("clock", ["system", "pinned"])
def test_dashboard__phone__shows_three_answers_without_scrolling(show: Callable[..., BrowserPage], clock: str) -> None:
    page = show(feeds.weeks(3, clock=clock), viewport=PHONE)
    answers = page.locator(".tokens li")
    assert answers.count() == 3
    for answer in answers.all():
        box = answer.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= PHONE["height"]
        size = answer.locator(".sentence").evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
        assert size >= 19


@pytest.mark.parametrize("feed", [MIXED, WIDE_WORDS], ids=["mixed", "wide words"])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_dashboard__any_width__does_not_scroll_sideways(
    show: Callable[..., BrowserPage], feed: Feed, width: int
) -> None:
    page = show(feed, viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 1280])
def test_dashboard__plot_labels__never_lie_on_each_other(show: Callable[..., BrowserPage], width: int) -> None:
    states = {
        0: {"EURW": "short", "GBPW": "withheld"},
        1: {"GBPW": "withheld"},
        20: {"USDW": "short"},
        21: {"USDW": "withheld"},
        22: {"USDW": "short"},
    }
    weeks = feeds.weeks(60, states=states)
    gaps = replace(weeks, periods=tuple(week for n, week in enumerate(weeks.periods) if n not in (10, 11, 12, 30)))
    page = show(gaps, viewport={"width": width, "height": 800})
    overlaps = page.evaluate(
        """() => [...document.querySelectorAll('svg.plot')].filter(plot => plot.checkVisibility()).flatMap(plot => {
            const texts = [...plot.querySelectorAll('text')].map(text => [text.textContent, text.getBBox()]);
            return texts.flatMap(([one, a], n) => texts.slice(n + 1).filter(([_, b]) =>
                a.x < b.x + b.width && b.x < a.x + a.width &&
                a.y + 2 < b.y + b.height - 2 && b.y + 2 < a.y + a.height - 2
            ).map(([other]) => `${one} on ${other}`));
        })"""
    )
    assert overlaps == []
    assert page.locator("svg.plot:visible").count() == 3


def test_dashboard__reader_after_the_due_date__sees_stale(show: Callable[..., BrowserPage]) -> None:
    page = show(MIXED, reader_later=timedelta(days=9))
    badges = page.locator(".tokens .badge")
    assert [" ".join(text.split()) for text in badges.all_inner_texts()] == [
        "stale last answer: sufficient",
        "stale last answer: short",
        "stale last answer: withheld",
    ]
    assert page.locator(".overdue:visible").count() == 3


def test_dashboard__reader_before_the_due_date__sees_the_state(show: Callable[..., BrowserPage]) -> None:
    page = show(MIXED, reader_later=timedelta(days=8))
    assert page.locator(".tokens .badge").all_inner_texts() == ["sufficient", "short", "withheld"]
    assert page.locator(".overdue:visible").count() == 0


def test_dashboard__reader_without_scripts__is_told_the_due_date(show: Callable[..., BrowserPage]) -> None:
    page = show(MIXED, reader_later=timedelta(days=90), java_script_enabled=False)
    expect(page.locator(".due")).to_contain_text("Tue 1 Dec 2026 23:59")
    expect(page.locator(".due")).to_contain_text("these figures are stale")


def test_dashboard__keyboard__reaches_everything_in_reading_order_with_a_visible_focus(
    show: Callable[..., BrowserPage],
) -> None:
    page = show(MIXED)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    expected = page.locator("a:visible, summary:visible, [tabindex='0']:visible").count()
    places, seen = [], 0
    for _ in range(expected):
        focused = page.evaluate(
            """() => {
                const element = document.activeElement, style = getComputedStyle(element);
                const all = [...document.querySelectorAll('*')];
                return [all.indexOf(element), style.outlineStyle, parseFloat(style.outlineWidth)];
            }"""
        )
        places.append(focused[0])
        seen += focused[1] == "solid" and focused[2] >= 2
        page.keyboard.press("Tab")
    assert places == sorted(set(places))
    assert seen == expected


def test_dashboard__skip_link_and_folded_parts__work_by_keyboard(show: Callable[..., BrowserPage]) -> None:
    page = show(MIXED)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    table = page.get_by_role("region", name="Table of USDW")
    expect(table).to_be_hidden()
    page.get_by_text("The numbers behind the plot of USDW").focus()
    page.keyboard.press("Enter")
    expect(table).to_be_visible()
    expect(table).to_contain_text("+4,113.07")


def test_dashboard__narrow_history__is_still_a_table_to_assistive_technology(
    show: Callable[..., BrowserPage],
) -> None:
    page = show(MIXED, viewport=PHONE)
    table = page.get_by_role("table", name="Attested periods, newest first")
    assert table.get_by_role("rowheader").count() == 8 * 4
    assert table.get_by_role("columnheader").count() == 6


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_dashboard__print__is_a_pdf_with_plots_and_without_screen_parts(
    show: Callable[..., BrowserPage], paper: str
) -> None:
    page = show(MIXED, color_scheme="dark")
    document = page.pdf(format=paper)
    assert document.startswith(b"%PDF-")
    page.emulate_media(media="print")
    assert page.locator(".skip, .history .more, .narrow").locator("visible=true").count() == 0
    assert page.locator(".wide svg.plot:visible").count() == 3
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize(
    ("feed", "later"),
    [(ALL_STATES, 0), (ALL_STATES, 30), (feeds.feed([]), 0), (WIDE_WORDS, 0), (feeds.troubled(), 0)],
    ids=["current", "stale", "nothing published", "wide words", "troubled"],
)
def test_dashboard__axe__finds_no_violation(show: Callable[..., BrowserPage], feed: Feed, later: int) -> None:
    if not AXE.exists():
        message = "axe-core is not installed: npm ci"
        if os.environ.get("ATTEST_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    page = show(feed, reader_later=timedelta(days=later))
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for viewport, scheme in product((PHONE, DESK), ("light", "dark")):
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations', 'incomplete']})")
        assert len(result["passes"]) > 15
        found = [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in result["violations"]]
        assert found == [], (viewport, scheme)
