"""What the log's tests share: keys, envelopes and a store in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from attest.signing.dsse import assemble_envelope
from attest.signing.ed25519 import Ed25519Signer


class MemoryStore:
    """A store in memory."""

    def __init__(self) -> None:
        self.url = "memory://"
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def create(self, key: str, data: bytes) -> bool:
        with self.lock:
            if key in self.objects:
                return False
            self.objects[key] = data
            return True

    def replace(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def list(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(f"{prefix}/"))


class WatchedStore:
    """Another store, with ``before`` and ``after`` called around every operation on it."""

    def __init__(
        self,
        inner: MemoryStore,
        before: Callable[[str, str], None] = lambda operation, key: None,
        after: Callable[[str, str], None] = lambda operation, key: None,
    ) -> None:
        self.url = inner.url
        self.inner = inner
        self.before = before
        self.after = after

    def get(self, key: str) -> bytes | None:
        self.before("get", key)
        found = self.inner.get(key)
        self.after("get", key)
        return found

    def create(self, key: str, data: bytes) -> bool:
        self.before("create", key)
        created = self.inner.create(key, data)
        self.after("create", key)
        return created

    def replace(self, key: str, data: bytes) -> None:
        self.before("replace", key)
        self.inner.replace(key, data)
        self.after("replace", key)

    def list(self, prefix: str) -> list[str]:
        self.before("list", prefix)
        found = self.inner.list(prefix)
        self.after("list", prefix)
        return found


@pytest.fixture(scope="session")
def memory_store() -> type[MemoryStore]:
    return MemoryStore


@pytest.fixture(scope="session")
def watched_store() -> type[WatchedStore]:
    return WatchedStore


@pytest.fixture(scope="session")
def note_signer() -> Callable[[int], Ed25519Signer]:
    """The signer of test key number ``n``."""
    return lambda n: Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32))


@pytest.fixture(scope="session")
def envelope() -> Callable[..., bytes]:
    """An envelope over the payload ``n``; ``signature`` makes other bytes with the same payload."""
    return lambda n, signature=b"sig": assemble_envelope("text/plain", b"payload %d" % n, [("key", signature)])
