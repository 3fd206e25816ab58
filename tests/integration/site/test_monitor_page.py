"""The exporter's page in a real browser: over scenarios of the practice network, and in situations that these lack."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as BrowserPage

from attest import devnet
from attest.chain.devnet import Anvil
from attest.cli.common import load
from attest.monitor.cycle import Watch
from attest.monitor.findings import Finding, findings
from attest.monitor.history import History, Memory
from attest.monitor.page import MonitorPage
from attest.monitor.server import Board, MonitorServer
from attest.store import LocalStore
from tests.support.past import note_week
from tests.support.practice import rpc
from tests.support.watched import World, configuration, watching

pytestmark = pytest.mark.requires("chromium", "apt-get install chromium")

AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"
PHONE, SMALL, DESK = {"width": 390, "height": 844}, {"width": 360, "height": 640}, {"width": 1280, "height": 900}
TOKENS = ("USDW", "EURW", "GBPW")


@contextmanager
def showing(watch: Watch, found: list[Finding] | None = None, *, week: bool = True) -> Iterator[str]:
    """One cycle of a watch, with a week of history before it, on a server; its address."""
    now = int(watch.now().timestamp())
    if week:
        note_week(watch.history, now, short="USDW", tokens=list(watch.loaded.config.tokens), endpoint="http://node")
    snapshot = watch.cycle()
    page = MonitorPage(watch.loaded.config, watch.history, watch.unwatched())
    board = Board(15, page)
    board.put(snapshot, findings(snapshot) if found is None else found)
    with MonitorServer(board, ("127.0.0.1", 0)) as server:
        yield server.url


@pytest.fixture(scope="module", params=["calm", "shortfall", "bridge-failure"])
def scenario(
    request: pytest.FixtureRequest, anvil: Anvil, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """A scenario's name, and where its page is."""
    folder = tmp_path_factory.mktemp(request.param) / "net"
    with devnet.running(folder, port=0, witness_port=0, scenario=request.param) as running:
        rpc(running.rpc, "evm_setIntervalMining", 0)
        rpc(running.rpc, "evm_setAutomine", True)
        for beat in range(5):
            running.beat(beat)
        loaded = load(folder / "attest.toml")
        watch = Watch(loaded, LocalStore(folder / "private"), lambda: datetime.now(UTC).replace(microsecond=0))
        watch.history = History(Memory())
        with showing(watch) as url:
            yield request.param, url
        watch.close()


