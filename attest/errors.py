"""One exception family, grouped by who is at fault.

Every error that a person can meet answers three questions, and every face (terminal, ``--json``, logs) prints them in
this order: what is wrong (``message``, naming the file, account or key), why it matters here (``reason``), and what to
do next (``advice``). The exit code belongs to the group and is stable; the README documents it.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_SOURCE = 3
EXIT_SHORTFALL = 4
EXIT_CHAIN = 5
EXIT_VERIFICATION = 6
EXIT_CONFLICT = 7


def printable(text: str) -> str:
    """``text`` for a message or a terminal: control, bidirectional and undecodable characters are escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class AttestError(Exception):
    """Base of all errors that this package raises on purpose.

    ``message`` says what is wrong, ``reason`` why it matters, ``advice`` what to do next. ``code`` is a short stable
    identifier (kebab case) for machines, e.g. ``"currency-mismatch"``.
    """

    exit_code = EXIT_UNEXPECTED

    def __init__(self, message: str, *, code: str, reason: str = "", advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.advice = advice

    def as_json(self) -> dict[str, str]:
        """The ``--json`` form: ``error``, ``code``, ``reason``, ``advice``."""
        return {"error": self.message, "code": self.code, "reason": self.reason, "advice": self.advice}


def unexpected(fault: BaseException, *, reason: str, advice: str) -> AttestError:
    """An error that nobody foresaw: its kind only, as its text could carry a secret."""
    return AttestError(f"unexpected error: {type(fault).__name__}", code="unexpected", reason=reason, advice=advice)


class OperatorError(AttestError):
    """Usage, configuration, secrets, store access: the operator can mend it. Exit 2."""

    exit_code = EXIT_USAGE


class SourceError(AttestError):
    """A custodian's file or API was refused, or the quorum was not met. Exit 3."""

    exit_code = EXIT_SOURCE


class ShortfallError(AttestError):
    """A reserve is lower than the supply that it backs. Reported, never hidden. Exit 4."""

    exit_code = EXIT_SHORTFALL


class ChainError(AttestError):
    """The chain did not take, show or confirm what it should. Exit 5."""

    exit_code = EXIT_CHAIN


class VerificationError(AttestError):
    """Something offered for verification is malformed or false. Exit 6."""

    exit_code = EXIT_VERIFICATION


class ConflictError(AttestError):
    """Stored artifacts contradict each other, the evidence, or this configuration. Exit 7."""

    exit_code = EXIT_CONFLICT
