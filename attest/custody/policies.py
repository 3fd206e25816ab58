"""The quorum's policies as the configuration states them, in the configuration's order."""

from __future__ import annotations

from datetime import datetime

from attest.config import Config
from attest.custody.calendar import last_business_date
from attest.model import AccountPolicy, SourcePolicy


def account_policies(config: Config, cutoff: datetime) -> tuple[AccountPolicy, ...]:
    """One policy per configured account. The last business date that every source must have reached follows from
    ``cutoff`` and the account's zone and holidays."""
    policies = []
    for name, account in config.accounts.items():
        rule = config.account_quorum(name)
        business_date = last_business_date(cutoff, account.zone, account.holidays).isoformat()
        policies.append(
            AccountPolicy(
                account=name,
                token=account.token,
                custodian=account.custodian,
                external_account=account.external_account,
                currency=account.currency,
                balance_kind=account.balance_kind,
                ownership=account.ownership,
                sources=tuple(
                    SourcePolicy(source.id, source.origin, source.issuer_hosted, business_date, source.corroborates)
                    for source in account.sources
                ),
                min_sources=rule.min_sources,
                min_origins=rule.min_origins,
                tolerance_abs=rule.tolerance_abs,
                tolerance_bps=rule.tolerance_bps,
                max_age_seconds=rule.max_age_hours * 3600,
                allow_dissent=rule.allow_dissent,
                change_limit_bps=rule.change_limit_bps,
                waiver=rule.waiver,
            )
        )
    return tuple(policies)
