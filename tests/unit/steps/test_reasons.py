"""A public reason: what it may not name, in whatever spelling, and what it may say."""

from __future__ import annotations

import unicodedata
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.config import Config
from attest.errors import OperatorError
from attest.steps.reasons import check_reason

ACCOUNTS = {
    "usd-operating": ("First Harbor Bank, N.A.", "4012887731"),
    "usd-custody": ("Keystone Custody Trust Company", "KCT-7700-2291-05"),
    "eur-main": ("Nordlicht Bank AG", "DE19999300000412007700"),
    "eur-safeguarding": ("Isar Privatbank KGaA", "DE15999301500088120041"),
    "gbp-main": ("Thames and Severn Bank plc", "GB51ZZTS40990155012204"),
    "chf": ("Société Générale de Banque SA", "CH-1"),
    "sgd": ("ING Bank N.V.", "77120"),
    "jpy": ("First National Bank Ltd", "0x52908400098527886E0F7030069857D2E4169EE7"),
}


def config(**accounts: tuple[str, str]) -> Config:
    made = {
        name: SimpleNamespace(custodian=custodian, external_account=number)
        for name, (custodian, number) in (accounts or ACCOUNTS).items()
    }
    return cast("Config", SimpleNamespace(accounts=made))


def refused(reason: str) -> str:
    with pytest.raises(OperatorError) as caught:
        check_reason(config(), reason)
    assert caught.value.code == "private-reason"
    return caught.value.message


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        ("First  Harbor Bank, N.A. corrected its file", "First Harbor Bank, N.A."),
        ("First Harbor Bank sent another file", "first harbor bank"),
        ("FirstHarborBank's file was wrong", "first harbor bank"),
        ("the file of Harbor was wrong", "harbor"),
        ("F.i.r.s.t H-a-r-b-o-r", "harbor"),
        ("Isar Privatbank corrected it", "isar privatbank"),
        ("Isar's file", "isar"),
        ("Keystone was late", "keystone"),
        ("Key stone was late", "keystone"),
        ("KEYSTONES file", "keystone"),
        ("ＫＥＹＳＴＯＮＥ was late", "keystone"),
        ("nordlicht", "nordlicht"),
        ("NordlichtBank", "nordlicht bank"),
        ("the Severn file", "severn"),
        ("societe generale corrected it", "generale"),
        ("ING sent it late", "ing"),
        ("the first national bank", "first national bank"),
        ("4012-887-731 was wrong", "4012887731"),
        ("40 1288 7731 was wrong", "4012887731"),
        ("the account ending 7731", "7731"),
        ("the account ending 887731", "7731"),
        ("the account ending ７７３１", "7731"),
        ("the account ending ٧٧٣١", "7731"),
        ("the account ending 77 31", "7731"),
        ("no. x7731", "7731"),
        ("KCT 7700 2291/05", "KCT-7700-2291-05"),
        ("2291-05", "9105"),
        ("CH 1 was wrong", "CH-1"),
        ("usd operating", "usd-operating"),
        ("USD-Operating", "usd-operating"),
        ("the eur main account", "eur-main"),
        ("chf", "chf"),
    ],
)
def test_check_reason__private_name_in_any_spelling__is_refused_and_named(reason: str, found: str) -> None:
    assert found.casefold() in refused(reason).casefold()


@pytest.mark.parametrize(
    "reason",
    [
        "a custodian sent a corrected statement",
        "a custodian corrected its statement",
        "the trustee sent a corrected report",
        "custodians' portals were down",
        "the bank of the first account corrected its national statement; the company's trust was limited",
        "with a message of the reserve bank",  # t-hames
        "the disarray of last week",  # Isar
        "corrected during the closing",  # ING
        "the report for 2026-W47 came on 2026-11-23 at 07:00 UTC, 3 days late",
        "the weekly report of 2026-12-20 was wrong",
        "a statement was counted twice: 1,204,113.07 instead of 1,203,113.07",
        "self-custody wallets moved",
    ],
)
def test_check_reason__plain_words__stand(reason: str) -> None:
    check_reason(config(), reason)


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "\x1b[2J", "Key\u200bstone", "x" * 501])
def test_check_reason__no_printable_line__is_refused(reason: str) -> None:
    with pytest.raises(OperatorError, match="--reason must be one line"):
        check_reason(config(), reason)


def wide(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


SPELLINGS = st.sampled_from(
    [str, str.upper, str.lower, str.title, wide, lambda text: unicodedata.normalize("NFD", text)]
)
JOINTS = st.sampled_from([" ", "  ", "-", ".", ", ", "/", "_", "\u2011", ""])


@given(st.data(), st.sampled_from(sorted(custodian for custodian, _ in ACCOUNTS.values())), SPELLINGS)
def test_check_reason__custodian_between_any_words__never_passes(data: st.DataObject, name: str, spell: object) -> None:
    assert callable(spell)
    parts = name.split()
    written = parts[0] + "".join(data.draw(JOINTS) + part for part in parts[1:])
    before, after = data.draw(st.sampled_from([("", ""), ("the file of ", " was wrong"), ("(", ")"), ("'", "'s")]))
    refused(before + spell(written) + after)


@given(st.data(), st.sampled_from([number for _, number in ACCOUNTS.values() if len(number) > 5 and number[1] != "x"]))
def test_check_reason__end_of_an_account_number__never_passes(data: st.DataObject, number: str) -> None:
    digits = "".join(filter(str.isdigit, number))
    end = digits[-data.draw(st.integers(4, len(digits))) :]
    written = end[0] + "".join(data.draw(JOINTS) + digit for digit in end[1:])
    refused(f"{data.draw(st.sampled_from(['account ending ', 'the file of ', '...', 'no. x']))}{written} was wrong")
