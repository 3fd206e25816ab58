"""``attest.toml``: what is understood completely is loaded; all else is refused by key, and no secret is repeated."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attest import config, schemas
from attest.errors import OperatorError, VerificationError

PASSWORD = "correct-horse-battery"
REPORTER, PUBLISHER, ATTESTOR = (f"0x{digit * 40}" for digit in "123")

TOML = f"""
[issuer]
name = "Example Issuer"
contact = "reserves@example.com"

[stores]
private = "file://private"
public = "file://public"

[chains.main]
chain_id = 138
endpoints = ["http://127.0.0.1:8545", "env:RPC_URL"]

[oracle]
chain = "main"
address = "0x{"a" * 40}"

[registry]
chain = "main"
address = "0x{"b" * 40}"

[tokens.USDW]
currency = "USD"
deployments = [{{ chain = "main", address = "0x{"c" * 40}", decimals = 6 }}]

[accounts.usd-main]
token = "USDW"
custodian = "Example Bank"
external_account = "DE89 3704 0044 0532 0130 00"
currency = "USD"
zone = "Europe/Berlin"
holidays = [2026-11-26]

[[accounts.usd-main.sources]]
id = "bank"
origin = "core"
format = "camt053"
location = "statements/{{period}}/*.xml"

[[accounts.usd-main.sources]]
id = "portal"
origin = "portal"
format = "csv"
location = "exports/{{period}}.csv"
options = {{ columns = ["IBAN", "Saldo"], delimiter = ";" }}

[signing]
threshold = 1
reporters = [{{ uri = "keystore:keys/reporter.json", address = "{REPORTER}", password = "env:PASSWORD" }}]
publisher = {{ uri = "keystore:keys/publisher.json", address = "{PUBLISHER}", password = "file:/run/secrets/x" }}
attestors = [{{ uri = "keystore:keys/attestor.json", address = "{ATTESTOR}" }}]

[signing.log]
uri = "keystore:keys/log.pem"
vkey = "example.com/reserves+00000000+AQ=="

[log]
origin = "example.com/reserves"
witnesses = [{{ url = "https://witness.example.com", vkey = "w+00000000+BA==" }}]
witness_quorum = 1
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "attest.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def loaded(write: Callable[[str], Path]) -> config.Loaded:
    return config.load(write(TOML))


def refusal(path: Path) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        config.load(path)
    fault = caught.value
    assert fault.code == "configuration"
    assert fault.exit_code == 2
    assert fault.message.startswith(f"{path}: ")
    assert fault.reason
    assert fault.advice
    return fault


def test_load__complete_configuration__has_values_and_defaults(loaded: config.Loaded, tmp_path: Path) -> None:
    assert loaded.base == tmp_path
    settings = loaded.config
    assert settings.chains["main"].endpoints == ("http://127.0.0.1:8545", "env:RPC_URL")
    assert settings.schedule.schedule.weekday == 7
    assert settings.schedule.at == time(23, 59, 59)
    assert settings.quorum.min_sources == 2
    assert settings.account_quorum("usd-main") == settings.quorum
    assert settings.accounts["usd-main"].sources[1].options == {"columns": ("IBAN", "Saldo"), "delimiter": ";"}


def test_load__lowercase_address__is_shown_with_its_checksum(loaded: config.Loaded) -> None:
    assert loaded.config.oracle.address == "0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa"


def test_load__account_with_its_own_quorum__is_decided_by_it(write: Callable[[str], Path]) -> None:
    own = '\n[accounts.usd-main.quorum]\nmin_origins = 1\nwaiver = "single-custodian"\n'
    settings = config.load(write(TOML + own)).config
    assert settings.account_quorum("usd-main").min_origins == 1
    assert settings.quorum.min_origins == 2


def test_load__pinned_clock__is_an_instant(write: Callable[[str], Path]) -> None:
    settings = config.load(write(TOML + "\n[schedule]\nclock = 2026-11-23T07:00:00+01:00\n")).config
    assert settings.schedule.clock == datetime(2026, 11, 23, 6, tzinfo=UTC)


# -- refusals: (what is replaced, by what, key named, complaint) -----------------------------------------------------

