"""A week whose sources come in every way: each kind of format, transport, API and proof at once, all of them good; then
all of them bad."""

from __future__ import annotations

import base64
import gzip
import io
import json
import sqlite3
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from attest import devnet
from attest.chain.devnet import dev_key
from attest.custody import collector
from attest.custody.evidence import Evidence
from attest.publish.site.verifier_page import verifier_page
from attest.records import digest
from tests.support.commands import Said, attest
from tests.support.practice import Week, prepared, week
from tests.support.replay import Answer, Authority, Recorded, Replay, ok
from tests.support.sftp import HOST_KEY, PASSWORD, Server, new_key

pytestmark = pytest.mark.requires("openssl", "apt-get install openssl")

PERIOD = str(devnet.PERIOD)
SECRETS = {
    "BANK_TOKEN": "canary-bank-token",
    "API_TOKEN": "canary-api-token",
    "CONSENT": "canary-consent",
    "KRAKEN_KEY": "canary-kraken-key",
    "KRAKEN_SECRET": base64.b64encode(b"canary-kraken-secret").decode(),
    "SFTP_PASSWORD": PASSWORD,
    "S3_KEY": "testing",
    "S3_SECRET": "canary-s3-secret",
    "LEDGER": "sqlite:///ledger.sqlite",
    "EVIDENCE_KEY": base64.b64encode(bytes(range(32))).decode(),
}
#: Nobody but the operator may see these: credentials, account numbers and names, balances of single accounts.
PRIVATE = (
    *(value for value in SECRETS.values() if value != "testing"),
    "4012887731", "4012889056", "KCT-7700-2291-05", "DE1999930000", "DE1599930150", "GB51ZZTS4099", "GB16ZZTS4099",
    "First Harbor", "Keystone", "Nordlicht", "Isar", "Thames", "kraken", "sftp://", "s3://", "127.0.0.1",
    "84,613.07", "84613.07", "245,900.55", "245900.55", "102,310.10", "102310.10",
)  # fmt: skip


# -- what custodians send ----------------------------------------------------------------------------------------------

MT940 = """:20:STMT224
:25:4012887731
:28C:00224/00001
:60F:C261119USD80000,00
:61:2611201120C4613,07NTRFNONREF//9913326001
:62F:C261120USD84613,07
-
"""

BAI2 = """01,122099999,TREASURY,261121,0415,7,,,2/
02,TREASURY,122099999,1,261120,2400,USD,2/
03,4012887731,,010,8000000,,,015,8461307,,/
49,16461307,2/
98,16461307,1,4/
99,16461307,1,6/
"""

CAMT052 = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.052.001.08"><BkToCstmrAcctRpt>
 <GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-20T17:00:00Z</CreDtTm></GrpHdr>
 <Rpt><Id>INTRADAY-1</Id><Acct><Id><Othr><Id>4012887731</Id></Othr></Id><Ccy>USD</Ccy></Acct>
  <Bal><Tp><CdOrPrtry><Cd>ITBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">84613.07</Amt><CdtDbtInd>CRDT</CdtDbtInd>
   <Dt><DtTm>2026-11-20T16:00:00Z</DtTm></Dt></Bal>
 </Rpt>
</BkToCstmrAcctRpt></Document>
"""

OFX = """OFXHEADER:100
DATA:OFXSGML
VERSION:102
SECURITY:NONE
ENCODING:USASCII
CHARSET:1252
COMPRESSION:NONE
OLDFILEUID:NONE
NEWFILEUID:NONE

