"""`attest init` writes a configuration that loads, keys that only its owner reads, and overwrites nothing."""

from __future__ import annotations

import dataclasses
import json
import stat
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest import scaffold
from attest.cli import init
from attest.cli.common import load
from attest.cli.main import main
from attest.config import Fees, Loaded
from attest.custody.csv_file import OPTIONS
from attest.diagnosis import examine
from attest.errors import EXIT_DONE, EXIT_USAGE, OperatorError
from attest.period import Period
from attest.signing.dsse import spki_pem
from attest.signing.keystore import load_keystore

#: A public key, uncompressed: the group's generator (SEC 2, section 2.4.1).
GENERATOR = (
    "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
)
ADDRESS = "0x00000000000000000000000000000000000000A1"
KEYS = scaffold.KeySet(
    folder="keys",
    password="file:keys/password.txt",
    reporters=("0x00000000000000000000000000000000000000b1", "0x00000000000000000000000000000000000000b2"),
    publisher="0x00000000000000000000000000000000000000c1",
    attestor="0x00000000000000000000000000000000000000d1",
    log_vkey="issuer.example/reserves+c5f7742c+ARV85AzCfVzg71Y9ioHYkYBXvs+wiqiQMy5FRJ86AB1F",
)


def written(tmp_path: Path, usual: str = "besu-138", **changes: object) -> Loaded:
    settings: dict[str, object] = {
        "issuer": "Example Issuer Ltd",
        "contact": "reserves@issuer.example",
        "network": scaffold.NETWORKS[usual],
        "oracle": ADDRESS,
        "registry": ADDRESS,
        "tokens": {"USDW": ("USD", scaffold.PLACEHOLDER, 6)},
        "keys": KEYS,
        "log_origin": "issuer.example/reserves",
        "accounts": scaffold.EXAMPLE_ACCOUNTS,
    }
    plan = scaffold.Scaffold(**(settings | changes))  # type: ignore[arg-type]
    path = tmp_path / "attest.toml"
    path.write_text(scaffold.config_text(plan), encoding="utf-8")
    return load(path)


# -- the configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", scaffold.NETWORKS)
def test_config_text__each_network__loads_with_every_option_known(tmp_path: Path, network: str) -> None:
    config = written(tmp_path, network).config

    chain, usual = config.chains["main"], scaffold.NETWORKS[network]
    assert (chain.chain_id, chain.finality, chain.fees.kind) == (usual.chain_id, usual.finality, usual.fees)
    assert [signer.address.lower() for signer in config.signing.reporters] == list(KEYS.reporters)
    assert config.schedule.clock is None
    assert chain.fees.replace_after_seconds == Fees().replace_after_seconds


def test_config_text__network_that_mines_at_once__says_when_to_replace(tmp_path: Path) -> None:
    network = dataclasses.replace(scaffold.NETWORKS["besu-138"], replace_after_seconds=3)

    assert written(tmp_path, network=network).config.chains["main"].fees.replace_after_seconds == 3


def test_config_text__example_account__has_two_origins_and_a_csv_that_names_its_columns(tmp_path: Path) -> None:
    account = written(tmp_path).config.accounts["usd-operating"]

    assert len({source.origin for source in account.sources}) == 2
    options = next(source.options for source in account.sources if source.format == "csv")
    assert {"account_column", "currency_column", "amount_column", "date_column"} <= set(options) <= set(OPTIONS)


def test_config_text__witnesses_and_pinned_clock__stand_in_the_configuration(tmp_path: Path) -> None:
    vkey = "witness.example/one+932be0ec+BGBvAfCDCzpnIDYB3v0bJ8Zx0al0qzmsm7fZUPJh4QB6"
    config = written(
        tmp_path, witnesses=(("file:witness.url", vkey),), witness_quorum=1, clock="2026-11-23T05:59:59Z"
    ).config

    assert [(witness.url, witness.vkey) for witness in config.log.witnesses] == [("file:witness.url", vkey)]
    assert config.log.witness_quorum == 1
    assert config.schedule.clock is not None


@given(st.text(min_size=1, max_size=200))
def test_config_text__any_issuer_name__is_read_back_as_it_was_given(
    tmp_path_factory: pytest.TempPathFactory, issuer: str
) -> None:
    assert written(tmp_path_factory.mktemp("init"), issuer=issuer).config.issuer.name == issuer


def test_examine__scaffold_as_it_was_written__names_every_address_to_put_in(tmp_path: Path) -> None:
    loaded = written(tmp_path, oracle=scaffold.PLACEHOLDER, registry=scaffold.PLACEHOLDER)

    findings = takewhile(lambda finding: "store" not in finding.subject, examine(loaded, Period(2026, 47)))
    errors = [finding.subject for finding in findings if finding.state == "error"]

    assert errors == ["oracle.address", "registry.address", "tokens.USDW.deployments: address"]


# -- keys ------------------------------------------------------------------------------------------------------------


def generate(folder: Path) -> scaffold.KeySet:
    return scaffold.generate_keys(
        folder, relative="keys", log_origin="issuer.example/reserves", reporters=2, scrypt_n=1 << 10
    )


