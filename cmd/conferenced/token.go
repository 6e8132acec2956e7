package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"conferenced/service/callers"
	"conferenced/service/invalid"
)

type tokenCommand struct {
	Name    string `arg:"" help:"The name of the caller: letters, digits and ._-/@. A caller can have several tokens."`
	Append  string `placeholder:"FILE" help:"Append the entry to this tokens file, and print the token alone. The file is created if it does not exist."`
	Expires string `placeholder:"WHEN" help:"When the token expires: a time such as 2027-01-31T00:00:00Z, a date, or a number of days such as 90d. Never if not given."`
}

// Help is shown by `conferenced token --help`.
func (tokenCommand) Help() string {
	return `The token is random, and it is printed once: the tokens file has its digest alone. serve reads a changed file within two seconds.

  conferenced token uiweb --append tokens.yaml --expires 90d`
}

// Run prints a new token, and its entry unless that is appended to a file.
func (c *tokenCommand) Run(out output) error {
	expires, err := parseExpires(c.Expires, time.Now())
	if err != nil {
		return usageError{invalid.Field("--expires", err)}
	}
	token, entry, err := callers.NewToken(c.Name, expires)
	if err != nil {
		return usageError{invalid.Field("NAME", err)}
	}
	if c.Append == "" {
		_, err = fmt.Fprintf(out.stdout, "%s\n\nThis is the token; it is not shown again. Its entry for the list in the tokens file:\n\n%s", token, entry)
		return err
	}
	err = replaceFile(c.Append, func(text []byte) ([]byte, error) { return callers.AddToken(c.Append, text, entry) })
	if err != nil {
		return usageError{invalid.Field("--append", err)}
	}
	_, err = fmt.Fprintln(out.stdout, token)
	return err
}

// parseExpires returns the time that the text means, or zero for "".
func parseExpires(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse(time.DateOnly, text)
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		at = now.AddDate(0, 0, n)
	}
	switch {
	case err != nil:
		return at, errors.New("must be a time such as 2027-01-31T00:00:00Z, a date such as 2027-01-31, or a number of days such as 90d")
	case !at.After(now):
		return at, errors.New("must be in the future")
	case at.Year() > 9999:
		return at, errors.New("must be before the year 10000")
	}
	return at, nil
}

// newFileMode is the mode of a tokens file that did not exist. It holds no secret, and
// the service may run as another user.
const newFileMode = 0o644

// replaceFile replaces the content of a file at once: a reader sees the old or the new
// content. Mode and owner stay, and a link stays a link. A file that does not exist is
// created. While it is replaced, the file with the suffix .new exists, so that two
// processes do not change the file at the same time.
func replaceFile(path string, change func([]byte) ([]byte, error)) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: another process changes the file, or was interrupted; then remove it", temporary)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close() // It may be closed.
			_ = os.Remove(temporary)
		}
	}()
	if err := copyMode(path, file); err != nil {
		return err
	}
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	after, err := change(before)
	if err != nil {
		return err
	}
	if _, err := file.Write(after); err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// copyMode gives the new file the mode and the owner of the file at the path, if that
// exists.
func copyMode(path string, to *os.File) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return to.Chmod(newFileMode)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: is not a regular file", path)
	}
	return errors.Join(copyOwner(info, to), to.Chmod(info.Mode().Perm()))
}
