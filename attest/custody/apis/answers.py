"""Reads what the presets' APIs answer: JSON objects whose members are asked for by name and type, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from attest.custody.apis import pages
from attest.custody.document import Document
from attest.errors import SourceError, printable

MAX_BYTES = 8 * 1024 * 1024
#: More than any account has of balances, or any wallet of assets.
MAX_ITEMS = 20_000
#: How much of an error's text is repeated.
_SHOWN = 200

_AGAIN = "Ask again; if the answer stays the same, compare it with the API's documentation: it may have changed."
#: Why each refusal matters, and what to do about it; those of every JSON API are in :mod:`attest.custody.apis.pages`.
_REFUSALS: dict[str, tuple[str, str]] = {
    "wrong-account": (
        "Another account's balance proves nothing about this one.",
        "Compare the source's options and `account` with the identifiers that the API shows.",
    ),
    "wrong-asset": (
        "A number of another asset is another amount of money.",
        "Compare the source's options with the identifiers that the API shows.",
    ),
    "asset-missing": (
        "What is not stated is not known: it may be nothing, and it may be a wrong option.",
        "Compare the source's options with the assets that the answer names.",
    ),
    "several-balances": ("Nobody can say which of them is meant.", _AGAIN),
    "no-closing-balance": (
        "Interim, expected and available balances are other facts than the closing booked balance.",
        "Ask the bank whether its API states closing booked balances at all; otherwise use its statements.",
    ),
    "included-credit-line": (
        "Money that the bank lends is not a reserve.",
        "Ask the custodian to state the balance without the credit line.",
    ),
    "date-missing": (
        "Without its date nobody knows which day's closing balance it is.",
        "Ask the bank to state referenceDate with closing balances; otherwise use its statements.",
    ),
    "naive-time": (
        "The same local time is a different instant in every time zone.",
        "Set `zone` of the account (or --zone) to the bank's time zone, for example Europe/London.",
    ),
    "malformed-date": ("A date that can be read in two ways can be a day off.", _AGAIN),
    "parts-differ": ("One of the numbers is wrong, and nobody can say which.", _AGAIN),
    "staked": (
        "What is staked is not at hand, and may be lost: it is no reserve of a national currency.",
        "Unstake it, or check that the source's options name the right asset.",
    ),
    "wallet-deleted": ("A wallet that was given up holds nothing for anybody.", "Check the source's options."),
    "several-answers": (
        "Two answers to one question can differ, and nobody can say which of them is meant.",
        "Read one answer at a time.",
    ),
}


class Answer:
    """One JSON object in an answer; ``where`` names the document, and the member that it is."""

    def __init__(self, members: Any, where: str) -> None:
        """Raises :class:`SourceError` (``malformed-answer``) if it is not an object."""
        self.where = where
        if not isinstance(members, dict):
            self.refuse("malformed-answer", "is not a JSON object")
        self.members: dict[str, Any] = members

    def refuse(self, code: str, detail: str) -> NoReturn:
        if code not in _REFUSALS:
            pages.refuse(self.where, code, detail)
        reason, advice = _REFUSALS[code]
        raise SourceError(printable(f"{self.where}: {detail}"), code=code, reason=reason, advice=advice)

    def error(self, *said: Iterable[object]) -> NoReturn:
        """Refuses the answer as an error: what the server says of it, as it says it (codes and texts)."""
        texts = [": ".join(str(part) for part in parts if isinstance(part, str | int) and part != "") for parts in said]
        shown = "".join(char for char in "; ".join(filter(None, texts)) if char.isprintable())[:_SHOWN]
        self.refuse("api-error", f"is an error: {shown or 'without a text'}")

    def text(self, name: str) -> str:
        """A text that must be there, and not be empty."""
        value = self.optional(name)
        if not value:
            self.refuse("malformed-answer", f"has no {name}")
        return value

    def optional(self, name: str) -> str:
        """A text, or ``""`` where there is none."""
        value = self.members.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.refuse("malformed-answer", f"{name} is not a text")
        return value

    def flag(self, name: str) -> bool:
        """A truth value; none is false."""
        value = self.members.get(name, False)
        if not isinstance(value, bool):
            self.refuse("malformed-answer", f"{name} is not true or false")
        return value

    def object(self, name: str) -> Answer:
        """An object that must be there."""
        return Answer(self.members.get(name), f"{self.where}: {name}")

    def objects(self, name: str) -> tuple[Answer, ...]:
        """The objects of a list that must be there."""
        value = self.members.get(name)
        if not isinstance(value, list):
            self.refuse("malformed-answer", f"{name} is not a list")
        if len(value) > MAX_ITEMS:
            self.refuse("malformed-answer", f"{name} holds more than {MAX_ITEMS} items")
        return tuple(Answer(item, f"{self.where}: {name} {number}") for number, item in enumerate(value, 1))

    def the(self, name: str, wanted: str, code: str) -> None:
        """Refuses with ``code`` unless the text ``name`` is ``wanted``."""
        value = self.text(name)
        if value != wanted:
            self.refuse(code, f"{name} is {value[:80]!r}, not {wanted!r}")


def load(document: Document) -> Answer:
    """The object that a document is. Raises :class:`SourceError` for anything that is not strictly JSON."""
    return Answer(pages.load(document, MAX_BYTES), document.name)


def the_only(documents: Sequence[Document]) -> Answer:
    """The answer to a question that has one. Raises :class:`SourceError` as :func:`load` does, and for several."""
    answer = load(documents[0])
    if len(documents) > 1:
        answer.refuse("several-answers", f"is one of {len(documents)} answers")
    return answer


def only(found: Iterable[Answer], within: Answer, what: str) -> Answer:
    """The only one of ``found``. Refuses none (``asset-missing``) and several (``several-balances``)."""
    listed = tuple(found)
    if not listed:
        within.refuse("asset-missing", f"states no balance of {what}")
    if len(listed) > 1:
        within.refuse("several-balances", f"states {len(listed)} balances of {what}")
    return listed[0]