SECOND_ACCOUNT = """
[accounts.usd-other]
token = "USDW"
custodian = "Example Bank"
external_account = "de89370400440532013000"
currency = "USD"
sources = [{ id = "a", origin = "a", format = "csv", location = "x.csv" }]
"""
SECOND_CHAIN = '\n[chains.other]\nchain_id = 138\nendpoints = ["http://127.0.0.1:9545"]\n'
OTHER_TOKEN = f"""
[tokens.EURW]
currency = "EUR"
deployments = [{{ chain = "main", address = "0x{"d" * 40}", decimals = 6 }}]
"""

REFUSED: dict[str, tuple[str, str, str, str]] = {
    "unknown section": ("[issuer]", "[isuer]", "isuer", "unknown key"),
    "unknown key": ('contact = "', 'contcat = "', "issuer.contcat", "unknown key"),
    "unknown key in a list": ('origin = "core"', 'orign = "core"', "accounts.usd-main.sources.0.orign", "unknown key"),
    "empty text": ('name = "Example Issuer"', 'name = ""', "issuer.name", "at least 1"),
    "section of another kind": ('[issuer]\nname = "Example Issuer"', "issuer = 5\n[x]", "issuer", "valid dictionary"),
    "number as text": ("chain_id = 138", 'chain_id = "138"', "chains.main.chain_id", "valid integer"),
    "float": ("chain_id = 138", "chain_id = 138.0", "chains.main.chain_id", "valid integer"),
    "boolean as number": ("threshold = 1", "threshold = true", "signing.threshold", "valid integer"),
    "number out of range": ("chain_id = 138", "chain_id = 0", "chains.main.chain_id", "greater than or equal to 1"),
    "no endpoint": ('["http://127.0.0.1:8545", "env:RPC_URL"]', "[]", "chains.main.endpoints", "at least 1"),
    "endpoint of another scheme": ("http://127.0.0.1:8545", "ws://127.0.0.1", "chains.main", "an endpoint is"),
    "read quorum too large": ("chain_id = 138", "chain_id = 138\nread_quorum = 3", "chains.main", "read_quorum"),
    "finality": ("chain_id = 138", 'chain_id = 138\nfinality = "soon"', "chains.main.finality", "pattern"),
    "chain name": ("[chains.main]", '[chains."main chain"]', "chains.main chain", "names are 1 to 64 ASCII"),
    "address too short": (f"0x{'a' * 40}", f"0x{'a' * 39}", "oracle.address", "0x and 40 hex digits"),
    "address checksum": (
        f"0x{'c' * 40}",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeE",
        "tokens.USDW.deployments.0.address",
        "checksum (EIP-55) does not hold",
    ),
    "unknown zone": ("Europe/Berlin", "Europe/Bonn", "accounts.usd-main.zone", "not an IANA time zone"),
    "zone that leaves the database": ("Europe/Berlin", "../etc/passwd", "accounts.usd-main.zone", "not an IANA"),
    "unknown choice": ("[stores]", '[schedule]\nweekday = "Sunday"\n[stores]', "schedule.weekday", "'sunday'"),
    "clock without a zone": (
        "[stores]",
        "[schedule]\nclock = 2026-11-23T06:00:00\n[stores]",
        "schedule.clock",
        "timezone",
    ),
    "unknown chain of the oracle": (
        '[oracle]\nchain = "main"',
        '[oracle]\nchain = "x"',
        "oracle.chain",
        "no chain 'x'",
    ),
    "unknown chain of a token": ('[{ chain = "main"', '[{ chain = "x"', "tokens.USDW.deployments", "no chain 'x'"),
    "same chain twice": ("[oracle]", SECOND_CHAIN + "[oracle]", "chains", "same chain_id is configured twice"),
    "token without account": ("[signing]", OTHER_TOKEN + "[signing]", "tokens.EURW", "no account"),
    "token not on the oracle's chain": (
        'deployments = [{ chain = "main"',
        'deployments = [{ chain = "far"',
        "tokens.USDW",
        "exactly one deployment must be on the oracle's chain",
    ),
    "same deployment twice": (
        "[signing]",
        OTHER_TOKEN.replace("d" * 40, "c" * 40)
        + SECOND_ACCOUNT.replace("USDW", "EURW").replace("USD", "EUR")
        + "[signing]",
        "tokens",
        "same deployment is configured twice",
    ),
    "account of an unknown token": ('token = "USDW"', 'token = "X"', "tokens.USDW", "no account"),
    "account in another currency": (
        '30 00"\ncurrency = "USD"',
        '30 00"\ncurrency = "EUR"',
        "accounts.usd-main.currency",
        "another currency",
    ),
    "same source id twice": ('id = "portal"', 'id = "bank"', "accounts.usd-main.sources", "same id"),
    "same account twice": ("[signing]", SECOND_ACCOUNT + "[signing]", "accounts.usd-other", "double counting"),
    "account without sources": (
        "[signing]",
        SECOND_ACCOUNT[: SECOND_ACCOUNT.index("sources")] + "[signing]",
        "accounts.usd-other.sources",
        "required",
    ),
    "single source unexplained": (
        "[signing]",
        "[quorum]\nmin_sources = 1\n[signing]",
        "quorum",
        "needs `waiver`",
    ),
    "waiver in free text": (
        "[signing]",
        '[quorum]\nwaiver = "we trust them"\n[signing]',
        "quorum.waiver",
        "single-feed",
    ),
    "same key for two jobs": (ATTESTOR, REPORTER, "signing", "each key has one job"),
    "threshold too large": ("threshold = 1", "threshold = 2", "signing", "larger than the number of attestors"),
    "no attestor of one's own": ('uri = "keystore:keys/attestor.json", ', "", "signing", "none of them has a uri"),
    "unknown category": (
        'currency = "USD"\nzone',
        'currency = "USD"\ncategory = "gold"\nzone',
        "accounts.usd-main.category",
        "treasury-bill",
    ),
    "country in words": (
        'currency = "USD"\nzone',
        'currency = "USD"\ncountry = "Germany"\nzone',
        "accounts.usd-main.country",
        "pattern",
    ),
    "auditor without a fingerprint": (
        "[signing]",
        '[auditors.firm]\nopenpgp = "firm.asc"\n[signing]',
        "auditors.firm.fingerprint",
        "is required",
    ),
    "auditor with a short fingerprint": (
        "[signing]",
        '[auditors.firm]\nopenpgp = "firm.asc"\nfingerprint = "DEADBEEF"\n[signing]',
        "auditors.firm.fingerprint",
        "pattern",
    ),
    "auditor who sees something else": (
        "[signing]",
        f'[auditors.firm]\nopenpgp = "firm.asc"\nfingerprint = "{"A" * 40}"\nsees = ["all"]\n[signing]',
        "auditors.firm.sees",
        "control-log",
    ),
    "signer without scheme": (
        "keystore:keys/reporter.json",
        "keys/reporter.json",
        "signing.reporters.0.uri",
        "pattern",
    ),
    "witness quorum too large": ("witness_quorum = 1", "witness_quorum = 2", "log.witness_quorum", "larger"),
    "same witness twice": (
        'witnesses = [{ url = "https://witness.example.com", vkey = "w+00000000+BA==" }]',
        'witnesses = [{ url = "https://a.example", vkey = "w" }, { url = "https://b.example", vkey = "w" }]',
        "log.witnesses",
        "same witness",
    ),
    "event of an address without 0x": (
        "[signing]",
        f'[monitor.bridge]\naddress = "0x{"81" * 20}"\n[monitor.bridge.events.transfer-initiated]\nevent = "Locked()"\n'
        f'where = {{ token = "{"cf" * 20}" }}\n[signing]',
        "monitor.bridge.events.transfer-initiated.where.token",
        "0x and 40 hex digits",
    ),
    "log origin with a blank": ('origin = "example.com/reserves"', 'origin = "our log"', "log.origin", "pattern"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_load__malformed_configuration__is_refused_naming_the_key(write: Callable[[str], Path], case: str) -> None:
    old, new, key, complaint = REFUSED[case]
    assert old in TOML
    text = TOML.replace(old, new, 1)
    if 'chain = "far"' in text:
        text += '\n[chains.far]\nchain_id = 1\nendpoints = ["http://127.0.0.1:1"]\n'
    message = refusal(write(text)).message
    assert f": {key}" in message or f"; {key}" in message
    assert complaint in message


def test_load__account_names_a_token_that_is_not_there__is_refused(write: Callable[[str], Path]) -> None:
    text = TOML + SECOND_ACCOUNT.replace("de89370400440532013000", "other").replace('"USDW"', '"GBPW"')
    assert "accounts.usd-other.token: there is no token 'GBPW'" in refusal(write(text)).message


@pytest.mark.parametrize(
    "section", ["issuer", "stores", "chains", "oracle", "registry", "tokens", "accounts", "signing", "log"]
)
def test_load__section_is_missing__is_refused_by_name(write: Callable[[str], Path], section: str) -> None:
    document = tomllib.loads(TOML)
    lines = [f"{key} = {_inline(value)}" for key, value in document.items() if key != section]
    assert f"{section}: is required" in refusal(write("\n".join(lines))).message


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value) if isinstance(value, str | int) else str(value)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("env:PASSWORD", PASSWORD, "signing.reporters.0.password"),
        ("env:PASSWORD", f"plain:{PASSWORD}", "signing.reporters.0.password"),
        ("file:/run/secrets/x", f"env:{PASSWORD} {PASSWORD}", "signing.publisher.password"),
        ("file:/run/secrets/x", f"{PASSWORD}\\n", "signing.publisher.password"),
        ("http://127.0.0.1:8545", f"https://user:{PASSWORD}@rpc.example.com", "chains.main"),
        ("http://127.0.0.1:8545", f"wss://rpc.example.com/{PASSWORD}", "chains.main"),
    ],
)
def test_load__literal_secret__is_refused_without_repeating_it(
    write: Callable[[str], Path], old: str, new: str, key: str
) -> None:
    fault = refusal(write(TOML.replace(old, new, 1)))
    assert key in fault.message
    assert PASSWORD not in str(fault.as_json())
    assert fault.__cause__ is None


