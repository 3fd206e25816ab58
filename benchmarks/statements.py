"""Writes camt.053 files as large as a bank's with many accounts, for measuring: ``write(path, size, statements)``."""

from __future__ import annotations

from pathlib import Path

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">'
    "<BkToCstmrStmt><GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-20T21:00:00Z</CreDtTm></GrpHdr>"
)
_ENTRY = (
    '<Ntry><NtryRef>{number}</NtryRef><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>'
    "<BookgDt><Dt>2026-11-20</Dt></BookgDt><ValDt><Dt>2026-11-20</Dt></ValDt><AcctSvcrRef>20261120{number:012d}"
    "</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn><Prtry>"
    "<Cd>NTRF+166</Cd><Issr>DK</Issr></Prtry></BkTxCd><NtryDtls><TxDtls><Refs><EndToEndId>E2E-{number}</EndToEndId>"
    '<TxId>TX{number:012d}</TxId></Refs><Amt Ccy="EUR">{amount}</Amt><RltdPties><Dbtr><Pty><Nm>Example Trading Company '
    "{number}</Nm></Pty></Dbtr><DbtrAcct><Id><IBAN>DE19999300000412007700</IBAN></Id></DbtrAcct><Cdtr><Pty>"
    "<Nm>Wexample Treasury</Nm></Pty></Cdtr></RltdPties><RltdAgts><DbtrAgt><FinInstnId><BICFI>EXAMDEFFXXX</BICFI>"
    "</FinInstnId></DbtrAgt></RltdAgts><RmtInf><Ustrd>Invoice {number} of November, thank you for your business</Ustrd>"
    "</RmtInf></TxDtls></NtryDtls></Ntry>"
)
_BALANCE = (
    '<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
    "<Dt><Dt>{date}</Dt></Dt></Bal>"
)


def write(path: Path, size: int, statements: int) -> None:
    """A file of about ``size`` bytes with one statement for each of ``statements`` accounts."""
    with path.open("w", encoding="utf-8") as file:
        file.write(_HEAD)
        for account in range(statements):
            entries: list[str] = []
            length = total = 0
            while length < size // statements:
                number = account * 1_000 + len(entries)
                cents = number * 7_919 % 1_000_000
                entries.append(_ENTRY.format(number=number, amount=_euros(cents)))
                length += len(entries[-1])
                total += cents
            opening = _BALANCE.format(code="OPBD", amount=_euros(0), date="2026-11-19")
            closing = _BALANCE.format(code="CLBD", amount=_euros(total), date="2026-11-20")
            file.write(f"<Stmt><Id>S{account}</Id><Acct><Id><Othr><Id>{account}</Id></Othr></Id><Ccy>EUR</Ccy></Acct>")
            file.writelines((opening, closing, *entries, "</Stmt>"))
        file.write("</BkToCstmrStmt></Document>")


def _euros(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
