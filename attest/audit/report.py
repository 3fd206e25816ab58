"""The printable report: management's statement of tokens outstanding, reserve by category, their comparison, the
method, and every exception.

Its order is that of the AICPA's 2025 Criteria for Stablecoin Reporting (tokens outstanding, assets available,
comparison, at one point in time); the table by category has what the GENIUS Act asks of an issuer every month (section
4(a)(1)(C): amount and composition of the reserves, with average tenor and geographic location of custody of each
category). It names accounts and custodians, so it is for auditors, and is never published.

One self-contained HTML page, and the same page as a tagged PDF (PDF/UA-1). A pure function of what is stored: the same
attestation gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from attest import statement
from attest.audit.dossier import Dossier
from attest.config import Config
from attest.documents import TokenStatement
from attest.errors import OperatorError
from attest.model import AccountPolicy, BalanceKind, ReserveLeaf
from attest.money import Currency, format_units, group
from attest.records import digest
from attest.signing import dsse

NOT_STATED = "not stated"

#: What is held, in words: the permitted reserves of the GENIUS Act (section 4(a)(1)(A)), then what falls outside.
CATEGORIES: Mapping[str, str] = {
    "cash": "Coins and currency",
    "central-bank-reserve": "Balances at a central bank",
    "demand-deposit": "Demand deposits",
    "insured-deposit": "Insured deposits",
    "treasury-bill": "Treasury bills, notes and bonds",
    "repo": "Repurchase agreements",
    "reverse-repo": "Reverse repurchase agreements",
    "money-market-fund": "Government money market funds",
    "government-asset": "Other government-issued assets",
    "tokenised": "Tokenised reserves",
    "other": "Other",
}
#: What can be had back at once; of all other categories no maturity is known.
_ON_DEMAND = {"cash", "central-bank-reserve", "demand-deposit", "insured-deposit"}
_BY_KIND: Mapping[BalanceKind, str] = {
    "closing-booked": "demand-deposit",
    "closing-available": "demand-deposit",
    "custody-total": "other",
    "on-chain": "tokenised",
}


@dataclass(frozen=True)
class Labels:
    """How the report calls accounts: category and country of custody, by account, where the configuration says so."""

    categories: Mapping[str, str]
    countries: Mapping[str, str]

    @classmethod
    def of(cls, config: Config) -> Labels:
        """Those of a configuration."""
        return cls(
            {name: account.category for name, account in config.accounts.items() if account.category is not None},
            {name: account.country for name, account in config.accounts.items() if account.country is not None},
        )

    def category(self, leaf: ReserveLeaf) -> str:
        return self.categories.get(leaf.account, _BY_KIND[leaf.balance_kind])

    def country(self, leaf: ReserveLeaf) -> str:
        return self.countries.get(leaf.account, NOT_STATED)


@dataclass(frozen=True)
class _Token:
    """One token: its statement, its leaves, and the amounts as the report writes them."""

    stated: TokenStatement
    leaves: tuple[ReserveLeaf, ...]
    sentence: str

    @property
    def name(self) -> str:
        return self.stated.token

    @property
    def withheld(self) -> bool:
        return self.stated.verdict == "withheld"

    def money(self, minor_units: int) -> str:
        return group(Currency(self.stated.currency, self.stated.exponent).format(minor_units))

    def units(self, units: int) -> str:
        return group(format_units(units, self.stated.decimals))


@dataclass(frozen=True)
class _Category:
    """One row of the reserve by category."""

    name: str
    accounts: int
    amount: str
    share: str
    tenor: str
    countries: str


@dataclass(frozen=True)
class _Rule:
    """A quorum rule in words, and how many accounts of a token it holds for."""

    token: str
    accounts: int
    words: str


@dataclass(frozen=True)
class _Exception:
    """One thing that a reader has to know: its kind, what it is about, and the details."""

    kind: str
    subject: str
    detail: str


def html(dossier: Dossier, labels: Labels) -> bytes:
    """The report as one HTML page that loads nothing; every value is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    style = _asset("report.css")
    environment = Environment(
        loader=PackageLoader("attest.audit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": statement.moment, "units": _deployment_units, "counted": _counted}
    predicate = dossier.statement.predicate
    page = environment.get_template("report.html").render(
        style=Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{_sha256(style)}'; base-uri 'none'; form-action 'none'",
        predicate=predicate,
        created=predicate.cutoff.isoformat(),
        statement=digest(dossier.payload),
        tokens=_tokens(dossier),
        labels=labels,
        category_names=CATEGORIES,
        categories=_categories,
        not_stated=NOT_STATED,
        rules=_rules(dossier),
        exceptions=_exceptions(dossier),
        attestors=_attestors(dossier),
        threshold=dossier.config.signing.threshold,
        log_origin=dossier.config.log.origin,
        logged=dossier.logged,
        anchored=dossier.anchored,
        collected_at=dossier.collected.collected_at,
        issued=statement.issued,
        attested=statement.attested,
    )
    return page.encode()


def pdf(page: bytes) -> bytes:
    """:func:`html`'s page as a tagged PDF. Nothing is fetched, and its dates are the page's own.

    Raises :class:`OperatorError` if the libraries that lay it out are not installed.
    """
    try:
        import weasyprint
    except ModuleNotFoundError as fault:
        raise _cannot_print(f"needs {fault.name}", "pip install 'reserve-attest[report]'") from None
    except OSError as fault:  # it loads Pango by name when it is imported
        raise _cannot_print(
            f"needs a library of the system ({str(fault).splitlines()[0][:200]})",
            "On Debian and Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0",
        ) from None
    nothing = weasyprint.urls.URLFetcher(allowed_protocols=())
    document = weasyprint.HTML(string=page.decode(), url_fetcher=nothing)
    printed: bytes = document.write_pdf(pdf_variant="pdf/ua-1", pdf_identifier=hashlib.sha256(page).digest()[:16])
    return printed


def _cannot_print(detail: str, advice: str) -> OperatorError:
    return OperatorError(
        f"a PDF {detail}",
        code="extra-missing",
        reason="The PDF is laid out by WeasyPrint, which stands on Pango; the HTML report needs neither, and prints.",
        advice=advice,
    )


def _asset(name: str) -> str:
    return (resources.files("attest.audit") / "templates" / name).read_text(encoding="utf-8").strip()


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# -- what it says ----------------------------------------------------------------------------------------------------


def _tokens(dossier: Dossier) -> list[_Token]:
    predicate, leaves = dossier.statement.predicate, dossier.leaves()
    witnesses = 0 if dossier.logged is None else dossier.logged.witnesses
    return [
        _Token(
            token,
            tuple(leaf for leaf in leaves if leaf.token == token.token),
            statement.sentence(token, predicate.cutoff, witnesses=witnesses),
        )
        for token in predicate.tokens
    ]


def _categories(token: _Token, labels: Labels) -> list[_Category]:
    """The token's reserve by category, in the order of :data:`CATEGORIES`. Shares are floored to one decimal."""
    total = sum(leaf.minor_units for leaf in token.leaves)
    rows = []
    for category, name in CATEGORIES.items():
        leaves = [leaf for leaf in token.leaves if labels.category(leaf) == category]
        if not leaves:
            continue
        held = sum(leaf.minor_units for leaf in leaves)
        tenths = held * 1000 // total if total else 0
        rows.append(
            _Category(
                name=name,
                accounts=len(leaves),
                amount=token.money(held),
                share=f"{tenths // 10}.{tenths % 10} %" if total else "-",
                tenor="on demand" if category in _ON_DEMAND else NOT_STATED,
                countries=_listed(labels.country(leaf) for leaf in leaves),
            )
        )
    return rows


def _listed(names: Any) -> str:
    """Each name once; what is not stated comes last."""
    found = set(names)
    return ", ".join(sorted(found - {NOT_STATED}) + ([NOT_STATED] if NOT_STATED in found else []))


def _deployment_units(units: int, decimals: int) -> str:
    return group(format_units(units, decimals))


def _rules(dossier: Dossier) -> list[_Rule]:
    counts = Counter((policy.token, _rule(policy, dossier)) for policy in dossier.opened.policies)
    return [_Rule(token, count, words) for (token, words), count in counts.items()]


def _rule(policy: AccountPolicy, dossier: Dossier) -> str:
    exponents = {token.token: token.exponent for token in dossier.statement.predicate.tokens}
    unit = Currency(policy.currency, exponents[policy.token])
    text = (
        f"At least {_counted(policy.min_sources, 'source', 'sources')} of "
        f"{_counted(policy.min_origins, 'origin', 'independent origins')} must state the {policy.balance_kind} balance"
    )
    if policy.tolerance_abs or policy.tolerance_bps:
        text += f" to within {group(unit.format(policy.tolerance_abs))} {unit.code} and {policy.tolerance_bps} bp"
    else:
        text += " to the last unit"
    text += f", as of no more than {policy.max_age_seconds / 3600:g} hours before the cutoff; the lowest counts."
    if policy.allow_dissent:
        text += f" Of three or more, {policy.allow_dissent} may dissent."
    if policy.change_limit_bps is not None:
        text += f" A change of more than {policy.change_limit_bps} bp against the last period waits for a person."
    if policy.waiver is not None:
        text += f" Waiver: {policy.waiver}."
    return text


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _exceptions(dossier: Dossier) -> list[_Exception]:
    """All that departs from a week in which everything agreed at once."""
    predicate = dossier.statement.predicate
    found = [
        _Exception(
            "shortfall",
            token.token,
            f"short by {group(format_units(-token.surplus_units, token.decimals))} {token.token}",
        )
        for token in predicate.tokens
        if token.surplus_units is not None and token.verdict == "short"
    ]
    found += [
        _Exception(detail.kind, detail.subject, f"{detail.code}: {detail.detail}") for detail in dossier.details()
    ]
    found += [_Exception("abandoned", f"attempt {one.attempt}", one.reason) for one in predicate.abandoned]
    found += [
        _Exception("source failed", f"{one.account}/{one.source}", f"{one.code}: {one.message}")
        for one in dossier.collected.failures
    ]
    found += [
        _Exception("refused run", f"attempt {area.attempt}, step {refusal.step}", f"{refusal.code}: {refusal.error}")
        for area in (*dossier.area.earlier(), dossier.area)
        for _, _, refusal in area.refusals()
    ]
    if predicate.supersedes is not None:
        replaced = predicate.supersedes
        found.append(_Exception(replaced.kind, f"statement {replaced.statement}", replaced.reason))
    if predicate.clock == "pinned":
        found.append(_Exception("rehearsal", "the whole report", "the clock was pinned by configuration"))
    if predicate.supply_at == "run":
        gaps = ", ".join(f"{-chain.supply_gap_seconds} s on chain {chain.chain_id}" for chain in predicate.chains)
        found.append(_Exception("supply", "all tokens", f"read at the run, after the cutoff: {gaps}"))
    return found


def _attestors(dossier: Dossier) -> list[str]:
    """The key ids that signed, in the envelope's order."""
    if dossier.envelope is None:
        return []
    return [each.keyid for each in dsse.parse_envelope(dossier.envelope).signatures]
