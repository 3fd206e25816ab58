"""The dashboard page: its sentences and states, and that nothing in a feed can make it load or run anything."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser

import pytest

from attest import records
from attest.documents import Feed
from attest.publish.site.render import render
from attest.publish.site.verifier_page import verifier_page
from tests.support import feeds

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """A parsed page: its elements in order, and the text under each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open[-1]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, dict(attrs), [])
        assert len(attrs) == len(dict(attrs)), f"an attribute twice: {tag} {attrs}"
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        opened, _, _ = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data: str) -> None:
        for _, _, text in self._open:
            text.append(data)

    def all(self, tag: str, kind: str | None = None) -> list[dict[str, str | None]]:
        return [a for t, a, _ in self.elements if t == tag and (kind is None or kind in (a.get("class") or "").split())]

    def texts(self, tag: str, kind: str | None = None) -> list[str]:
        """The texts of all such elements, white space as one space."""
        return [
            " ".join("".join(text).split())
            for t, a, text in self.elements
            if t == tag and (kind is None or kind in (a.get("class") or "").split())
        ]

    @property
    def text(self) -> str:
        return self.texts("body")[0]


def page(feed: Feed, now: datetime = feeds.FRESH) -> Page:
    return Page(render(feed, now=now)["index.html"].decode())


HOSTILE_FEED = replace(
    feeds.feed(
        [
            replace(
                feeds.period([feeds.token(feeds.HOSTILE, reserve=None, code=feeds.HOSTILE), feeds.token()]),
                folder=f"javascript:alert(1)/{feeds.HOSTILE}",
                files=(feeds.HOSTILE,),
                witnesses=(feeds.HOSTILE,),
                attestors=(feeds.HOSTILE,),
                period=feeds.HOSTILE,
            )
        ],
        issuer=feeds.HOSTILE,
        contact=feeds.HOSTILE,
    ),
    log_origin=feeds.HOSTILE,
    log_vkey=feeds.HOSTILE,
)

ALL_FEEDS = {
    "none": feeds.feed([]),
    "one": feeds.weeks(1),
    "three": feeds.weeks(3, states={0: {"EURW": "short", "GBPW": "withheld"}}),
    "sixty": feeds.weeks(60, states={5: {"USDW": "withheld"}}),
    "hostile": HOSTILE_FEED,
    "troubled": feeds.troubled(),
}


# -- what it says ----------------------------------------------------------------------------------------------------


def test_render__three_tokens__answers_with_one_sentence_each() -> None:
    sentences = page(ALL_FEEDS["three"]).texts("p", "sentence")
    as_of = "as of Sun 22 Nov 2026 23:59 UTC."
    assert sentences == [
        f"USDW: 1,204,113.07 USD held against 1,200,000 USDW issued (100.3 %), {as_of}",
        f"EURW: 823,431.15 EUR held against 840,500 EURW issued (97.9 %), short by 17,068.85 EURW, {as_of}",
        f"GBPW: reserve withheld (sources-disagree) against 310,250 GBPW issued, {as_of}",
    ]


def test_render__sentences__come_before_everything_else() -> None:
    text = page(ALL_FEEDS["three"]).text
    assert text.index("GBPW: reserve withheld") < text.index("Reserve and supply over time") < text.index("History")


@pytest.mark.parametrize("feed", ALL_FEEDS.values(), ids=ALL_FEEDS)
def test_render__any_feed__calls_nothing_verified(feed: Feed) -> None:
    assert "verified" not in page(feed).text.lower()


def badges(parsed: Page) -> list[tuple[bool, bool]]:
    """(current hidden, stale hidden) of each token."""
    pairs = zip(parsed.all("span", "when-current"), parsed.all("span", "when-stale"), strict=True)
    return [("hidden" in current, "hidden" in stale) for current, stale in pairs]


def test_render__within_cadence_and_grace__is_current_and_says_until_when() -> None:
    due = feeds.NEWEST + timedelta(days=9)
    parsed = page(feeds.weeks(2), due)
    assert badges(parsed) == [(False, True)] * 3
    assert "The next attestation is due by Tue 1 Dec 2026 23:59 UTC" in parsed.text
    assert parsed.all("li")[0]["data-due"] == "2026-12-01T23:59:00Z"


def test_render__past_cadence_and_grace__is_stale_when_made() -> None:
    assert badges(page(feeds.weeks(2), feeds.NEWEST + timedelta(days=9, seconds=1))) == [(True, False)] * 3