def test_load__many_faults__shows_five_and_counts_the_rest(write: Callable[[str], Path]) -> None:
    text = TOML.replace("[issuer]", "[issuer]\n" + "\n".join(f"x{n} = 1" for n in range(9)))
    assert refusal(write(text)).message.endswith("issuer.x4: unknown key; and 4 more")


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ('kind = "ftp"', "connections.bank: kind 'ftp' is none of 'http', 's3', 'azure', 'gcs', 'sftp', 'sql'"),
        ('user = "a"', "connections.bank: kind is missing"),
        ('kind = "http"\nbearer = "hunter2"', "connections.bank.bearer: a literal secret is not allowed here"),
        ('kind = "http"\ntoken = "x"', "connections.bank.token: unknown key"),
        ('kind = "sftp"\nuser = "a"\npassword = "env:X"', "connections.bank.host_key: is required"),
        (
            'kind = "sftp"\nuser = "a"\nhost_key = "ssh-ed25519 AAAA"',
            "connections.bank: either password or private_key",
        ),
        (
            'kind = "sftp"\nuser = "a"\npassword = "env:X"\nhost_key = "sftp.example ssh-ed25519 AAAA"',
            "connections.bank.host_key: must be kind and key as in known_hosts, without host and comment",
        ),
    ],
)
def test_load__connection_that_cannot_be__is_refused_by_the_keys_of_the_file(
    write: Callable[[str], Path], section: str, complaint: str
) -> None:
    fault = refusal(write(f"{TOML}\n[connections.bank]\n{section}\n"))
    assert f"attest.toml: {complaint}" in fault.message
    assert "hunter2" not in fault.message
    assert "docs/configuration.md" in fault.advice