<OFX><SIGNONMSGSRSV1><SONRS><STATUS><CODE>0<SEVERITY>INFO</STATUS>
<DTSERVER>20261121061500.000[-5:EST]<LANGUAGE>ENG</SONRS></SIGNONMSGSRSV1>
<BANKMSGSRSV1><STMTTRNRS><TRNUID>1<STATUS><CODE>0<SEVERITY>INFO</STATUS>
<STMTRS><CURDEF>USD<BANKACCTFROM><BANKID>021099998<ACCTID>4012889056<ACCTTYPE>CHECKING</BANKACCTFROM>
<LEDGERBAL><BALAMT>719500.00<DTASOF>20261120235959[-5:EST]</LEDGERBAL>
</STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>
"""

MT950 = """{1:F01TSBKGB2LAXXX4512118834}{2:O9502015261120TSBKGB2LAXXX45121188342611202016N}{4:
:20:STMT950
:25:GB16ZZTS40990155012931
:28C:324/1
:60F:C261119GBP299000,00
:61:261120C1000,00NTRFNONREF
:62F:C261120GBP300000,00
-}"""


def zipped(name: str, data: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, data)
    return archive.getvalue()


def workbook(path: Path, amount: object) -> None:
    from datetime import date

    book = openpyxl.Workbook()
    book.active.append(["IBAN", "Stichtag", "Saldo", "Auszug"])
    book.active.append(["DE19 9993 0000 0412 0077 00", date(2026, 11, 20), amount, "224"])
    book.save(path)


def trustees_key(folder: Path) -> None:
    """The custodian's certificate, valid before the week that is attested, and its key."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "trustees")]),
    )
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    (folder / "trustees.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "trustees.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=20)