def test_render__token_left_out_of_the_newest__keeps_its_old_sentence_and_goes_stale_by_itself() -> None:
    newest, *older = feeds.weeks(3).periods
    parsed = page(feeds.feed([replace(newest, tokens=newest.tokens[:2]), *older]), feeds.NEWEST + timedelta(days=3))
    assert badges(parsed) == [(False, True), (False, True), (True, False)]
    assert "as of Sun 15 Nov 2026" in parsed.texts("p", "sentence")[2]
    assert "Not named in the newest attestation, 2026-W47." in parsed.texts("p", "support")[2]
    assert "Not named" not in "".join(parsed.texts("p", "support")[:2])


def test_render__revision__replaces_the_first_in_front_and_keeps_it_in_the_history() -> None:
    first = feeds.period([feeds.token(reserve="1200001.00")])
    second = feeds.revised(first, [feeds.token(reserve="1200002.00")], "a custodian corrected <b>it</b>")
    parsed = page(feeds.feed([second, first]))
    assert "1,200,002.00 USD" in parsed.texts("p", "sentence")[0]
    why = "replaces what was attested before: a custodian corrected <b>it</b>"
    assert parsed.texts("tr", "period") == [
        f"2026-W47 Sun 22 Nov 2026 23:59 UTC, revision 1 {why}",
        "2026-W47 Sun 22 Nov 2026 23:59 UTC, replaced by revision 1",
    ]
    assert [row["id"] for row in parsed.all("tr", "period")] == ["2026-W47.1", "2026-W47"]
    assert "#2026-W47.1" in {link["href"] for link in parsed.all("a")}
    assert parsed.texts("p", "due")[0] == f"2026-W47, revision 1, {why}"
    assert "attest verify attestations/2026-W47.1 --trust" in parsed.texts("ol")[0]
    assert len(parsed.texts("div", "wide")) == 1
    assert "1 period" in (parsed.all("svg", "plot")[0]["aria-label"] or "")


def test_render__revoked__states_no_reserve_anywhere_but_in_what_was_replaced() -> None:
    first = feeds.period([feeds.token(reserve="1200001.00")])
    second = feeds.revised(first, feeds.blank(first, "revoked"), "it was wrong", kind="revocation")
    parsed = page(feeds.feed([second, first]))
    assert "reserve withheld (revoked)" in parsed.texts("p", "sentence")[0]
    assert parsed.texts("tr", "period") == [
        "2026-W47 Sun 22 Nov 2026 23:59 UTC, revision 1 revoked: it was wrong",
        "2026-W47 Sun 22 Nov 2026 23:59 UTC, revoked by revision 1",
    ]
    assert parsed.text.count("1,200,001.00") == 1
    assert "1 withheld" in (parsed.all("svg", "plot")[0]["aria-label"] or "")


def test_render__missed__says_so_with_the_reason() -> None:
    parsed = page(feeds.troubled())
    assert [text for text in parsed.texts("tr", "period") if "missed: the custodians' portals were down" in text]
    assert "USDW withheld missed not stated" in "".join(parsed.texts("tr", "token-row"))


def test_render__revised_revoked_and_missed_weeks__count_once_each_in_the_plots() -> None:
    label = page(feeds.troubled()).all("svg", "plot")[0]["aria-label"] or ""
    assert "in 12 periods" in label
    assert "10 sufficient, 2 withheld" in label


def test_render__pinned_clock__says_rehearsal_in_front_and_in_the_history() -> None:
    parsed = page(feeds.weeks(1, clock="pinned"))
    assert parsed.texts("p", "banner")[0].startswith("Rehearsal.")
    assert "rehearsal" in parsed.texts("tr", "period")[0]
    assert not page(feeds.weeks(1)).texts("p", "banner")


def test_render__nothing_published__says_so() -> None:
    parsed = page(ALL_FEEDS["none"])
    assert parsed.texts("p", "sentence") == ["No attestation has been published yet."]
    assert "reserves@example.com" in parsed.text