def test_generate_keys__new_folder__only_its_owner_reads_it(tmp_path: Path) -> None:
    generate(tmp_path / "keys")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}
    names = ("reporter-1.json", "reporter-2.json", "publisher.json", "attestor.json", "log.pem", "password.txt")
    assert modes == dict.fromkeys(names, 0o600)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_generate_keys__new_folder__password_opens_the_keys_at_the_addresses_told(tmp_path: Path) -> None:
    keys = generate(tmp_path / "keys")

    password = (tmp_path / "keys/password.txt").read_text().removesuffix("\n")
    opened = {
        name: load_keystore(tmp_path / f"keys/{name}.json", password).address for name in ("publisher", "attestor")
    }
    assert opened == {"publisher": keys.publisher, "attestor": keys.attestor}
    assert len({*keys.reporters, keys.publisher, keys.attestor}) == 4


def test_generate_keys__folder_with_something_in_it__refuses_and_leaves_it_alone(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/reporter-1.json").write_text("mine")

    with pytest.raises(OperatorError) as refused:
        generate(tmp_path / "keys")

    assert refused.value.code == "keys-exist"
    assert [path.read_text() for path in (tmp_path / "keys").iterdir()] == ["mine"]


def test_generate_keys__twice__makes_other_keys(tmp_path: Path) -> None:
    one, other = generate(tmp_path / "one"), generate(tmp_path / "other")

    assert not {*one.reporters, one.publisher} & {*other.reporters, other.publisher}
    assert (tmp_path / "one/password.txt").read_text() != (tmp_path / "other/password.txt").read_text()


# -- files -----------------------------------------------------------------------------------------------------------


def test_write_new__file_exists__refuses_and_leaves_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "attest.toml"
    path.write_text("in use")

    with pytest.raises(OperatorError) as refused:
        scaffold.write_new(path, "empty")

    assert (refused.value.code, path.read_text()) == ("file-exists", "in use")


def test_write_new__folder_is_a_file__says_that_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "prod").write_text("")

    with pytest.raises(OperatorError) as refused:
        scaffold.write_new(tmp_path / "prod/attest.toml", "text")

    assert refused.value.code == "not-writable"


# -- the command -----------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["init", *arguments])
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


@pytest.fixture
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keystores of the default cost take seconds each."""
    monkeypatch.setattr("attest.signing.keystore.SCRYPT_N", 1 << 10)


@pytest.mark.usefixtures("cheap_keys")
def test_init__json__names_a_configuration_that_loads_and_the_keys_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(
        capsys, "--network", "besu-138", "--directory", str(tmp_path / "prod"), "--reporters", "2", "--json"
    )

    document = json.loads(out)
    signing = load(Path(document["config"])).config.signing
    assert (code, err) == (EXIT_DONE, "")
    assert document["keys"]["reporters"] == [signer.address for signer in signing.reporters]
    assert document["keys"]["publisher"] == signing.publisher.address
    assert document["keys"]["log"] == signing.log.vkey


@pytest.mark.usefixtures("cheap_keys")
def test_init__again__refuses_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--network", "sepolia", "--directory", str(tmp_path), "--reporters", "1")
    first = run(capsys, *arguments)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    code, _, err = run(capsys, *arguments)

    assert first[0] == EXIT_DONE
    assert str(tmp_path / "keys/password.txt") in first[1]
    assert code == EXIT_USAGE
    assert "exists already" in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("origin", ["my log", "a+b", ""])
def test_init__log_name_that_no_checkpoint_can_carry__refuses_before_making_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], origin: str
) -> None:
    code, _, err = run(capsys, "--network", "sepolia", "--directory", str(tmp_path), "--log-origin", origin)

    assert code == EXIT_USAGE
    assert "--log-origin" in err
    assert list(tmp_path.iterdir()) == []


def test_init__help__knows_exactly_the_scaffolds_networks() -> None:
    assert tuple(scaffold.NETWORKS) == init.NETWORKS


def test_init__no_network__says_the_choices_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys)

    assert code == EXIT_USAGE
    assert "error: Missing option '--network'. Choose from: besu-138, ethereum, sepolia\n" in err


def test_trust_example__one_address_on_two_chains__has_each_chains_own_code(tmp_path: Path) -> None:
    """The same deployer's contracts stand at the same addresses everywhere, in another order as other contracts."""
    loaded = written(tmp_path)
    second = (
        '[chains.second]\nchain_id = 139\nendpoints = ["http://127.0.0.1:8546"]\n'
        f'[[tokens.USDW.deployments]]\nchain = "second"\naddress = "{ADDRESS}"\ndecimals = 6\n'
    )
    path = loaded.base / "attest.toml"
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{second}", encoding="utf-8")
    oracle, token = "0a" * 32, "0b" * 32
    example = scaffold.trust_example(
        load(path).config,
        earliest_period="2026-W47",
        attestors=[spki_pem(bytes.fromhex(GENERATOR))],
        code_hashes={(138, ADDRESS): oracle, (139, ADDRESS): token},
        min_quorum=2,
    )
    assert example.oracle.code_hash == oracle
    assert [deployment.code_hash for deployment in example.tokens[0].deployments] == [None, token]


@pytest.mark.parametrize("option", ["--issuer", "--contact"])
def test_init__name_that_no_configuration_takes__is_refused_before_keys_are_made(tmp_path: Path, option: str) -> None:
    from click.testing import CliRunner

    from attest.cli.init import init
    from attest.cli.output import Output

    words = ["--network", "besu-138", "--directory", str(tmp_path / "new"), option, ""]
    assert CliRunner().invoke(init, words, obj=Output(json=False)).exit_code == 2
    assert not (tmp_path / "new").exists()
