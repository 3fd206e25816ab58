// What the tests ask of the verifier page from outside: a bundle or proof to verify, a vector to judge.
async ({ kind, input, at }) => {
  const { bytes, checkpoint, dsse, merkle, note } = attest;
  const hex = (text) => (/^(?:[0-9a-f]{2})*$/.test(text) ? bytes.fromHex(text) : fail(`${text} is not hex`));
  const fail = (message) => {
    throw new Error(message);
  };
  const one = (data) => (data === undefined ? undefined : bytes.fromBase64(data));
  const all = (files) => files && Object.fromEntries(Object.entries(files).map(([name, data]) => [name, one(data)]));
  const keys = (vkeys) => Promise.all(vkeys.map((vkey) => note.parseVkey(vkey)));

  async function enough(signed) {
    const found = await checkpoint.verifyWitnesses(signed, await keys(input.witness_vkeys));
    if (found.length < input.threshold) throw { code: "threshold" };
  }

  const verify = (files) =>
    attest.verify({
      files: all(files),
      trust: bytes.utf8(input.trust),
      proof: one(input.proof),
      proofName: "proof.json",
      leaves: one(input.leaves),
      since: one(input.since),
      log: all(input.log),
      now: at,
    });
  const kinds = {
    bundle: () => verify(input.bundle),
    proof: () => verify(input.statement),
    inclusion: async () => {
      const leaf = input.leaf === undefined ? hex(input.leaf_hash) : await merkle.leafHash(one(input.leaf));
      await merkle.verifyInclusion(leaf, BigInt(input.index), BigInt(input.size), input.path.map(hex), hex(input.root));
    },
    consistency: () =>
      merkle.verifyConsistency(
        BigInt(input.old_size),
        hex(input.old_root),
        BigInt(input.new_size),
        hex(input.new_root),
        input.path.map(hex),
      ),
    note: async () => note.verifyNote(note.parseNote(one(input.note)), await note.parseVkey(input.vkey)),
    checkpoint: async () =>
      enough(await checkpoint.openCheckpoint(one(input.checkpoint), await note.parseVkey(input.log_vkey))),
    "log-proof": async () => {
      const key = await note.parseVkey(input.log_vkey);
      await enough((await checkpoint.verifyLogProof(one(input.proof), one(input.entry), key)).signed);
    },
    dsse: async () => {
      const envelope = await dsse.parseEnvelope(one(input.envelope));
      const key = dsse.spkiOfPem(input.public_key);
      const found = await Promise.all(
        envelope.signatures.map((item) => dsse.verifies(key, input.payload_type, envelope.body, item.bytes)),
      );
      if (envelope.payloadType !== input.payload_type || !found.includes(true)) throw { code: "dsse" };
    },
  };
  try {
    return (await kinds[kind]()) ?? {};
  } catch (fault) {
    // Refusals have a code; anything else is a fault of the page, and fails the test.
    return fault.code === undefined ? { broken: `${fault.stack ?? fault}` } : { refused: fault.code };
  }
}