def test_render__history__gives_state_amounts_transactions_files_and_the_command() -> None:
    parsed = page(ALL_FEEDS["three"])
    newest = ALL_FEEDS["three"].periods[0]
    assert parsed.texts("tr", "token-row")[:3] == [
        f"USDW sufficient 1,204,113.07 USD 1,200,000 USDW 100.3 % "
        f"0x{newest.tokens[0].transactions[0][:6]}…{newest.tokens[0].transactions[0][-4:]} and 2 more",
        f"EURW short 823,431.15 EUR 840,500 EURW 97.9 % "
        f"0x{newest.tokens[1].transactions[0][:6]}…{newest.tokens[1].transactions[0][-4:]} and 2 more",
        "GBPW withheld sources-disagree not stated 310,250 GBPW none none",
    ]
    details = parsed.texts("tr", "more")[0]
    for transaction in (*newest.tokens[0].transactions, newest.anchor_transaction):
        assert f"0x{transaction}" in details
    for digest in (newest.statement, newest.merkle_root):
        assert digest in details
    assert "attest verify attestations/2026-W47 --trust trust.json" in details
    links = [attributes["href"] for attributes in parsed.all("a")]
    assert {f"./attestations/2026-W47/{name}" for name in newest.files} <= set(links)


def test_render__many_periods__folds_the_older_ones_away() -> None:
    parsed = page(ALL_FEEDS["sixty"])
    assert parsed.texts("details", "earlier")[0].startswith("52 earlier periods")
    assert len(parsed.texts("tr", "period")) == 60
    assert not page(feeds.weeks(8)).texts("details", "earlier")


def test_render__behind_each_plot__stands_an_exact_table() -> None:
    token = feeds.token(supply="1200000.000000000000000001", decimals=18)
    parsed = page(feeds.feed([feeds.period([token])]))
    assert "1,200,000.000000000000000001 USDW" in parsed.texts("div", "exact")[0]
    assert "1,200,000.01 USDW" in parsed.texts("p", "sentence")[0]


def test_render__who_signs__are_the_newest_keys_and_the_log() -> None:
    feed = feeds.weeks(2)
    text = page(feed).text
    for claim in (*feed.periods[0].attestors, *feed.periods[0].witnesses, feed.log_origin, feed.log_vkey, "1337"):
        assert claim in text


def test_render__nobody_signed_or_cosigned_or_anchored__says_so() -> None:
    bare = replace(feeds.weeks(1).periods[0], attestors=(), witnesses=(), anchor_transaction=None)
    parsed = page(replace(feeds.feed([bare]), chain_ids=(1, 137)))
    terms = list(zip(parsed.texts("dt"), parsed.texts("dd"), strict=True))
    assert terms.count(("Signed by", "nobody")) == terms.count(("Cosigned by", "no witness")) == 2
    assert ("Anchor on chain", "none") in terms
    assert ("Chains", "chain id 1, 137") in terms


def test_render__verifier_page__is_beside_it_and_linked_with_a_warning() -> None:
    html = render(feeds.weeks(1), now=feeds.FRESH)["index.html"].decode()
    assert '<a href="./verify.html">' in html
    assert "take it from a signed release rather than from here" in html
    assert render(feeds.weeks(1), now=feeds.FRESH)["verify.html"] == verifier_page()


def test_render__time_without_a_zone__is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        render(feeds.weeks(1), now=datetime(2026, 11, 23))  # noqa: DTZ001 - the point of the test


# -- machines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feed", ALL_FEEDS.values(), ids=ALL_FEEDS)
def test_render__feed_json__is_the_feed(feed: Feed) -> None:
    files = render(feed, now=feeds.FRESH)
    assert set(files) == {"index.html", "feed.json", "verify.html"}
    assert records.from_json(Feed, files["feed.json"], "feed.json") == feed


def test_render__same_arguments__gives_the_same_bytes() -> None:
    assert render(ALL_FEEDS["sixty"], now=feeds.FRESH) == render(ALL_FEEDS["sixty"], now=feeds.FRESH)


# -- hostile feeds, and what the page may load -----------------------------------------------------------------------


