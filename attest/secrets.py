"""Secret references: where a secret is, never what it is.

A configuration holds ``env:NAME``, ``file:/run/secrets/x``, ``aws-sm:ARN#key`` or ``keyring:SERVICE/USER``; a literal
is refused. The value is fetched when it is used, and a :class:`Secret` shows itself masked in ``repr`` and ``str``.

A value lives in memory as Python's ``str`` or ``bytes``, which cannot be overwritten, and the libraries that decrypt
and sign make copies of their own. So the memory itself is shut (:func:`shut_memory`), processes are short, and a key
that must never be in it belongs into a KMS or an HSM. What is read into a ``bytearray`` is overwritten by :func:`wipe`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from attest.errors import OperatorError

_SCHEMES = ("env", "file", "aws-sm", "keyring")
_ADVICE = "Write a reference: env:NAME, file:PATH, aws-sm:ARN#KEY or keyring:SERVICE/USER; never the secret itself."


@dataclass(frozen=True)
class Secret:
    """A fetched secret. ``reveal()`` gives the value; everything else shows only its reference."""

    reference: str
    _value: str

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.reference})"

    __str__ = __repr__


#: ``prctl(2)``: whether the process may dump core and be looked into by others of its user.
_PR_SET_DUMPABLE = 4


def shut_memory() -> None:
    """Let nobody look into this process: no core file, and on Linux no debugger and no ``/proc/PID/mem`` for other
    processes of the same user. Where the system has no such switch, nothing happens."""
    import ctypes
    import sys

    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    except (ImportError, OSError, ValueError):
        pass
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def wipe(buffer: bytearray) -> None:
    """Overwrite what a buffer held with zeros."""
    buffer[:] = bytes(len(buffer))


def check_reference(reference: str) -> str:
    """Returns ``reference``; raises ``ValueError`` (without repeating the value) if it is not one."""
    scheme, _, rest = reference.partition(":")
    if scheme not in _SCHEMES or not rest or not re.fullmatch(r"[\x21-\x7e]+", rest):
        raise ValueError(f"a literal secret is not allowed here. {_ADVICE}")
    return reference


def resolve(reference: str, *, base: Path, environment: Mapping[str, str] | None = None) -> Secret:
    """Fetch a secret. ``file:`` paths are relative to ``base``; one final newline of a file is dropped.

    Raises :class:`OperatorError` naming the reference, never the value.
    """
    try:
        check_reference(reference)
    except ValueError as fault:
        raise _unavailable("a secret", str(fault)) from None
    scheme, _, rest = reference.partition(":")
    if scheme == "env":
        value = (os.environ if environment is None else environment).get(rest)
        if not value:
            raise _unavailable(reference, f"the environment variable {rest} is not set")
    elif scheme == "file":
        try:
            value = (base / rest).read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as fault:
            raise _unavailable(reference, getattr(fault, "strerror", None) or "it is not UTF-8 text") from None
        if not value:
            raise _unavailable(reference, "the file is empty")
    elif scheme == "aws-sm":
        value = _from_secrets_manager(reference, rest)
    else:
        value = _from_keyring(reference, rest)
    return Secret(reference, value)


def _unavailable(reference: str, detail: str) -> OperatorError:
    return OperatorError(
        f"{reference}: {detail}",
        code="secret-unavailable",
        reason="A key or an endpoint cannot be used without its secret.",
        advice="Set the variable, mount the file, or correct the reference in attest.toml; then run `attest doctor`.",
    )


def _from_secrets_manager(reference: str, rest: str) -> str:
    import json

    import boto3

    arn, _, key = rest.partition("#")
    try:
        value: str = boto3.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        value = str(json.loads(value)[key]) if key else value
    except Exception as fault:
        # The SDK's errors name the principal and the action, never the value; a JSON error would quote the value.
        detail = type(fault).__name__ if isinstance(fault, ValueError | KeyError | TypeError) else str(fault)
        raise _unavailable(reference, detail) from None
    if not value:
        raise _unavailable(reference, "the secret is empty")
    return value


def _from_keyring(reference: str, rest: str) -> str:
    try:
        import keyring
    except ModuleNotFoundError:
        raise _unavailable(reference, "the keyring library is not installed: pip install keyring") from None
    service, _, user = rest.partition("/")
    try:
        value: str | None = keyring.get_password(service, user)
    except Exception as fault:  # each backend has its own errors; none of their texts is ours to show
        raise _unavailable(reference, f"the system keyring cannot be read ({type(fault).__name__})") from None
    if not value:
        raise _unavailable(reference, "the system keyring has no such entry")
    return value