def ledger(path: Path, *amounts: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE IF EXISTS balances")
        database.execute("CREATE TABLE balances (iban TEXT, currency TEXT, balance TEXT, day TEXT)")
        rows = [("DE15999301500088120041", "EUR", amount, "2026-11-20") for amount in amounts]
        database.executemany("INSERT INTO balances VALUES (?, ?, ?, ?)", rows)
    database.close()


def page(number: int, *rows: tuple[str, str], last: int = 2) -> Answer:
    return ok(
        {"page": number, "last": last, "items": [{"id": name, "total": total, "ccy": "USD"} for name, total in rows]}
    )


def open_banking(amount: str) -> Answer:
    balance = {
        "AccountId": "22289", "Type": "CLBD", "CreditDebitIndicator": "Credit", "DateTime": "2026-11-20T23:59:59Z",
        "Amount": {"Amount": amount, "Currency": "GBP"},
    }  # fmt: skip
    return ok({"Data": {"Balance": [balance]}, "Links": {"Self": "x"}, "Meta": {"TotalPages": 1}})


BERLIN = {
    "account": {"iban": "DE19999300000412007700"},
    "balances": [
        {"balanceType": "closingBooked", "balanceAmount": {"currency": "EUR", "amount": "245900.55"},
         "referenceDate": "2026-11-20"},
    ],
}  # fmt: skip

CSV_OPTIONS = """
account_column = "Account Number"
currency_column = "Currency"
amount_column = "Amount"
thousands = ","
date_column = "Balance Date"
date_format = "MM/DD/YYYY"
kind_column = "Balance Type"
kind_value = "Closing Ledger"
"""
RHEIN_OPTIONS = """
encoding = "latin-1"
delimiter = ";"
account_column = "IBAN"
currency_column = "Währung"
amount_column = "Buchsaldo"
decimal = ","
thousands = "."
date_column = "Stichtag"
date_format = "DD.MM.YYYY"
"""


# -- the world they send it from ---------------------------------------------------------------------------------------


@dataclass
class World:
    """The week, and every server that its sources are behind."""

    week: Week
    http: Replay
    bank: Replay
    sftp: Server
    s3: Any

    def attest(self, *words: object) -> Said:
        return attest(*words, "--config", self.week.config_path)

    def snapshot(self) -> collector.Collection:
        """As ``attest custody snapshot`` does it, a quarter of an hour before the cutoff."""
        environment = self.week.environment()
        cutoff = environment.config.schedule.schedule.cutoff(devnet.PERIOD)
        return collector.snapshot(
            environment.loaded, period=PERIOD, cutoff=cutoff, now=lambda: cutoff - timedelta(minutes=15),
            evidence=Evidence(environment.private, environment.cipher), clients=environment.clients,
        )  # fmt: skip

    def prove(self) -> None:
        """The address's key signs, as a wallet does it."""
        asked = self.attest("custody", "challenge", "usd-onchain", "--period", PERIOD, "--json")
        assert asked.code == 0, asked.everything
        signature = self.week.rpc("eth_signTypedData_v4", asked.document["holder"], asked.document["typed_data"])
        given = self.attest("custody", "prove", "usd-onchain", "--period", PERIOD, "--signature", signature)
        assert given.code == 0, given.everything

    def upload(self, data: bytes) -> None:
        self.s3.put_object(Bucket="trustees", Key=f"out/{PERIOD}/harbor.bai.gz", Body=gzip.compress(data))


def holder() -> str:
    from eth_account import Account

    return str(Account.from_key(dev_key(0)).address)


def bearer(token: str, answer: Answer) -> Callable[[Recorded], Answer]:
    """``answer`` for whoever has the token."""
    return lambda asked: answer if asked.headers.get("authorization") == f"Bearer {token}" else Answer(status=401)


def kraken(asked: Recorded) -> Answer:
    if asked.headers.get("api-key") != SECRETS["KRAKEN_KEY"] or not asked.headers.get("api-sign"):
        return ok({"error": ["EAPI:Invalid key"]})
    return ok({"error": [], "result": {"ZUSD": "400000.0058", "ZEUR": "7.0000"}})


def accounts(world: World) -> str:
    """The practice week's seven accounts, and one on the chain, as they are reached here."""
    chain = next(iter(world.week.environment().config.tokens["EURW"].deployments))
    return f"""
[connections.bank]
kind = "http"
bearer = "env:BANK_TOKEN"
ca_file = "authority.pem"

[connections.api]
kind = "http"
bearer = "env:API_TOKEN"

[connections.nordlicht]
kind = "http"
headers = {{ Consent-ID = "env:CONSENT" }}

[connections.kraken]
kind = "http"
api_key = "env:KRAKEN_KEY"
api_secret = "env:KRAKEN_SECRET"

[connections.drop]
kind = "sftp"
user = "issuer"
password = "env:SFTP_PASSWORD"
host_key = "{HOST_KEY}"

[connections.archive]
kind = "s3"
region = "us-east-1"
endpoint = "{world.s3.meta.endpoint_url}"
access_key_id = "env:S3_KEY"
secret_access_key = "env:S3_SECRET"

[connections.ledger]
kind = "sql"
url = "env:LEDGER"

[accounts.usd-operating]
token = "USDW"
custodian = "First Harbor Bank, N.A."
external_account = "4012887731"
currency = "USD"
zone = "America/New_York"

[[accounts.usd-operating.sources]]
id = "swift"
origin = "first-harbor-core"
format = "mt940"
connection = "bank"
location = "{world.bank.url}/{{period}}/statement.zip"

[[accounts.usd-operating.sources]]
id = "bai"
origin = "atlantic-trustees"
format = "bai2"
connection = "archive"
location = "s3://trustees/out/{{period}}/*.bai.gz"

[[accounts.usd-operating.sources]]
id = "intraday"
origin = "first-harbor-core"
format = "camt052"
corroborates = true
location = "statements/{{period}}/intraday.xml"

[accounts.usd-reserve]
token = "USDW"
custodian = "First Harbor Bank, N.A."
external_account = "4012889056"
currency = "USD"
zone = "America/New_York"

[[accounts.usd-reserve.sources]]
id = "ofx"
origin = "first-harbor-core"
format = "ofx"
location = "sftp://127.0.0.1:{world.sftp.port}/out/{{period}}/*.ofx"
connection = "drop"
options = {{ bank_id = "021099998" }}

[[accounts.usd-reserve.sources]]
id = "trustee-report"
origin = "atlantic-trustees"
format = "csv"
location = "statements/{{period}}/atlantic-trustees-usd.csv"
signature = {{ kind = "cms", key = "trustees.pem", suffix = ".p7s" }}
[accounts.usd-reserve.sources.options]
{CSV_OPTIONS}

[accounts.usd-custody]
token = "USDW"
custodian = "Keystone Custody Trust Company"
external_account = "KCT-7700-2291-05"
currency = "USD"
balance_kind = "custody-total"

[[accounts.usd-custody.sources]]
id = "kraken"
origin = "kraken"
format = "kraken"
connection = "kraken"
location = "{world.http.url}"
snapshot = true
options = {{ asset = "ZUSD", account = "KCT-7700-2291-05", currency = "USD", sub_minor_units = "floor" }}

[[accounts.usd-custody.sources]]
id = "keystone-api"
origin = "keystone-core"
format = "json"
connection = "api"
location = "{world.http.url}/v1/positions"
snapshot = true
[accounts.usd-custody.sources.options]
items = "/items"
account = "/id"
amount = "/total"
currency = "/ccy"
balance_kind = "custody-total"
page_parameter = "page"
last_page = "/last"

[accounts.usd-onchain]
token = "USDW"
custodian = "Self-custody"
external_account = "{holder()}"
currency = "USD"
balance_kind = "on-chain"
ownership = "key-proven"
quorum = {{ min_sources = 1, min_origins = 1, waiver = "single-feed" }}

[[accounts.usd-onchain.sources]]
id = "chain"
origin = "chain"
format = "erc20"
options = {{ chain = "{chain.chain}", contract = "{chain.address}", decimals = {chain.decimals}, currency = "USD" }}

[accounts.eur-main]
token = "EURW"
custodian = "Nordlicht Bank AG"
external_account = "DE19999300000412007700"
currency = "EUR"
zone = "Europe/Berlin"

[[accounts.eur-main.sources]]
id = "psd2"
origin = "nordlicht-core"
format = "berlin-group"
connection = "nordlicht"
location = "{world.http.url}/psd2"
options = {{ resource_id = "r-1", account = "DE19999300000412007700" }}

[[accounts.eur-main.sources]]
id = "workbook"
origin = "treuhand-rhein"
format = "xlsx"
location = "statements/{{period}}/treuhand.xlsx"
[accounts.eur-main.sources.options]
account_column = "IBAN"
date_column = "Stichtag"
amount_column = "Saldo"
currency = "EUR"
id_column = "Auszug"

[accounts.eur-safeguarding]
token = "EURW"
custodian = "Isar Privatbank KGaA"
external_account = "DE15999301500088120041"
currency = "EUR"
zone = "Europe/Berlin"

[[accounts.eur-safeguarding.sources]]
id = "bank-statement"
origin = "isar-core"
format = "camt053"
location = "statements/{{period}}/isar-*.xml"

[[accounts.eur-safeguarding.sources]]
id = "ledger"
origin = "isar-registry"
format = "sql"
connection = "ledger"
[accounts.eur-safeguarding.sources.options]
query = "SELECT iban, currency, balance, day FROM balances WHERE iban = :account AND day <= :date"
account_column = "iban"
currency_column = "currency"
amount_column = "balance"
date_column = "day"

[[accounts.eur-safeguarding.sources]]
id = "trustee-report"
origin = "treuhand-rhein"
format = "csv"
location = "statements/{{period}}/treuhand-rhein.csv"
[accounts.eur-safeguarding.sources.options]
{RHEIN_OPTIONS}

[accounts.gbp-main]
token = "GBPW"
custodian = "Thames and Severn Bank plc"
external_account = "GB51ZZTS40990155012204"
currency = "GBP"
zone = "Europe/London"

[[accounts.gbp-main.sources]]
id = "open-banking"
origin = "thames-severn-core"
format = "openbanking-uk"
connection = "api"
location = "{world.http.url}/aisp"
options = {{ account_id = "22289", account = "GB51ZZTS40990155012204" }}

[[accounts.gbp-main.sources]]
id = "trustee-api"
origin = "lantern-trustees"
format = "json"
connection = "api"
location = "{world.http.url}/lantern/{{account}}?on={{date}}"
options = {{ account = "/iban", amount = "/balance", currency = "/currency", as_of = "/date" }}

[accounts.gbp-safeguarding]
token = "GBPW"
custodian = "Thames and Severn Bank plc"
external_account = "GB16ZZTS40990155012931"
currency = "GBP"
zone = "Europe/London"

[[accounts.gbp-safeguarding.sources]]
id = "swift"
origin = "thames-severn-core"
format = "mt950"
location = "statements/{{period}}/safeguarding.fin"

[[accounts.gbp-safeguarding.sources]]
id = "trustee-report"
origin = "lantern-trustees"
format = "csv"
location = "statements/{{period}}/lantern-trustees-gbp.csv"
[accounts.gbp-safeguarding.sources.options]
account_column = "IBAN"
currency = "GBP"
amount_column = "Balance"
indicator_column = "CR/DR"
credit = "CR"
debit = "DR"
date_column = "Date"
date_format = "DD Mon YYYY"
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    with prepared(tmp_path_factory.mktemp("network")) as network:
        yield network


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    import boto3
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
        aws_access_key_id="testing", aws_secret_access_key="testing",
    )  # fmt: skip
    client.create_bucket(Bucket="trustees")
    yield client
    moto.stop()


@pytest.fixture
def world(network: tuple[Path, str], s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A due week with every source in place; neither snapshots nor proof of ownership are there yet."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    template, url = network
    with ExitStack() as stack:
        operator = stack.enter_context(week(template, url, tmp_path / "week"))
        folder, statements = operator.folder, operator.statement_file("x").parent
        statement = Answer(zipped("statement.sta", MT940.encode()))
        bank = stack.enter_context(
            Replay({f"/{PERIOD}/statement.zip": bearer("canary-bank-token", statement)}, tls=Authority(folder).server())
        )
        http = stack.enter_context(
            Replay(
                {
                    "POST /0/private/Balance": kraken,
                    "/v1/positions?page=1": bearer("canary-api-token", page(1, ("KCT-0000-0000-01", "12.00"))),
                    "/v1/positions?page=2": bearer("canary-api-token", page(2, ("KCT-7700-2291-05", "400000.00"))),
                    "/psd2/v1/accounts/r-1/balances": ok(BERLIN),
                    "/aisp/accounts/22289/balances": bearer("canary-api-token", open_banking("102310.10")),
                    "/lantern/GB51ZZTS40990155012204?on=2026-11-22": ok(
                        {"iban": "GB51 ZZTS 4099 0155 0122 04", "balance": "102310.10", "currency": "GBP",
                         "date": "2026-11-20"}
                    ),
                }
            )
        )  # fmt: skip
        drop = tmp_path / "drop/out" / PERIOD
        drop.mkdir(parents=True)
        (drop / "reserve.ofx").write_text(OFX)
        sftp = stack.enter_context(Server(tmp_path / "drop"))
        made = World(operator, http, bank, sftp, s3)
        made.upload(BAI2.encode())
        (statements / "intraday.xml").write_text(CAMT052)
        (statements / "safeguarding.fin").write_bytes(MT950.replace("\n", "\r\n").encode())
        workbook(statements / "treuhand.xlsx", 245900.55)
        ledger(folder / "ledger.sqlite", "600000.00")
        trustees_key(folder)
        signed = f"statements/{PERIOD}/atlantic-trustees-usd.csv"
        openssl(
            folder, "cms", "-sign", "-binary", "-in", signed, "-signer", "trustees.pem", "-inkey", "trustees.key",
            "-outform", "DER", "-out", f"{signed}.p7s", "-md", "sha256",
        )  # fmt: skip
        operator.edit_config(
            lambda text: (
                text[: text.index("[accounts.")].replace("[stores]", '[stores]\nevidence_key = "env:EVIDENCE_KEY"', 1)
                + accounts(made)
            )
        )
        yield made


# -- the week ----------------------------------------------------------------------------------------------------------


def test_run__sources_of_every_kind__are_all_counted_sealed_and_published_without_their_names(world: World) -> None:
    taken = world.snapshot()
    assert [(one.source, one.minor_units) for one in taken.observations] == [
        ("kraken", 40_000_000), ("keystone-api", 40_000_000),
    ]  # fmt: skip
    # What they say after the cutoff is no longer asked.
    world.http.routes["POST /0/private/Balance"] = ok({"error": [], "result": {"ZUSD": "1.00"}})
    world.http.routes["/v1/positions?page=1"] = Answer(status=500)
    world.prove()

    said = world.attest("run", "--json")
    assert said.code == 0, said.everything
    sent = world.week.sent()

    explained = world.attest("quorum", "explain", "--period", PERIOD, "--json").document
    sources = {f"{one['account']}/{each['source']}": each for one in explained["accounts"] for each in one["sources"]}
    assert {one["outcome"] for one in explained["accounts"]} == {"accepted"}
    assert len(sources) == 17
    assert [name for name, each in sources.items() if not each["counted"]] == ["usd-operating/intraday"]
    assert sources["usd-operating/intraday"]["code"] == "corroborates"
    assert sources["usd-custody/kraken"]["observation"]["retrieved_at"] == "2026-11-22T23:44:59Z"

    kept = {key: data for key, data in world.week.stored().items() if key.partition("/")[0].endswith("evidence")}
    digests = {one for each in sources.values() for one in each["observation"]["evidence"]}
    assert digests <= {key.partition("/")[2] for key in kept}
    assert not [key for key, data in kept.items() if key.partition("/")[2] == digest(data)]  # all are sealed
    (statement,) = sources["usd-reserve/ofx"]["observation"]["evidence"]
    assert world.attest("custody", "evidence", statement).out == OFX
    mistyped = world.attest("custody", "evidence", statement[::-1])
    assert (mistyped.code, mistyped.out, "there is no evidence" in mistyped.err) == (2, "", True)

    files = dict(world.week.stored("public"))
    assert files.pop("verify.html") == verifier_page()  # the release's own, which knows no issuer
    public = b"".join(files.values()).lower()
    assert [one for one in PRIVATE if one.lower().encode() in public] == []
    private = b"".join(world.week.stored().values())
    assert [one for one in SECRETS.values() if one != "testing" and one.encode() in private] == []

    verified = attest(
        "verify", world.week.folder / f"public/attestations/{PERIOD}", "--trust", trusting_one_waiver(world.week)
    )
    assert verified.code == 0, verified.everything

    again = world.attest("run")
    assert (again.code, world.week.sent()) == (0, sent), again.everything


def trusting_one_waiver(operator: Week) -> Path:
    """An auditor's trust file that allows the chain's single feed."""
    path = operator.folder / "trust.json"
    document = json.loads(path.read_text())
    document["policy"]["waivers"] = ["single-feed"]
    path.write_text(json.dumps(document))
    return path


#: What each source's failure is called, and a word of what its message or advice must say.
BROKEN = {
    "usd-operating/swift": ("http-unauthorized", "401"),
    "usd-operating/bai": ("control-total-differs", "harbor.bai"),
    "usd-operating/intraday": ("malformed-xml", "intraday.xml"),
    "usd-reserve/ofx": ("host-key-differs", "SHA256:"),
    "usd-reserve/trustee-report": ("signature-invalid", "atlantic-trustees-usd.csv.p7s"),
    "usd-custody/keystone-api": ("snapshot-missing", "attest custody snapshot"),
    "usd-onchain/chain": ("wrong-contract", "decimals"),
    "eur-main/psd2": ("http-unauthorized", "CONSENT_EXPIRED"),
    "eur-main/workbook": ("formula-cell", "treuhand.xlsx"),
    "eur-safeguarding/bank-statement": ("file-missing", "isar-*.xml"),
    "eur-safeguarding/ledger": ("several-rows", "one row"),
    "eur-safeguarding/trustee-report": ("wrong-header", "Währung"),
    "gbp-main/open-banking": ("http-rate-limited", "429"),
    "gbp-main/trustee-api": ("malformed-json", "lantern"),
    "gbp-safeguarding/swift": ("movements-differ", "safeguarding.fin"),
    "gbp-safeguarding/trustee-report": ("truncated-file", "lantern-trustees-gbp.csv"),
}


def test_run__one_source_of_each_kind_broken__is_one_refusal_that_names_them_all_with_advice(world: World) -> None:
    statements = world.week.statement_file("x").parent
    world.bank.routes[f"/{PERIOD}/statement.zip"] = Answer(status=401)
    world.upload(BAI2.replace("8461307", "8461308").encode())
    (statements / "intraday.xml").write_text(CAMT052[:-40])
    csv = statements / "atlantic-trustees-usd.csv"
    csv.write_bytes(csv.read_bytes().replace(b"719,500.00", b"719,600.00"))
    world.http.routes["/v1/positions?page=2"] = page(2, last=1)
    world.http.routes["/psd2/v1/accounts/r-1/balances"] = ok(
        {"tppMessages": [{"code": "CONSENT_EXPIRED", "text": "renew"}]}, status=401
    )
    workbook(statements / "treuhand.xlsx", "=245900+0.55")
    (statements / "isar-privatbank.camt053.xml").unlink()
    ledger(world.week.folder / "ledger.sqlite", "600000.00", "600000.00")
    rhein = statements / "treuhand-rhein.csv"
    rhein.write_bytes(rhein.read_bytes().replace(b"hrung", b"hr."))
    world.http.routes["/aisp/accounts/22289/balances"] = Answer(status=429, headers={"Retry-After": "0"})
    world.http.routes["/lantern/GB51ZZTS40990155012204?on=2026-11-22"] = ok(text="<html>maintenance</html>")
    fin = statements / "safeguarding.fin"
    fin.write_bytes(fin.read_bytes().replace(b"C1000,00", b"C1000,01"))
    lantern = statements / "lantern-trustees-gbp.csv"
    lantern.write_bytes(lantern.read_bytes()[:-4])
    _, other, _ = new_key()
    world.week.edit_config(lambda text: text.replace(HOST_KEY, other).replace("decimals = 6, cur", "decimals = 5, cur"))
    sent, public = world.week.sent(), world.week.stored("public")

    taken = world.snapshot()
    assert [(one.source, one.code) for one in taken.failures] == [("keystone-api", "missing-page")]
    said = world.attest("run")
    assert said.code == 3, said.everything
    explained = world.attest("quorum", "explain", "--period", PERIOD, "--json").document
    failures = {
        f"{one['account']}/{each['source']}": each["failure"]
        for one in explained["accounts"]
        for each in one["sources"]
        if each["failure"] is not None
    }
    assert {name: one["code"] for name, one in failures.items()} == {name: code for name, (code, _) in BROKEN.items()}
    refused, _, advised = said.err.partition("\n next: ")
    for name, failure in failures.items():
        assert BROKEN[name][1] in failure["message"] + failure["advice"], failure
        if name != "usd-operating/intraday":  # it only corroborates, and stops nothing
            assert failure["message"] in refused
            (line,) = [line for line in advised.splitlines() if name in line.partition(": ")[0]]
            assert line.strip().endswith(f": {failure['advice']}")
    assert "usd-onchain: Run `attest custody challenge usd-onchain" in advised
    assert not [one for one in SECRETS.values() if one in said.everything and one != "testing"]
    assert (world.week.sent(), world.week.stored("public")) == (sent, public)
