// Verifies a log's folder with golang.org/x/mod/sumdb alone: every checkpoint's signature, every entry's inclusion and
// every step of growth, reading C2SP tiles; then each proof given on standard input, one a line:
//
//	record <size> <index> <base64 hash>...
//	tree <size> <old size> <base64 hash>...
//
// Usage: verify_log FOLDER VKEY
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func check(err error, what string, args ...interface{}) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", fmt.Sprintf(what, args...), err)
		os.Exit(1)
	}
}

type folder string

func (f folder) read(path string) []byte {
	data, err := os.ReadFile(filepath.Join(string(f), path))
	check(err, "%s", path)
	return data
}

// A C2SP path is Go's (tile/8/L/N) without the height.
func path(t tlog.Tile) string {
	return "tile/" + strings.TrimPrefix(t.Path(), "tile/8/")
}

func (f folder) Height() int { return 8 }

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var contents [][]byte
	for _, t := range tiles {
		contents = append(contents, f.read(path(t)))
	}
	return contents, nil
}

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) checkpoint(path string, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(f.read(path), note.VerifierList(verifier))
	check(err, "%s", path)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		check(fmt.Errorf("unexpected text %q", opened.Text), "%s", path)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err, "%s", path)
	root, err := tlog.ParseHash(lines[2])
	check(err, "%s", path)
	return tlog.Tree{N: size, Hash: root}
}

func (f folder) entries(size int64) [][]byte {
	var entries [][]byte
	for first := int64(0); first < size; first += 256 {
		tile := tlog.Tile{H: 8, L: 0, N: first / 256, W: 256}
		if size-first < 256 {
			tile.W = int(size - first)
		}
		bundle := f.read("tile/entries" + strings.TrimPrefix(path(tile), "tile/0"))
		for len(bundle) > 0 {
			length := int(binary.BigEndian.Uint16(bundle))
			entries = append(entries, bundle[2:2+length])
			bundle = bundle[2+length:]
		}
	}
	return entries
}

func main() {
	dir := folder(os.Args[1])
	verifier, err := note.NewVerifier(os.Args[2])
	check(err, "vkey")

	newest := dir.checkpoint("checkpoint", verifier)
	entries := dir.entries(newest.N)
	if int64(len(entries)) != newest.N {
		check(fmt.Errorf("%d entries, the checkpoint says %d", len(entries), newest.N), "entries")
	}
	heads := make([]tlog.Tree, newest.N+1)
	for n := int64(1); n <= newest.N; n++ {
		heads[n] = dir.checkpoint(fmt.Sprintf("checkpoints/%d", n), verifier)
		if heads[n].N != n {
			check(fmt.Errorf("has size %d", heads[n].N), "checkpoints/%d", n)
		}
	}
	if heads[newest.N] != newest {
		check(fmt.Errorf("differs"), "checkpoint")
	}

	records, trees := 0, 0
	reader := tlog.TileHashReader(newest, dir)
	for i, entry := range entries {
		proof, err := tlog.ProveRecord(newest.N, int64(i), reader)
		check(err, "prove record %d", i)
		check(tlog.CheckRecord(proof, newest.N, newest.Hash, int64(i), tlog.RecordHash(entry)), "record %d", i)
		records++
	}
	for n := int64(1); n < newest.N; n++ {
		step := tlog.TileHashReader(heads[n+1], dir) // the partial tiles of that very size
		proof, err := tlog.ProveTree(n+1, n, step)
		check(err, "prove tree %d in %d", n, n+1)
		check(tlog.CheckTree(proof, n+1, heads[n+1].Hash, n, heads[n].Hash), "tree %d in %d", n, n+1)
		proof, err = tlog.ProveTree(newest.N, n, reader)
		check(err, "prove tree %d", n)
		check(tlog.CheckTree(proof, newest.N, newest.Hash, n, heads[n].Hash), "tree %d", n)
		trees += 2
	}

	given := 0
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		size, err := strconv.ParseInt(fields[1], 10, 64)
		check(err, "%s", lines.Text())
		n, err := strconv.ParseInt(fields[2], 10, 64)
		check(err, "%s", lines.Text())
		var hashes []tlog.Hash
		for _, field := range fields[3:] {
			var hash tlog.Hash
			raw, err := base64.StdEncoding.DecodeString(field)
			check(err, "%s", lines.Text())
			copy(hash[:], raw)
			hashes = append(hashes, hash)
		}
		if fields[0] == "record" {
			err = tlog.CheckRecord(hashes, size, heads[size].Hash, n, tlog.RecordHash(entries[n]))
		} else {
			err = tlog.CheckTree(hashes, size, heads[size].Hash, n, heads[n].Hash)
		}
		check(err, "given proof %s", lines.Text())
		given++
	}
	check(lines.Err(), "standard input")
	fmt.Printf("records %d trees %d given %d\n", records, trees, given)
}
