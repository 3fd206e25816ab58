"""Custodians' detached signatures (OpenPGP, CMS) over the documents they send."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from attest.config import StatementSignature
from attest.custody.document import Document


def verified(
    documents: Sequence[Document], signature: StatementSignature, *, base: Path, at: datetime
) -> tuple[Document, ...]:
    """The signed ones of ``documents`` (each is followed by its signature), if every signature is good."""
    raise NotImplementedError