@pytest.mark.parametrize("index", ["events.sqlite", "postgresql+psycopg://attest:hunter2@db.example/attest"])
def test_load__index_that_is_no_database_or_shows_a_password__says_what_to_write(
    write: Callable[[str], Path], index: str
) -> None:
    said = refusal(write(f'{TOML}\n[monitor]\nindex = "{index}"\n')).message
    assert "monitor.index: is sqlite:///PATH, or a reference to a URL: env:NAME, file:PATH" in said
    assert "hunter2" not in said


_BRIDGE = f'[monitor.bridge]\naddress = "0x{1:040x}"\n'
_STABILIZER = f'[monitor.stabilizer]\naddress = "0x{2:040x}"\nwindow_seconds = 300\n'


@pytest.mark.parametrize("others", ["[monitor]\n" + _BRIDGE, '[monitor]\nindex = "sqlite:///events.sqlite"\n'])
def test_load__peak_outflow_that_nothing_measures__is_refused(write: Callable[[str], Path], others: str) -> None:
    said = refusal(write(f"{TOML}\n{others}\n{_STABILIZER}")).message
    assert "monitor: stabilizer.window_seconds: P is measured in the events of `bridge` in the `index`" in said
    assert "peak_minute_outflow" in said


@pytest.mark.parametrize(
    ("others", "given"),
    [('[monitor]\nindex = "sqlite:///events.sqlite"\n' + _BRIDGE, ""), ("", "peak_minute_outflow = 0")],
)
def test_load__peak_outflow_measured_or_given__is_accepted(
    write: Callable[[str], Path], others: str, given: str
) -> None:
    loaded = config.load(write(f"{TOML}\n{others}\n{_STABILIZER}{given}\n"))
    assert loaded.config.monitor.stabilizer is not None


