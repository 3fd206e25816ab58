"""Secret references: fetched when used, shown masked, and never repeated in an error."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from attest.errors import OperatorError
from attest.secrets import Secret, check_reference, resolve

VALUE = "correct-horse-battery"


def refusal(reference: str, base: Path = Path(), environment: dict[str, str] | None = None) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        resolve(reference, base=base, environment=environment or {})
    fault = caught.value
    assert fault.code == "secret-unavailable"
    assert VALUE not in str(fault.as_json())
    assert fault.__cause__ is None
    return fault


@pytest.mark.parametrize(
    "reference",
    ["env:NAME", "file:/run/secrets/x", "file:keys/p", "aws-sm:arn:aws:sm:x:1:secret:y#key", "keyring:attest/alice"],
)
def test_check_reference__known_scheme__is_returned(reference: str) -> None:
    assert check_reference(reference) == reference


@pytest.mark.parametrize(
    "literal", [VALUE, "", "env:", "ENV:X", f"vault:{VALUE}", f"env:{VALUE} x", f"file:{VALUE}\n", f"file:{VALUE}ä"]
)
def test_check_reference__literal__is_refused_without_repeating_it(literal: str) -> None:
    with pytest.raises(ValueError, match="a literal secret is not allowed") as caught:
        check_reference(literal)
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "{!r}".format, lambda secret: f"{[secret]}"])
def test_secret__shown_in_any_way__is_masked(shown: Any) -> None:
    secret = Secret("env:PASSWORD", VALUE)
    assert VALUE not in shown(secret)
    assert "env:PASSWORD" in shown(secret)
    assert secret.reveal() == VALUE


def test_resolve__environment_variable__is_its_value() -> None:
    secret = resolve("env:PASSWORD", base=Path(), environment={"PASSWORD": VALUE})
    assert secret.reveal() == VALUE


def test_resolve__no_environment_given__is_the_processs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTEST_TEST_PASSWORD", VALUE)
    assert resolve("env:ATTEST_TEST_PASSWORD", base=Path()).reveal() == VALUE


@pytest.mark.parametrize("environment", [{}, {"PASSWORD": ""}])
def test_resolve__variable_unset_or_empty__is_refused_by_name(environment: dict[str, str]) -> None:
    assert "env:PASSWORD: the environment variable PASSWORD" in refusal("env:PASSWORD", environment=environment).message


@pytest.mark.parametrize("content", [VALUE, VALUE + "\n"])
def test_resolve__file__is_its_text_without_the_final_newline(tmp_path: Path, content: str) -> None:
    (tmp_path / "password").write_text(content)
    assert resolve("file:password", base=tmp_path).reveal() == VALUE
    assert resolve(f"file:{tmp_path}/password", base=Path("/elsewhere")).reveal() == VALUE


def test_resolve__file_with_blanks_and_lines__keeps_them(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" a \n\n")
    assert resolve("file:password", base=tmp_path).reveal() == " a \n"


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "No such file"), (b"\xff", "not UTF-8"), (b"", "is empty"), (b"\n", "is empty")]
)
def test_resolve__file_missing_or_unusable__is_refused(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    assert complaint in refusal("file:password", tmp_path).message


def test_resolve__literal__is_refused_without_repeating_it() -> None:
    assert "a literal secret is not allowed" in refusal(VALUE).message


# -- stores of secrets that are not ours -----------------------------------------------------------------------------


class FakeManager:
    """AWS Secrets Manager's client, with one answer or failure for every request."""

    def __init__(self, answer: str | Exception) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 - the API's name
        self.asked.append(SecretId)
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"SecretString": self.answer}


def manager(monkeypatch: pytest.MonkeyPatch, answer: str | Exception) -> FakeManager:
    fake = FakeManager(answer)
    module = ModuleType("boto3")
    monkeypatch.setitem(sys.modules, "boto3", module)
    monkeypatch.setattr(module, "client", {"secretsmanager": fake}.__getitem__, raising=False)
    return fake


def test_resolve__secrets_manager__is_the_whole_string_or_one_key_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = manager(monkeypatch, VALUE)
    assert resolve("aws-sm:arn:x", base=Path()).reveal() == VALUE
    fake.answer = f'{{"password": "{VALUE}"}}'
    assert resolve("aws-sm:arn:x#password", base=Path()).reveal() == VALUE
    assert fake.asked == ["arn:x", "arn:x"]


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (RuntimeError("alice is not authorized to perform GetSecretValue"), "alice is not authorized"),
        (f"{VALUE} is not JSON", "JSONDecodeError"),
        (f'{{"other": "{VALUE}"}}', "KeyError"),
        (f'["{VALUE}"]', "TypeError"),
        ('{"key": ""}', "empty"),
    ],
)
def test_resolve__secrets_manager_fails__is_refused_without_the_value(
    monkeypatch: pytest.MonkeyPatch, answer: str | Exception, complaint: str
) -> None:
    manager(monkeypatch, answer)
    assert complaint in refusal("aws-sm:arn:x#key").message


def keyring(monkeypatch: pytest.MonkeyPatch, get_password: Any) -> None:
    module = ModuleType("keyring")
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setattr(module, "get_password", get_password, raising=False)


def test_resolve__system_keyring__is_the_entry_of_service_and_user(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring(monkeypatch, lambda service, user: VALUE if (service, user) == ("attest", "alice") else None)
    assert resolve("keyring:attest/alice", base=Path()).reveal() == VALUE
    assert "no such entry" in refusal("keyring:attest/bob").message


def test_resolve__system_keyring_is_locked__is_refused_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(service: str, user: str) -> str:
        raise RuntimeError(VALUE)

    keyring(monkeypatch, locked)
    assert "cannot be read (RuntimeError)" in refusal("keyring:attest/alice").message


def test_resolve__keyring_library_is_missing__says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "pip install keyring" in refusal("keyring:attest/alice").message
