#!/bin/sh
# Makes the keys of one runner in a PKCS#11 token: ./make-keys.sh MODULE TOKEN KEY... (log keys are called log*).
# The PIN is read from the variable HSM_PIN. Run it once, at the key ceremony; `attest` never makes or changes keys.
set -eu
module=$1 token=$2
shift 2
number=0
for label in "$@"; do
    number=$((number + 1))
    case $label in
    log*) kind=EC:edwards25519 ;; # Ed25519: the log's checkpoints
    *) kind=EC:secp256k1 ;;       # transactions and statements
    esac
    # --pin env:     the PIN is not in argv, where every process of the machine could read it.
    # --keypairgen   the key is made in the token: no copy was ever elsewhere (CKA_LOCAL, CKA_NEVER_EXTRACTABLE).
    # --sensitive    its value is never shown in plain; without --extractable it cannot be wrapped and taken out either.
    # --private      it is not even listed before a login.
    # --usage-sign   it may sign; key agreement (CKA_DERIVE) would be allowed without it.
    pkcs11-tool --module "$module" --token-label "$token" --login --pin env:HSM_PIN \
        --keypairgen --key-type "$kind" --label "$label" --id "$(printf '%02x' "$number")" \
        --sensitive --private --usage-sign
done