@pytest.fixture
def show(chromium: Browser) -> Iterator[Callable[..., BrowserPage]]:
    """Open an address; fails the test on any complaint of the browser, and on anything that is asked for elsewhere."""
    complaints: list[str] = []
    contexts = []

    def opened(url: str, **options: object) -> BrowserPage:
        context = chromium.new_context(**{"viewport": DESK, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: request.url.startswith((url, "data:")) or complaints.append(f"asked for {request.url}"),
        )
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def check_axe(page: BrowserPage) -> None:
    if not AXE.exists():
        message = "axe-core is not installed: npm ci"
        if os.environ.get("ATTEST_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    result = page.evaluate("axe.run(document, {resultTypes: ['violations', 'incomplete']})")
    assert len(result["passes"]) > 15
    found = [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in result["violations"]]
    assert found == []


def test_scenario__page__answers_and_then_says_what_is_wrong_worst_first(
    scenario: tuple[str, str], show: Callable[..., BrowserPage]
) -> None:
    name, url = scenario
    page = show(url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Is the money there?")
    states = page.locator("main > section:first-child .tokens .badge").all_inner_texts()
    assert states == (["short", "sufficient", "sufficient"] if name == "shortfall" else ["sufficient"] * 3)
    alerts = [text.split()[:2] for text in page.locator(".wrong h3").all_inner_texts()]
    severities = [severity for severity, _ in alerts]
    assert severities == sorted(severities, key=["critical", "warning", "notice"].index)
    if name == "calm":
        expect(page.get_by_text("Nothing is wrong.")).to_be_visible()
        assert alerts == []
    elif name == "shortfall":
        assert alerts[0] == ["critical", "ReserveShortfall"]
        assert "cast send" in page.locator(".wrong li .command").first.inner_text()
    else:
        assert ["critical", "BridgeSuccessRateCritical"] in alerts
    assert page.locator("svg.plot:visible").count() == page.locator("figure").count() >= 9


def test_scenario__plots__have_their_numbers_in_a_table_by_keyboard(
    scenario: tuple[str, str], show: Callable[..., BrowserPage]
) -> None:
    page = show(scenario[1])
    table = page.get_by_role("region", name="Table of USDW: reserve and supply")
    expect(table).to_be_hidden()
    page.get_by_text("The numbers behind “USDW: reserve and supply”").focus()
    page.keyboard.press("Enter")
    expect(table).to_be_visible()
    expect(table.get_by_role("row")).to_have_count(page.locator("figure table").first.locator("tr").count())
    expect(table.get_by_role("columnheader").nth(3)).to_have_text("Surplus, USD")


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_scenario__any_width__does_not_scroll_sideways(
    scenario: tuple[str, str], show: Callable[..., BrowserPage], width: int
) -> None:
    page = show(scenario[1], viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [SMALL, DESK], ids=["phone", "desk"])
def test_scenario__axe__finds_no_violation(
    scenario: tuple[str, str], show: Callable[..., BrowserPage], scheme: str, viewport: dict[str, int]
) -> None:
    check_axe(show(scenario[1], color_scheme=scheme, viewport=viewport))


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("over", ["hours", "day", "week"])
def test_scenario__words_of_plots__never_lie_on_each_other(
    scenario: tuple[str, str], show: Callable[..., BrowserPage], width: int, over: str
) -> None:
    page = show(f"{scenario[1]}/?over={over}", viewport={"width": width, "height": 800})
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


def test_page__keyboard__reaches_everything_in_reading_order_with_a_visible_focus(
    scenario: tuple[str, str], show: Callable[..., BrowserPage]
) -> None:
    page = show(scenario[1])
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expected = page.locator("a:visible, summary:visible, [tabindex='0']:visible").count()
    places, seen = [], 0
    for _ in range(expected):
        place, style, size = page.evaluate(
            """() => {
                const element = document.activeElement, style = getComputedStyle(element);
                return [[...document.querySelectorAll('*')].indexOf(element), style.outlineStyle,
                        parseFloat(style.outlineWidth)];
            }"""
        )
        places.append(place)
        seen += style == "solid" and size >= 2
        page.keyboard.press("Tab")
    assert places == sorted(set(places))
    assert seen == expected


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_page__print__is_a_pdf_with_plots_and_without_screen_parts(
    scenario: tuple[str, str], show: Callable[..., BrowserPage], paper: str
) -> None:
    page = show(scenario[1], color_scheme="dark")
    assert page.pdf(format=paper).startswith(b"%PDF-")
    page.emulate_media(media="print")
    assert page.locator(".skip, .aged, .spans, .narrow").locator("visible=true").count() == 0
    assert page.locator(".wide svg.plot:visible").count() == page.locator("figure").count()


def test_page__phone__shows_three_answers_without_scrolling(tmp_path: Path, show: Callable[..., BrowserPage]) -> None:
    with showing(watching(World(tokens=TOKENS), tmp_path)) as url:
        page = show(url, viewport=PHONE)
        answers = page.locator(".tokens > li")
        assert answers.count() == 3
        for answer in answers.all():
            box = answer.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= PHONE["height"]


def test_page__refresh__is_stopped_by_its_reader(tmp_path: Path, show: Callable[..., BrowserPage]) -> None:
    with showing(watching(World(), tmp_path)) as url:
        page = show(f"{url}/")
        page.get_by_role("link", name="stop that").click()
        assert page.url == f"{url}/?refresh=off"
        page.get_by_role("link", name="1 day").click()
        assert page.url == f"{url}/?over=day&refresh=off#plots"
        expect(page.get_by_role("link", name="1 day")).to_have_attribute("aria-current", "true")


def test_page__left_alone__says_that_it_is_old(tmp_path: Path, show: Callable[..., BrowserPage]) -> None:
    with showing(watching(World(), tmp_path)) as url:
        page = show(f"{url}/?refresh=off")
        banner = page.locator(".aged")
        expect(banner).to_be_hidden()
        page.evaluate("document.getAnimations().forEach(animation => animation.currentTime = 151_000)")
        expect(banner).to_be_visible()
        check_axe(page)
        page.get_by_role("link", name="Load it again").click()
        expect(banner).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page__every_state_and_long_words__is_clean_on_a_phone(
    tmp_path: Path, show: Callable[..., BrowserPage], scheme: str
) -> None:
    world = World(tokens=("SHORT", "WITHHELD", "UNREAD", "L" * 56, *(f"T{n}" for n in range(3))))
    world.set_token("SHORT", supply=2**256 - 1, reserve=2**255)
    world.set_token("WITHHELD", supply=10, reserve=None)
    watch = watching(world, tmp_path)
    long = "word" * 60
    found = [Finding(long, "critical", "P0", long, long), Finding("<b>", "info", "", "<img src=x>", "&lt;")]
    del world.answers["0x1000000000000000000000000000000000000002", "totalSupply"]
    with showing(watch, found) as url:
        page = show(url, color_scheme=scheme, viewport=SMALL)
        assert {text.strip() for text in page.locator(".tokens > li .state").all_inner_texts()} >= {
            "short", "withheld", "stale", "sufficient",
        }  # fmt: skip
        assert page.locator("img").count() == 0
        check_axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]


def test_page__first_cycle_and_overdue__are_clean(show: Callable[..., BrowserPage], tmp_path: Path) -> None:
    clock = [0.0]
    board = Board(15, MonitorPage(configuration(World()), History(Memory())), lambda: clock[0])
    with MonitorServer(board, ("127.0.0.1", 0)) as server:
        page = show(server.url)
        expect(page.get_by_text("The first cycle is under way.")).to_be_visible()
        check_axe(page)
        board.put(watching(World(), tmp_path).cycle(), [])
        clock[0] = 300.0
        page.reload()
        expect(page.get_by_text("This page is old.")).to_be_in_viewport()
        expect(page.locator(".tokens .badge").first).to_contain_text("stale")
        check_axe(page)
