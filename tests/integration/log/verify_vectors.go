// Runs vectors (tests/vectors/README.md) of the kinds inclusion, consistency, note, checkpoint and log-proof with
// golang.org/x/mod/sumdb alone: note for signatures, tlog for trees. Prints one line a vector: its path, and valid or
// invalid with the reason.
//
// Usage: verify_vectors FILE...
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type input struct {
	// inclusion
	Leaf     *string  `json:"leaf"`
	LeafHash string   `json:"leaf_hash"`
	Index    string   `json:"index"`
	Size     string   `json:"size"`
	Path     []string `json:"path"`
	Root     string   `json:"root"`
	// consistency
	OldSize string `json:"old_size"`
	OldRoot string `json:"old_root"`
	NewSize string `json:"new_size"`
	NewRoot string `json:"new_root"`
	// note, checkpoint, log-proof
	Note       string   `json:"note"`
	Vkey       string   `json:"vkey"`
	Checkpoint string   `json:"checkpoint"`
	Proof      string   `json:"proof"`
	Entry      string   `json:"entry"`
	LogVkey    string   `json:"log_vkey"`
	Witnesses  []string `json:"witness_vkeys"`
	Threshold  int      `json:"threshold"`
}

type vector struct {
	Kind  string `json:"kind"`
	Input input  `json:"input"`
}

// A hash in hexadecimal; one that has not 32 bytes is none.
func hash(text string) (h tlog.Hash, err error) {
	raw, err := hex.DecodeString(text)
	if err == nil && len(raw) != tlog.HashSize {
		err = fmt.Errorf("a hash of %d bytes", len(raw))
	}
	copy(h[:], raw)
	return h, err
}

func hashes(texts []string) (all []tlog.Hash, err error) {
	for _, text := range texts {
		h, err := hash(text)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

// A size or index of tlog: 64 bits, in its one spelling.
func number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && strconv.FormatInt(n, 10) != text {
		err = fmt.Errorf("%q is not a plain number", text)
	}
	return n, err
}

func decode(text string) []byte {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err) // the vector's own encoding is never hostile
	}
	return raw
}

func inclusion(in input) error {
	leaf, err := hash(in.LeafHash)
	if in.Leaf != nil {
		leaf, err = tlog.RecordHash(decode(*in.Leaf)), nil
	}
	root, err2 := hash(in.Root)
	path, err3 := hashes(in.Path)
	index, err4 := number(in.Index)
	size, err5 := number(in.Size)
	if err := first(err, err2, err3, err4, err5); err != nil {
		return err
	}
	return tlog.CheckRecord(path, size, root, index, leaf)
}

func consistency(in input) error {
	oldRoot, err := hash(in.OldRoot)
	newRoot, err2 := hash(in.NewRoot)
	path, err3 := hashes(in.Path)
	oldSize, err4 := number(in.OldSize)
	newSize, err5 := number(in.NewSize)
	if err := first(err, err2, err3, err4, err5); err != nil {
		return err
	}
	return tlog.CheckTree(path, newSize, newRoot, oldSize, oldRoot)
}

// first is the first error that is one.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func signedNote(in input) error {
	verifier, err := note.NewVerifier(in.Vkey)
	if err != nil {
		return err
	}
	_, err = note.Open(decode(in.Note), note.VerifierList(verifier))
	return err
}

// witness verifies cosignatures v1 (C2SP tlog-cosignature), which x/mod leaves to its callers.
type witness struct {
	name string
	id   uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.id }

func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(signature)
	if time == 0 || time >= 1<<63 {
		return false
	}
	message := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", time)), text...)
	return ed25519.Verify(w.key, message, signature[8:])
}

func newWitness(vkey string) (witness, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return witness{}, errors.New("malformed vkey of a witness")
	}
	id, err := strconv.ParseUint(parts[1], 16, 32)
	key, err2 := base64.StdEncoding.DecodeString(parts[2])
	if err := first(err, err2); err != nil {
		return witness{}, err
	}
	if len(key) != 1+ed25519.PublicKeySize || key[0] != 4 {
		return witness{}, errors.New("not a key of cosignatures v1")
	}
	return witness{parts[0], uint32(id), key[1:]}, nil
}

// head is the checkpoint in a note that the log signed and enough witnesses cosigned.
func head(data []byte, in input) (tree tlog.Tree, err error) {
	log, err := note.NewVerifier(in.LogVkey)
	if err != nil {
		return tree, err
	}
	known := []note.Verifier{log}
	keys := map[string]string{}
	for _, vkey := range in.Witnesses {
		w, err := newWitness(vkey)
		if err != nil {
			return tree, err
		}
		known = append(known, w)
		keys[fmt.Sprint(w.name, w.id)] = string(w.key)
	}
	opened, err := note.Open(data, note.VerifierList(known...))
	if err != nil {
		return tree, err
	}
	byLog, cosigned := false, map[string]bool{}
	for _, signature := range opened.Sigs {
		if signature.Name == log.Name() && signature.Hash == log.KeyHash() {
			byLog = true
		} else {
			cosigned[keys[fmt.Sprint(signature.Name, signature.Hash)]] = true
		}
	}
	if !byLog {
		return tree, errors.New("not signed by the log itself")
	}
	if len(cosigned) < in.Threshold {
		return tree, fmt.Errorf("%d cosignatures of %d", len(cosigned), in.Threshold)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != log.Name() {
		return tree, fmt.Errorf("unexpected text %q", opened.Text)
	}
	size, err := number(lines[1])
	root, err2 := tlog.ParseHash(lines[2])
	if err := first(err, err2); err != nil {
		return tree, err
	}
	if size < 0 {
		return tree, errors.New("negative size")
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

func checkpoint(in input) error {
	_, err := head(decode(in.Checkpoint), in)
	return err
}

func logProof(in input) error {
	data := decode(in.Proof)
	split := bytes.Index(data, []byte("\n\n"))
	if split < 0 {
		return errors.New("no blank line")
	}
	lines := strings.Split(string(data[:split]), "\n")
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return errors.New("no header and index")
	}
	index, err := number(strings.TrimPrefix(lines[1], "index "))
	if err != nil {
		return err
	}
	var path []tlog.Hash
	for _, line := range lines[2:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		path = append(path, h)
	}
	tree, err := head(data[split+2:], in)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(decode(in.Entry)))
}

func main() {
	kinds := map[string]func(input) error{
		"inclusion":   inclusion,
		"consistency": consistency,
		"note":        signedNote,
		"checkpoint":  checkpoint,
		"log-proof":   logProof,
	}
	for _, path := range os.Args[1:] {
		data, err := os.ReadFile(path)
		if err != nil {
			panic(err)
		}
		var v vector
		if err := json.Unmarshal(data, &v); err != nil {
			panic(fmt.Errorf("%s: %v", path, err))
		}
		run, known := kinds[v.Kind]
		if !known {
			panic(fmt.Errorf("%s: of the kind %s", path, v.Kind))
		}
		if err := run(v.Input); err != nil {
			fmt.Printf("%s invalid %q\n", path, err.Error())
		} else {
			fmt.Printf("%s valid\n", path)
		}
	}
}
