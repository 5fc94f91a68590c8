package ui_test

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/web/ui"
)

// eachFile calls check with every file of the page that is ours and has one of the extensions.
func eachFile(t *testing.T, extensions string, check func(name, text string)) {
	t.Helper()
	seen := 0
	require.NoError(t, fs.WalkDir(ui.Files(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		extension := path.Ext(name)
		if entry.IsDir() || extension == "" || !strings.Contains(extensions, extension) || strings.HasPrefix(name, "vendor/") {
			return nil
		}
		data, err := fs.ReadFile(ui.Files(), name)
		seen++
		check(name, string(data))
		return err
	}))
	require.Positive(t, seen)
}

func TestPageNeedsNoMoreThanItsContentSecurityPolicyAllows(t *testing.T) {
	t.Parallel()
	inline := regexp.MustCompile(`(?i)<script(?:\s+(?:defer|type="[^"]*"))*\s*>|<style|\sstyle=|\son[a-z]+=|javascript:`)
	eachFile(t, ".html .svg", func(name, text string) {
		require.Empty(t, inline.FindAllString(text, -1), name)
	})
	dynamic := regexp.MustCompile(`\beval\(|new Function|setAttribute\("style"|\bstyle: "`)
	eachFile(t, ".js", func(name, text string) {
		require.Empty(t, dynamic.FindAllString(text, -1), name)
	})
}

func TestNothingIsReadAsMarkup(t *testing.T) {
	t.Parallel()
	markup := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML`)
	eachFile(t, ".js", func(name, text string) {
		require.Empty(t, markup.FindAllString(text, -1), name)
	})
}

func TestPageNeedsNoOtherHost(t *testing.T) {
	t.Parallel()
	host := regexp.MustCompile(`(?:https?|wss?):?//[^"'\s]+|url\(["']?//`)
	eachFile(t, ".html .css .js .svg", func(name, text string) {
		text = strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, "")
		require.Empty(t, host.FindAllString(text, -1), name)
	})
}

func TestWhatFilesReferToExists(t *testing.T) {
	t.Parallel()
	reference := regexp.MustCompile(`(?:src|href)="([^"#]+)"|url\(([^)]+)\)|from "(\.[^"]+)"`)
	checked := 0
	eachFile(t, ".html .css .js", func(name, text string) {
		for _, match := range reference.FindAllStringSubmatch(text, -1) {
			target := path.Join(path.Dir(name), match[1]+match[2]+match[3])
			_, err := fs.Stat(ui.Files(), target)
			require.NoError(t, err, "%s refers to %s", name, target)
			checked++
		}
	})
	require.Greater(t, checked, 20)
}
