package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// auditFile writes whole lines. It is not safe for concurrent use.
type auditFile struct {
	out io.WriteCloser
	// partial is the length of an incomplete line at the end of the file: the last write was
	// cut short, and the file could not be truncated.
	partial int
}

// write writes the lines, and returns the length of the lines that are complete in the
// file. If the last write was cut short, the first line must be the one that is incomplete.
func (f *auditFile) write(lines []byte) (int, error) {
	if len(lines) == 0 {
		return 0, nil
	}
	n, err := f.out.Write(lines[f.partial:])
	n += f.partial
	whole := bytes.LastIndexByte(lines[:n], '\n') + 1
	f.partial = n - whole
	if file, ok := f.out.(*os.File); ok && f.partial > 0 && cutEnd(file, int64(f.partial)) == nil {
		f.partial = 0
	}
	return whole, err
}

// cutEnd truncates a regular file by the last n bytes written, unless another process
// has appended to it since.
func cutEnd(file *os.File, n int64) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	end, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if end != info.Size() {
		return errors.New("the file has grown")
	}
	return file.Truncate(end - n)
}

// CheckAudit returns an error if [OpenAudit] could not open the file to append to. It
// creates nothing.
func CheckAudit(path string) error {
	if path == "-" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkWritable(filepath.Dir(path))
	case err != nil || !info.Mode().IsRegular() && !info.IsDir():
		return err // A pipe without a reader would block.
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0) // #nosec G304 -- the operator names it
	if err != nil {
		return err
	}
	return file.Close()
}

// openLines opens a file to append to. If it ends within a line, as after a crash,
// openLines ends that line. A named pipe must have a reader: without O_NONBLOCK, openLines
// would wait for one.
func openLines(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600) // #nosec G304 -- the operator names it
	if errors.Is(err, syscall.ENXIO) {
		return nil, fmt.Errorf("%w: a named pipe needs a reader", err)
	}
	if err != nil {
		return nil, err
	}
	if endsWithinLine(path) {
		_, _ = file.WriteString("\n") // If this fails, so does the first record.
	}
	return file, nil
}

func endsWithinLine(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	file, err := os.Open(path) // #nosec G304 -- as above
	if err != nil {
		return false
	}
	defer file.Close()
	last := make([]byte, 1)
	_, err = file.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// unclosed is a writer that Close does not close, for standard output.
type unclosed struct{ io.Writer }

// Close implements io.Closer.
func (unclosed) Close() error { return nil }
