// Checks a reserve attestation's entry in its transparency log, and the whole log.
// Usage: go run verify-log.go LOG_DIR LOG_VKEY WITNESS_VKEY BUNDLE_DIR
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A witness key (C2SP tlog-cosignature, type 4): note knows only type 1, so this says how it is checked.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(msg, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)
	return ed25519.Verify(w.key, []byte(signed), sig[8:])
}

func newWitness(vkey string) witness {
	part := strings.SplitN(vkey, "+", 3)
	id, err := hex.DecodeString(part[1])
	check(err)
	key, err := base64.StdEncoding.DecodeString(part[2])
	check(err)
	if len(key) != 33 || key[0] != 4 {
		log.Fatal("not a witness key of type 4")
	}
	return witness{part[0], binary.BigEndian.Uint32(id), key[1:]}
}

// The log's folder. C2SP writes tile/<L>/<N>; tlog puts the height (8) before the level.
type folder string

func (f folder) Height() int                     { return 8 }
func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(string(f), strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func read(path ...string) []byte {
	data, err := os.ReadFile(filepath.Join(path...))
	check(err)
	return data
}

// A checkpoint whose signature by every one of the keys holds.
func open(data []byte, keys ...note.Verifier) tlog.Tree {
	opened, err := note.Open(data, note.VerifierList(keys...))
	check(err)
	if len(opened.Sigs) != len(keys) {
		log.Fatalf("only %d of %d keys signed", len(opened.Sigs), len(keys))
	}
	line := strings.Split(opened.Text, "\n")
	if len(line) != 4 || line[0] != keys[0].Name() {
		log.Fatal("not a checkpoint of this log")
	}
	var tree tlog.Tree
	_, err = fmt.Sscan(line[1], &tree.N)
	check(err)
	tree.Hash, err = tlog.ParseHash(line[2])
	check(err)
	return tree
}

func main() {
	dir, logVkey, witnessVkey, bundle := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	logKey, err := note.NewVerifier(logVkey)
	check(err)

	// 1. The entry, by the proof in the bundle alone.
	entry := read(bundle, "attestation.dsse.json")
	proof := bytes.SplitN(read(bundle, "attestation.tlog-proof"), []byte("\n\n"), 2)
	tree := open(proof[1], logKey, newWitness(witnessVkey))
	var index int64
	var path tlog.RecordProof
	for number, line := range strings.Split(string(proof[0]), "\n") {
		if number == 1 {
			_, err = fmt.Sscanf(line, "index %d", &index)
			check(err)
		} else if number > 1 {
			hash, err := tlog.ParseHash(line)
			check(err)
			path = append(path, hash)
		}
	}
	check(tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
	fmt.Printf("entry %d of %d: included, signed by the log and the witness\n", index, tree.N)

	// 2. The whole log: tiles, entries, and every step from one head to the next.
	head := open(read(dir, "checkpoint"), logKey)
	hashes := tlog.TileHashReader(head, folder(dir))
	var entries []byte
	for i := int64(0); i < head.N; i++ {
		if i%256 == 0 {
			width := head.N - i
			if width > 256 {
				width = 256
			}
			tile := tlog.Tile{H: 8, L: -1, N: i / 256, W: int(width)}
			entries = read(dir, strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1))
		}
		size := binary.BigEndian.Uint16(entries)
		stored, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
		check(err)
		if stored[0] != tlog.RecordHash(entries[2:2+size]) {
			log.Fatalf("entry %d is not the one in the tree", i)
		}
		entries = entries[2+size:]
	}
	fmt.Printf("log of %d: every entry is in the tree\n", head.N)
	steps := 0
	older := tlog.Tree{}
	for size := int64(1); size <= head.N; size++ {
		data, err := os.ReadFile(filepath.Join(dir, "checkpoints", fmt.Sprint(size)))
		if os.IsNotExist(err) {
			continue
		}
		check(err)
		newer := open(data, logKey)
		if older.N > 0 {
			proof, err := tlog.ProveTree(newer.N, older.N, tlog.TileHashReader(newer, folder(dir)))
			check(err)
			check(tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash))
			steps++
		}
		older = newer
	}
	fmt.Printf("log of %d: %d steps from head to head, each only adds\n", head.N, steps)
}