@pytest.mark.parametrize("feed", ALL_FEEDS.values(), ids=ALL_FEEDS)
def test_render__policy__names_the_digests_of_the_only_style_and_script(feed: Feed) -> None:
    html = render(feed, now=feeds.FRESH)["index.html"].decode()
    parsed = Page(html)
    (policy,) = [a["content"] or "" for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert set(directives) == {"default-src", "style-src", "script-src", "img-src", "base-uri", "form-action"}
    for tag in ("style", "script"):
        (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert directives[f"{tag}-src"] == f"'sha256-{digest}'"
    assert html.index("Content-Security-Policy") < html.index("<style>")


@pytest.mark.parametrize("feed", ALL_FEEDS.values(), ids=ALL_FEEDS)
def test_render__any_feed__loads_nothing_and_has_no_inline_code(feed: Feed) -> None:
    parsed = page(feed)
    known = {
        *("html", "head", "meta", "title", "link", "style", "script", "body", "header", "main", "footer", "section"),
        *("a", "p", "h1", "h2", "h3", "ul", "ol", "li", "dl", "dt", "dd", "strong", "em", "span", "code", "br", "time"),
        *("figure", "figcaption", "div", "details", "summary", "svg", "path", "rect", "circle", "text"),
        *("table", "caption", "thead", "tbody", "tr", "th", "td"),
    }
    for tag, attributes, _ in parsed.elements:
        assert tag in known
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset")]
    for link in parsed.all("link"):
        assert (link["href"] or "").startswith(("data:image/svg+xml,", "./feed.json"))
    for anchor in parsed.all("a"):
        assert (anchor["href"] or "").startswith(("#", "./", "mailto:"))


def test_render__hostile_strings__arrive_as_text() -> None:
    parsed = page(HOSTILE_FEED)
    assert parsed.texts("p", "issuer") == [feeds.HOSTILE]
    assert parsed.texts("strong", "name")[0] == feeds.HOSTILE
    assert parsed.text.count(feeds.HOSTILE) >= 10
    (file,) = [a["href"] or "" for a in parsed.all("a") if "javascript" in (a["href"] or "")]
    assert file.startswith("./javascript%3Aalert%281%29/%3Cscript%3E")


@pytest.mark.parametrize(
    ("contact", "link"),
    [
        ("reserves@example.com", "mailto:reserves@example.com"),
        ("https://example.com/reserves?a=1&b=2", "https://example.com/reserves?a=1&b=2"),
        ("javascript:alert(1)", None),
        ("javascript:alert(1)//a@example.com", "mailto:javascript%3Aalert%281%29%2F%2Fa@example.com"),
        ("http://example.com", None),
        ("https://example.com/ and more", None),
        ("Ask at the counter", None),
    ],
)
def test_render__contact__is_a_link_only_for_mail_and_https(contact: str, link: str | None) -> None:
    anchors = page(feeds.feed([], contact=contact)).all("a")
    assert [a["href"] for a in anchors if a["href"] not in ("#main", "./feed.json")] == ([link] if link else [])


def test_render__weight__stays_below_100_kb_without_the_data() -> None:
    assert len(render(ALL_FEEDS["none"], now=feeds.FRESH)["index.html"]) < 20_000
    assert len(render(ALL_FEEDS["one"], now=feeds.FRESH)["index.html"]) < 50_000
    growth = len(render(feeds.weeks(61), now=feeds.FRESH)["index.html"]) - len(
        render(feeds.weeks(60), now=feeds.FRESH)["index.html"]
    )
    assert growth < 8_000, "a week of three tokens"


# -- for readers who cannot see it, or use no mouse ------------------------------------------------------------------


@pytest.mark.parametrize("feed", ALL_FEEDS.values(), ids=ALL_FEEDS)
def test_render__structure__has_landmarks_unique_ids_captions_and_scopes(feed: Feed) -> None:
    parsed = page(feed)
    assert parsed.all("html") == [{"lang": "en"}]
    assert [len(parsed.all(tag)) for tag in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    ids = Counter(attributes["id"] for _, attributes, _ in parsed.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    labels = {attributes["aria-labelledby"] for attributes in parsed.all("section")}
    assert labels <= set(ids)
    targets = {(a["href"] or "")[1:] for a in parsed.all("a") if (a["href"] or "").startswith("#")}
    assert targets <= set(ids)
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert all(attributes.get("scope") for attributes in parsed.all("th"))
    assert all(attributes.get("aria-label") for attributes in parsed.all("svg", "plot"))
    assert all(
        attributes.get("aria-hidden") or attributes.get("aria-label") for attributes in parsed.all("svg", "mark")
    )


def test_render__state__is_a_word_beside_every_mark() -> None:
    parsed = page(ALL_FEEDS["three"])
    assert set(parsed.texts("span", "state")) == {"sufficient", "short", "withheld", "stale"}
    assert parsed.texts("dt")[-4:] == ["sufficient", "short", "withheld", "stale"]