def test_load__two_sources_of_one_name__names_it(write: Callable[[str], Path]) -> None:
    (name,) = tomllib.loads(TOML)["accounts"]
    source = tomllib.loads(TOML)["accounts"][name]["sources"][0]
    again = f"[[accounts.{name}.sources]]\n" + "\n".join(f"{key} = {_inline(value)}" for key, value in source.items())
    said = refusal(write(f"{TOML}\n{again}\n")).message
    assert said.endswith(f"attest.toml: accounts.{name}.sources: two have the same id, {source['id']!r}")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"[issuer", "is not TOML"),
        (b"a = 1\na = 2", "is not TOML"),
        (b"a = \xff", "is not UTF-8"),
        (b"\xef\xbb\xbfa = 1", "is not TOML"),
        (b"a = " + b"9" * 5000, "a number is too long"),
        (b"a = " + b"[" * 200_000, "nested too deeply"),
        (b"", "issuer: is required"),
    ],
)
def test_load__not_a_readable_toml_file__is_refused(tmp_path: Path, data: bytes, complaint: str) -> None:
    path = tmp_path / "attest.toml"
    path.write_bytes(data)
    assert complaint in refusal(path).message


def test_load__no_such_file__says_how_to_make_one(tmp_path: Path) -> None:
    fault = refusal(tmp_path / "attest.toml")
    assert "No such file" in fault.message
    assert "attest init" in fault.advice


# -- what decides results, and its digest ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("file://private", "s3://bucket/private"),
        ("http://127.0.0.1:8545", "http://10.0.0.1:8545"),
        ("chain_id = 138", "chain_id = 138\nconfirm_timeout_seconds = 5"),
        ("statements/{period}/*.xml", "elsewhere/{period}.xml"),
        ("env:PASSWORD", "env:OTHER"),
        ("keystore:keys/reporter.json", "keystore:moved/reporter.json"),
        ("https://witness.example.com", "https://moved.example.com"),
    ],
)
def test_digest__how_things_are_reached_changes__stays(
    loaded: config.Loaded, write: Callable[[str], Path], old: str, new: str
) -> None:
    assert old in TOML
    assert config.load(write(TOML.replace(old, new))).digest() == loaded.digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Example Issuer", "Another Issuer"),
        ("chain_id = 138", "chain_id = 139"),
        (f"0x{'a' * 40}", f"0x{'e' * 40}"),
        ("DE89 3704", "DE90 3704"),
        ('origin = "core"', 'origin = "core2"'),
        ('delimiter = ";"', 'delimiter = ","'),
        ("Europe/Berlin", "Europe/London"),
        (REPORTER, f"0x{'9' * 40}"),
        ("[signing]\n", "[quorum]\ntolerance_abs = 1\n[signing]\n"),
        ("w+00000000+BA==", "v+00000000+BA=="),
    ],
)
def test_digest__what_decides_results_changes__changes(
    loaded: config.Loaded, write: Callable[[str], Path], old: str, new: str
) -> None:
    assert old in TOML
    assert config.load(write(TOML.replace(old, new))).digest() != loaded.digest()


