package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"countersign/internal/config"
	"countersign/internal/config/change"
	"countersign/internal/hsm"
	"countersign/internal/memory"
	"countersign/internal/noted"
	"countersign/internal/reread"
	"countersign/internal/systemd"
)

// refusedWarning is shown by readiness while the configuration in the file is not the one in use.
const refusedWarning = "the configuration file was changed and refused; the configuration before is in use"

// warning is what an operator has to know that does not keep the server from working.
func (s *server) warning() string {
	var all []string
	if s.Config.Signer.DevelopmentKeyFile != "" {
		all = append(all, hsm.DevelopmentWarning)
	}
	if c := s.live.configuration; c != nil && c.State().Problem != "" {
		all = append(all, refusedWarning)
	}
	return strings.Join(all, "; ")
}

// check reads what has changed again: the configuration, or else what is read again on its own account.
func (s *server) check(ctx context.Context, told bool) {
	defer reloading(ctx, told, s.log)()
	s.checkFiles(ctx, told)
}

// reloading tells systemd and the log that somebody has told the server to read files again, until the end that it returns.
func reloading(ctx context.Context, told bool, log *slog.Logger) (end func()) {
	if !told {
		return func() {}
	}
	log.InfoContext(ctx, "SIGHUP; reading changed files again")
	warn(log, "systemd notification failed", systemd.Notify(systemd.Reloading))
	return func() { warn(log, "systemd notification failed", systemd.Notify(systemd.Ready)) }
}

// checkFiles is check without a word.
func (s *server) checkFiles(ctx context.Context, told bool) {
	if !s.live.configuration.Check(ctx, told) {
		s.live.current.Load().files.Check(ctx, told)
	}
}

// watchConfiguration has the configuration read again, of which a generation was made.
func (s *server) watchConfiguration(background context.Context, made *generation) {
	s.live.configuration = reread.NewConfiguration(s.sources(made), func(ctx context.Context) (reread.Prepared, error) {
		return s.prepare(ctx, background)
	}, s.Now, s.log)
}

// sources are the files that a generation was made of, and that nothing else reads again; none when there is no configuration file.
func (s *server) sources(made *generation) []config.Secret {
	if s.File == "" {
		return nil
	}
	files, watched := []config.Secret{config.Secret(s.File)}, made.files.Watched()
	for _, file := range change.Files(made.config) {
		if !watched[file] {
			files = append(files, file)
		}
	}
	return files
}

// prepare reads the configuration file again, and makes a generation of what it says, which runs until background ends. The file has
// to be right as a whole: a restart with it would succeed. What needs one keeps its value until then.
func (s *server) prepare(ctx, background context.Context) (reread.Prepared, error) {
	running := s.live.current.Load().config
	next, changes, err := Reloaded(ctx, running, s.File, s.Now)
	if err != nil {
		return reread.Prepared{}, err
	}
	if certificate, err := Certificate(next.Listen); err == nil {
		if err := certificateValid(certificate, s.Now()); err != nil {
			return reread.Prepared{}, next.Refuse(err)
		}
	}
	made, err := s.generate(background, next)
	if err != nil {
		return reread.Prepared{}, &reread.Later{Err: err}
	}
	prepared := reread.Prepared{
		Files: s.sources(made), Changes: changes, Drop: made.stop, Use: func() { s.use(background, made) },
	}
	if s.front == nil {
		return prepared, nil
	}
	opened, err := s.front.ports.Prepare(ctx, s.front.wants(next)...)
	if err != nil {
		made.stop()
		return reread.Prepared{}, &reread.Later{Err: err}
	}
	prepared.Drop = func() {
		made.stop()
		opened.Drop()
	}
	prepared.Use = func() {
		s.use(background, made)
		s.front.use(background, next, opened)
	}
	return prepared, nil
}

// use puts a generation into use, and what of its configuration is the process's.
func (s *server) use(background context.Context, made *generation) {
	s.live.use(background, made)
	s.level.Set(logLevel(made.config.Telemetry))
	s.style.Set(made.config.Telemetry.LogFormat, made.config.Telemetry.LogAddress)
	s.observer.Configured(made.config)
	s.memory.Store(int64(memory.PasswordsAtOnce(made.config.Limits.PasswordMemory)))
	if err := s.note(made.config); err != nil {
		s.log.DebugContext(background, "running configuration not noted for config check", "error", err.Error())
	}
	warnOfValues(background, made.config, s.log)
}

// Reloaded reads the file of a configuration again, and checks it as [Run] does. It returns what a server that runs with another
// takes of it without a restart, with what differs. An error that is a [*config.Report] names what is wrong; one about keys that
// need a restart says that the others cannot be taken without them.
func Reloaded(ctx context.Context, running *config.Config, file string, now func() time.Time) (*config.Config, change.Changes, error) {
	next, err := config.Load(file)
	if err == nil {
		err = Check(ctx, next, now)
	}
	if err != nil {
		return nil, change.Changes{}, err
	}
	changes := change.Of(running).To(change.Of(next))
	if len(changes.Restart) == 0 {
		return next, changes, nil
	}
	change.Keep(running, next)
	if err = next.Validate(); err == nil {
		err = Check(ctx, next, now)
	}
	if err != nil {
		return nil, changes, fmt.Errorf("restart to take it: without %s, which a restart alone changes, the rest is not right: %w",
			strings.Join(changes.Restart, ", "), err)
	}
	return next, changes, nil
}

// note says what the server runs with.
func (s *server) note(c *config.Config) error {
	if s.Note == "" {
		return nil
	}
	return noted.Write(s.Note, s.File, s.Now(), change.Of(c))
}

// forget removes what [server.note] wrote.
func (s *server) forget() {
	if s.Note != "" {
		_ = os.Remove(s.Note) // it says when it was written
	}
}

// NoteFile is where a server with a configuration notes what it runs with: in the folder of the signer's state. It is empty where there
// is none.
func NoteFile(c *config.Config) string {
	node, err := auditChain(c)
	if c.Signer.StateFolder == "" || err != nil {
		return ""
	}
	return filepath.Join(c.Signer.StateFolder.Path(), "running-"+url.PathEscape(node)+".json")
}

// logLevel is the least level that is logged.
func logLevel(t config.Telemetry) (level slog.Level) {
	if err := level.UnmarshalText([]byte(t.LogLevel)); err != nil {
		return slog.LevelInfo // the configuration lets no other text through
	}
	return level
}
