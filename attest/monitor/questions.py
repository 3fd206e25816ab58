"""What is asked of each chain in one cycle: many calls at one pinned block, answered together.

What fails costs only what needs it: a question without an answer raises when it is read, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attest.chain import contracts
from attest.chain.contracts import Call
from attest.chain.rpc import ChainClient, Request, code_request
from attest.errors import ChainError
from attest.model import Block


class Questions:
    """Calls to one chain at one block, and questions for code. Asking returns a function that gives the value once
    :meth:`run` has been called, or raises the :class:`ChainError` that says why there is none."""

    def __init__(self, client: ChainClient, block: Block) -> None:
        self.block = block
        self.disagreements = 0
        self._client = client
        self._requests: list[Request] = []
        self._answers: list[Any] = []

    def call(self, call: Call) -> Callable[[], Any]:
        return self._ask(call.request(self.block), call.value)

    def call_if_any(self, call: Call) -> Callable[[], Any]:
        """A call whose value is None where the contract has no such function."""
        return self._ask(call.request(self.block), call.value_if_any)

    def code(self, address: str, what: str) -> Callable[[], bytes]:
        """The code of a contract, of which there is some."""

        def read(answer: Any) -> bytes:
            return contracts.code_of(what, address, self._client.name, self.block, answer)

        return self._ask(code_request(address, self.block), read)

    def run(self) -> None:
        """Ask them all. An endpoint that fails as a whole fails each of them."""
        try:
            self._answers, self.disagreements = self._client.outcomes(self._requests)
        except ChainError as fault:
            self._answers = [fault] * len(self._requests)

    def _ask(self, request: Request, read: Callable[[Any], Any]) -> Callable[[], Any]:
        index = len(self._requests)
        self._requests.append(request)

        def value() -> Any:
            answer = self._answers[index]
            if isinstance(answer, ChainError):
                raise answer
            return read(answer)

        return value


class Chains:
    """The questions to every chain, by its name in the configuration, in one step of a cycle."""

    def __init__(self, clients: Mapping[str, ChainClient], blocks: Mapping[str, Block | ChainError]) -> None:
        self._blocks = blocks
        self._questions = {
            name: Questions(clients[name], block) for name, block in blocks.items() if isinstance(block, Block)
        }

    def __getitem__(self, name: str) -> Questions:
        """Raises the :class:`ChainError` for which a chain cannot be asked anything."""
        block = self._blocks[name]
        if isinstance(block, ChainError):
            raise block
        return self._questions[name]

    def run(self) -> None:
        for questions in self._questions.values():
            questions.run()

    def disagreements(self, name: str) -> int:
        """How many questions to a chain its endpoints answered differently."""
        return self._questions[name].disagreements if name in self._questions else 0