def test_decisive__configuration__holds_no_reference_to_a_secret(loaded: config.Loaded) -> None:
    document = json.loads(loaded.decisive())
    assert "env:" not in json.dumps(document)
    assert document["accounts"]["usd-main"]["custodian"] == "Example Bank"


# -- the schema ------------------------------------------------------------------------------------------------------


def test_schema__valid_configuration__is_accepted_and_unknown_keys_are_not() -> None:
    document = tomllib.loads(TOML)
    document["accounts"]["usd-main"]["holidays"] = ["2026-11-26"]
    jsonschema.validate(document, schemas.schema("configuration"))
    document["issuer"]["extra"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schemas.schema("configuration"))


@pytest.mark.parametrize(
    ("private", "public"),
    [
        ("file://store", "file://store"),
        ("file://store/", "file://./store"),
        ("file://public/private", "file://public"),
        ("file://store", "file://store/public"),
        ("file://.", "file://public"),
        ("s3://bucket/reserves", "s3://bucket/reserves/"),
        ("s3://bucket/public/private", "s3://bucket/public"),
        ("gs://bucket", "gs://bucket/public"),
    ],
)
def test_load__one_store_within_the_other__is_refused(write: Callable[[str], Path], private: str, public: str) -> None:
    """What lies below the public store is served: salts and evidence must not."""
    text = TOML.replace("file://private", private).replace('"file://public"', f'"{public}"')
    assert "stores: the private and the public store" in refusal(write(text)).message


@pytest.mark.parametrize(
    ("private", "public"),
    [("file://store", "file://store-public"), ("s3://bucket/a", "s3://bucket/ab"), ("s3://one", "gs://one")],
)
def test_load__stores_with_names_that_only_begin_alike__are_apart(
    write: Callable[[str], Path], private: str, public: str
) -> None:
    text = TOML.replace("file://private", private).replace('"file://public"', f'"{public}"')
    assert config.load(write(text)).config.stores.private == private


def test_digest__auditor_appointed_or_account_described__stays(
    loaded: config.Loaded, write: Callable[[str], Path]
) -> None:
    text = TOML.replace('currency = "USD"\nzone', 'currency = "USD"\ncategory = "cash"\ncountry = "DE"\nzone')
    text += f'\n[auditors.firm]\nopenpgp = "firm.asc"\nfingerprint = "{"A" * 40}"\n'
    changed = config.load(write(text))
    assert changed.config.auditors["firm"].sees == ("leaves", "evidence", "quorum", "control-log", "report")
    assert changed.digest() == loaded.digest()


def test_digest__attestor_held_elsewhere__is_another_configuration(
    loaded: config.Loaded, write: Callable[[str], Path]
) -> None:
    other = "0x" + "e5" * 20
    text = TOML.replace(f'address = "{ATTESTOR}" }}]', f'address = "{ATTESTOR}" }}, {{ address = "{other}" }}]')
    changed = config.load(write(text))
    assert [one.address for one in changed.config.signing.own_attestors] == [loaded.config.signing.attestors[0].address]
    assert changed.digest() != loaded.digest()


def test_restored__decisive_bytes__decide_as_before(loaded: config.Loaded, tmp_path: Path) -> None:
    again = config.restored(loaded.decisive(), tmp_path, "configuration.json")
    assert again.decisive() == loaded.decisive()
    assert again.base == tmp_path


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.pop("signing"),
        lambda plain: plain.update(chains=[]),
        lambda plain: plain.update(later_release="yes"),
        lambda plain: plain["quorum"].update(min_sources="two"),
        lambda plain: plain["log"].pop("witnesses"),
    ],
)
def test_restored__configuration_that_is_not_understood_whole__is_refused(
    loaded: config.Loaded, tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    plain = json.loads(loaded.decisive())
    change(plain)
    with pytest.raises(VerificationError, match=r"configuration\.json"):
        config.restored(json.dumps(plain).encode(), tmp_path, "configuration.json")
