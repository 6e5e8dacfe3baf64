// Image packs files into an image that a container runtime can import, without a registry or an engine: one layer with /tmp,
// the user 65532 and the files. The same input gives the same bytes.
//
//	image -out FILE.tar -name NAME [-name NAME...] -entrypoint PATH SOURCE=PATH [SOURCE=PATH...]
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

type names []string

func (n *names) String() string     { return strings.Join(*n, ",") }
func (n *names) Set(s string) error { *n = append(*n, s); return nil }

func main() {
	var tags names
	out := flag.String("out", "", "the archive to write")
	entrypoint := flag.String("entrypoint", "", "what the image runs")
	flag.Var(&tags, "name", "a name of the image, with its tag; may be repeated")
	flag.Parse()
	if err := pack(*out, *entrypoint, tags, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func pack(out, entrypoint string, tags names, files []string) error {
	layer, err := layer(files)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config": map[string]any{
			"Entrypoint": []string{entrypoint},
			"User":       "65532:65532",
			"WorkingDir": "/",
			"Env":        []string{"PATH=/"},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": digest(config) + ".json", "RepoTags": tags, "Layers": []string{digest(layer) + "/layer.tar"},
	}})
	if err != nil {
		return err
	}
	archive := newArchive()
	archive.add(digest(layer)+"/layer.tar", 0o644, layer)
	archive.add(digest(config)+".json", 0o644, config)
	archive.add("manifest.json", 0o644, manifest)
	content, err := archive.bytes()
	if err != nil {
		return err
	}
	return os.WriteFile(out, content, 0o644)
}

func layer(files []string) ([]byte, error) {
	archive := newArchive()
	archive.directory("etc/", 0o755)
	archive.directory("tmp/", 0o1777)
	archive.add("etc/passwd", 0o644, []byte("root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/:/\n"))
	archive.add("etc/group", 0o644, []byte("root:x:0:\nnonroot:x:65532:\n"))
	made := map[string]bool{"etc/": true, "tmp/": true}
	for _, file := range files {
		source, target, found := strings.Cut(file, "=")
		if !found || !path.IsAbs(target) {
			return nil, fmt.Errorf("%q is not SOURCE=/PATH", file)
		}
		content, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		target = path.Clean(target)[1:]
		for i, c := range target {
			if folder := target[:i] + "/"; c == '/' && !made[folder] {
				archive.directory(folder, 0o755)
				made[folder] = true
			}
		}
		archive.add(target, 0o755, content)
	}
	return archive.bytes()
}

// An archive whose first error is told at the end.
type archive struct {
	content *bytes.Buffer
	writer  *tar.Writer
	err     error
}

func newArchive() *archive {
	content := &bytes.Buffer{}
	return &archive{content: content, writer: tar.NewWriter(content)}
}

func (a *archive) directory(name string, mode int64) {
	a.write(&tar.Header{Name: name, Mode: mode, Typeflag: tar.TypeDir}, nil)
}

func (a *archive) add(name string, mode int64, content []byte) {
	a.write(&tar.Header{Name: name, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg}, content)
}

func (a *archive) write(header *tar.Header, content []byte) {
	if a.err == nil {
		a.err = a.writer.WriteHeader(header)
	}
	if a.err == nil {
		_, a.err = io.Copy(a.writer, bytes.NewReader(content))
	}
}

func (a *archive) bytes() ([]byte, error) {
	if err := a.writer.Close(); a.err == nil {
		a.err = err
	}
	return a.content.Bytes(), a.err
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
