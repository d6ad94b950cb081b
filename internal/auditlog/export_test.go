package auditlog_test

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/signer"
)

// exported writes what is exportable before a time into a file.
func (w *world) exported(name string, before time.Time) (file string, ends auditlog.Position) {
	w.t.Helper()
	ends, err := auditlog.Exportable(w.t.Context(), w.store, before)
	w.must(err)
	var lines bytes.Buffer
	written, err := auditlog.Export(w.t.Context(), &lines, w.store, ends)
	w.must(err)
	if got := bytes.Count(lines.Bytes(), []byte("\n")); got != written {
		w.t.Errorf("%d lines, and %d were counted", got, written)
	}
	file = filepath.Join(w.t.TempDir(), name)
	w.must(os.WriteFile(file, lines.Bytes(), 0o600))
	return file, ends
}

func (w *world) options() audit.Options {
	w.t.Helper()
	keys, err := auditlog.Keys(w.t.Context(), w.store)
	w.must(err)
	return audit.Options{Keys: keys}
}

// TestVerify finds lines that are not where they were written, and counts what waits.
func TestVerify(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	w.record("a", 3)
	w.must(w.sealer("a").Seal(t.Context()))
	w.record("a", 2)
	verify := func() (audit.Report, int) {
		t.Helper()
		report, waiting, err := auditlog.Verify(t.Context(), w.store, w.options(), w.Now())
		w.must(err)
		return report, waiting
	}
	if report, waiting := verify(); len(report.Findings) != 0 || report.Entries != 4 || waiting != 2 {
		t.Fatalf("%+v, %d waiting", report, waiting)
	}
	db, err := sql.Open("sqlite3", w.file)
	w.must(err)
	defer db.Close()
	for statement, want := range map[string]string{
		"UPDATE audit_log SET chain = 'b' WHERE sequence = 2":    `node "b", entry 2: reordered`,
		"UPDATE audit_log SET line = '{}' WHERE sequence = 2":    `entry 2: changed`,
		"UPDATE audit_log SET sequence = 9 WHERE sequence = 2":   `entry 9: reordered`,
		"DELETE FROM audit_log WHERE sequence = 2 AND chain='a'": `entry 2: deleted`,
	} {
		for _, each := range []string{"CREATE TABLE untouched AS SELECT * FROM audit_log", statement} {
			_, err := db.Exec(each)
			w.must(err)
		}
		report, _ := verify()
		found := ""
		for _, finding := range report.Findings {
			found += finding.String() + "\n"
		}
		if !strings.Contains(found, want) {
			t.Errorf("%s: found %q, want %q", statement, found, want)
		}
		for _, each := range []string{"DELETE FROM audit_log", "INSERT INTO audit_log SELECT * FROM untouched", "DROP TABLE untouched"} {
			_, err := db.Exec(each)
			w.must(err)
		}
	}
}

// TestExportAndDrop: what was exported up to a checkpoint is dropped when the file is in order, and the two parts verify
// together.
func TestExportAndDrop(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	if ends, err := auditlog.Exportable(t.Context(), w.store, w.Now()); err != nil || len(ends) != 0 {
		t.Errorf("of an empty log %v is exportable, %v", ends, err)
	}
	w.record("a", 3)
	w.must(w.sealer("a").Seal(t.Context()))
	w.advance(time.Hour)
	w.record("a", 2)
	w.must(w.sealer("a").Seal(t.Context()))
	old, ends := w.exported("old", w.Now().Add(-time.Minute))
	if ends["a"] != 4 {
		t.Fatalf("exportable are %v", ends)
	}
	drop := func(file string) ([]auditlog.DroppedPart, error) {
		return auditlog.Drop(t.Context(), w.store, file, ends, "operator@test", w.Now())
	}
	raw, err := os.ReadFile(old)
	w.must(err)
	changed := filepath.Join(t.TempDir(), "changed")
	w.must(os.WriteFile(changed, bytes.Join(bytes.SplitAfter(raw, []byte("\n"))[1:], nil), 0o600))
	_, err = drop(changed)
	if problem, ok := errors.AsType[*auditlog.DropError](err); !ok || len(problem.Report.Findings) == 0 {
		t.Fatalf("a file without its first line: %v", err)
	}
	if counts := w.verified(0); counts["a"] != 7 {
		t.Errorf("%v are left of a log that must not be dropped", counts)
	}
	parts, err := drop(old)
	if err != nil || len(parts) != 1 || parts[0] != (auditlog.DroppedPart{Node: "a", Entries: 3, Through: 3}) {
		t.Fatalf("%+v, %v", parts, err)
	}
	report, waiting, err := auditlog.Verify(t.Context(), w.store, w.options(), w.Now())
	if err != nil || len(report.Findings) != 0 || report.Dropped["a"] != 3 || waiting != 1 {
		t.Errorf("%+v, %d waiting, %v", report, waiting, err)
	}
	fresh, _ := w.exported("new", time.Time{})
	if report, err := auditlog.VerifyFiles([]string{old, fresh}, w.options()); err != nil || len(report.Findings) != 0 || report.Entries != 7 {
		t.Errorf("the two files together: %+v, %v", report, err)
	}
	if _, err := drop(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("dropped what is in no file")
	}
}

// TestReadAnchors finds checkpoints in the log of a server, and refuses those of another key.
func TestReadAnchors(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	w.record("a", 1)
	w.must(w.sealer("a").Seal(t.Context()))
	file := filepath.Join(t.TempDir(), "server.log")
	w.must(os.WriteFile(file, []byte("other lines\n\n"+w.log.String()), 0o600))
	anchors, err := auditlog.ReadAnchors([]string{file}, w.options().Keys)
	if err != nil || len(anchors) != 1 {
		t.Errorf("%+v, %v", anchors, err)
	}
	other := newWorld(t, signer.UseEvidence)
	if _, err := auditlog.ReadAnchors([]string{file}, other.options().Keys); err == nil || !strings.Contains(err.Error(), "a checkpoint in it does not count") {
		t.Errorf("with other keys: %v", err)
	}
	w.must(os.WriteFile(file, []byte("nothing\n"), 0o600))
	if _, err := auditlog.ReadAnchors([]string{file}, w.options().Keys); err == nil || !strings.Contains(err.Error(), "there is no checkpoint in it") {
		t.Errorf("without a checkpoint: %v", err)
	}
}
