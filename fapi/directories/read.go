package directories

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/fapi/profile"
	"countersign/fapi/statement"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/outbound"
	"countersign/internal/pause"
	"countersign/internal/strictjson"
	"countersign/store"
)

// Kinds of documents that are kept.
const (
	keysDocument         = "keys"
	participantsDocument = "participants"
)

// staleAge is for how long kept keys are used before the directory is asked again: the shortest time there is.
const staleAge = time.Minute

// approve is [Directories.Approve] for the directory of the statement.
func (d *Directory) approve(ctx context.Context, a Approved, full profile.Profile) error {
	algorithms := a.Rule.Algorithms
	if len(algorithms) == 0 {
		algorithms = full.Algorithms
	}
	if alg := a.Token.Header.Algorithm; !slices.Contains(algorithms, alg) {
		return oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement: it is signed with %s; use one of %s", alg, strings.Join(algorithms, ", "))
	}
	if err := d.verify(ctx, a.Token); err != nil {
		return err
	}
	if err := a.Check(a.Rule, d.config.Now(), full.MaxAhead); err != nil {
		return err
	}
	if a.Organisation() == "" || a.Software() == "" {
		return oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement: it needs %s and %s", d.shape.Organisation, d.shape.Software)
	}
	status := a.Text(d.shape.OrganisationStatus)
	if c := d.shape.classOf(status); status != "" && c != active {
		return statement.Unapproved("its %s is %s", d.shape.OrganisationStatus, status)
	}
	d.mutex.Lock()
	known := d.known
	d.mutex.Unlock()
	// Who is not on a list yet may have joined since: the statement is newer.
	shape := d.shape
	shape.Complete = false
	if refused := shape.judge(d.Name, known, a.Organisation(), a.Software()); refused.reason != "" {
		return statement.Unapproved("%s", refused.reason)
	}
	return nil
}

// verify checks a signature with the directory's keys, as long as they are not too old.
func (d *Directory) verify(ctx context.Context, token *jose.Token) error {
	err := d.keys.Verify(ctx, d.KeysAddress, token)
	d.mutex.Lock()
	read := d.keysRead
	d.mutex.Unlock()
	old := d.config.Now().Sub(read) > d.Outage
	switch {
	case errors.Is(err, jose.ErrNoKey) && !old:
		return oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement: none of the directory's keys has signed it").Because(err)
	case errors.Is(err, jose.ErrSignature) && !old:
		return oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement: its signature is wrong").Because(err)
	case err != nil || old:
		unavailable := oauth.Errorf(oauth.TemporarilyUnavailable,
			"the keys of the directory %s cannot be read at present; try again later", d.Name).WithStatus(http.StatusServiceUnavailable)
		unavailable.RetryAfter = staleAge
		return unavailable.Because(cause(err, read))
	}
	return nil
}

func cause(err error, read time.Time) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("fapi: the directory's keys were last read at %s", read.UTC().Format(time.RFC3339))
}

// fetchKeys fetches the key set of the directory. While that fails the one that was read last is used, by any node, up to the
// outage that is survived.
func (d *Directory) fetchKeys(ctx context.Context, address string) ([]byte, time.Duration, error) {
	now := d.config.Now()
	document, err := d.client.Get(ctx, address, "application/jwk-set+json, application/json")
	if err == nil {
		_, err = jose.ParseKeySet(document.Body)
	}
	if err == nil {
		d.setKeysRead(now)
		d.keep(ctx, keysDocument, document.Body, now)
		d.report(ctx, keysDocument, now, nil)
		age := document.MaxAge
		if age == 0 || age > d.Refresh {
			age = d.Refresh
		}
		return document.Body, age, nil
	}
	kept, failed := d.config.Store.DirectoryDocument(ctx, d.Name, keysDocument)
	d.report(ctx, keysDocument, kept.FetchedAt, err)
	if failed != nil || now.Sub(kept.FetchedAt) > d.Outage {
		return nil, 0, err
	}
	d.setKeysRead(kept.FetchedAt)
	return kept.Body, staleAge, nil
}

func (d *Directory) setKeysRead(at time.Time) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if at.After(d.keysRead) {
		d.keysRead = at
	}
}

// keep stores a document, for nodes that start while the directory is away.
func (d *Directory) keep(ctx context.Context, kind string, body []byte, at time.Time) {
	err := d.config.Store.PutDirectoryDocument(ctx, store.DirectoryDocument{Directory: d.Name, Kind: kind, Body: body, FetchedAt: at})
	if err != nil && ctx.Err() == nil {
		d.config.Log.WarnContext(ctx, "directory document not stored; a node that starts now lacks it",
			"directory", d.Name, "document", kind, "error", err.Error())
	}
}

// report logs that a document cannot be read, and that it can be read again. read is when it was last.
func (d *Directory) report(ctx context.Context, kind string, read time.Time, err error) {
	d.mutex.Lock()
	before := d.failing[kind]
	d.failing[kind] = err != nil
	d.mutex.Unlock()
	switch {
	case err != nil && ctx.Err() != nil:
	case err != nil && !before:
		since := "never"
		if !read.IsZero() {
			since = read.UTC().Format(time.RFC3339)
		}
		d.config.Log.WarnContext(ctx, "directory not read; what it said last counts", "directory", d.Name, "document", kind,
			"last_read", since, "outage", d.Outage.String(), "error", err.Error())
	case err == nil && before:
		d.config.Log.InfoContext(ctx, "directory read again", "directory", d.Name, "document", kind)
	}
}

// run reads and applies until ctx ends.
func (d *Directory) run(ctx context.Context) {
	for {
		d.refresh(ctx)
		if pause.For(ctx, d.Refresh) != nil {
			return
		}
	}
}

// refresh reads keys and lists once, and puts what they say into effect.
func (d *Directory) refresh(ctx context.Context) {
	// So that no registration waits for them. What fails is logged where it is fetched.
	_, _ = d.keys.Keys(ctx, d.KeysAddress)
	if d.ParticipantsAddress == "" {
		return
	}
	at := d.config.Now()
	err := d.readLists(ctx, at)
	d.mutex.Lock()
	read := d.listed
	d.mutex.Unlock()
	d.report(ctx, participantsDocument, read, err)
	if err != nil {
		return
	}
	if err := d.apply(ctx); err != nil && ctx.Err() == nil {
		d.config.Log.ErrorContext(ctx, "standings of a directory not applied; will be tried again", "directory", d.Name, "error", err.Error())
	}
}

// readLists reads the lists; when that fails for the first time, what was read by any node before is what is known.
func (d *Directory) readLists(ctx context.Context, at time.Time) error {
	d.mutex.Lock()
	before, listed := d.known, d.listed
	d.mutex.Unlock()
	if listed.IsZero() {
		if kept, err := d.config.Store.DirectoryDocument(ctx, d.Name, participantsDocument); err == nil && strictjson.Decode(kept.Body, &before) == nil {
			d.setKnown(before, kept.FetchedAt)
		}
	}
	var known standings
	for _, list := range d.shape.Lists {
		statuses, roles, err := d.readPages(ctx, list)
		if err != nil {
			return fmt.Errorf("%s: %w", list.Path, err)
		}
		if len(list.Roles) > 0 {
			known.Roles = map[string][]string{}
			for id, each := range roles {
				if lost := d.shape.lostRoles(each); len(lost) > 0 {
					known.Roles[id] = lost
				}
			}
		}
		of, former := &known.Organisations, before.Organisations
		if list.Software {
			of, former = &known.Softwares, before.Softwares
		}
		if *of, err = d.shape.merge(former, statuses); err != nil {
			return fmt.Errorf("%s: %w", list.Path, err)
		}
	}
	d.setKnown(known, at)
	body, err := json.Marshal(known)
	if err != nil {
		return err
	}
	d.keep(ctx, participantsDocument, body, at)
	return nil
}

func (d *Directory) setKnown(known standings, at time.Time) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.known, d.listed = known, at
}

// readPages reads one list, all of its pages. A token that the directory does not take is replaced once.
func (d *Directory) readPages(ctx context.Context, list List) (map[string]string, map[string][]roleStatus, error) {
	statuses, roles, err := d.readPagesOnce(ctx, list)
	if failed, ok := errors.AsType[*outbound.Error](err); !ok || d.bearer == nil || failed.Status != http.StatusUnauthorized {
		return statuses, roles, err
	}
	d.bearer.forget()
	return d.readPagesOnce(ctx, list)
}

// header is what is sent for the lists.
func (d *Directory) header(ctx context.Context) (http.Header, error) {
	header := http.Header{"Accept": {"application/json"}}
	for name, value := range d.shape.Header {
		header.Set(name, value)
	}
	get := func(context.Context) (string, error) { return "", nil }
	switch {
	case d.bearer != nil:
		get = d.bearer.get
	case d.Authorization != nil:
		get = func(context.Context) (string, error) { return d.Authorization() }
	}
	value, err := get(ctx)
	if value != "" {
		header.Set("Authorization", value)
	}
	return header, err
}

func (d *Directory) readPagesOnce(ctx context.Context, list List) (map[string]string, map[string][]roleStatus, error) {
	header, err := d.header(ctx)
	if err != nil {
		return nil, nil, err
	}
	statuses, roles := map[string]string{}, map[string][]roleStatus{}
	for first, n := 1, 0; n < maxPages; n++ {
		document, err := d.client.GetWith(ctx, d.pageAddress(list, first), header)
		if err != nil {
			return nil, nil, err
		}
		read, err := readList(list, document.Body)
		if err != nil {
			return nil, nil, err
		}
		maps.Copy(statuses, read.statuses)
		maps.Copy(roles, read.roles)
		if len(statuses) > maxEntries {
			return nil, nil, errTooMany
		}
		first += read.items
		if !list.Pages || read.items == 0 || first > read.total {
			return statuses, roles, nil
		}
	}
	return nil, nil, fmt.Errorf("it has more than %d pages", maxPages)
}

// pageAddress is where the items of a list begin with the one of that number, counted from 1.
func (d *Directory) pageAddress(list List, first int) string {
	base := strings.TrimSuffix(d.ParticipantsAddress, "/") + list.Path
	if !list.Pages || first == 1 {
		return base
	}
	return base + "?" + url.Values{"startIndex": {strconv.Itoa(first)}}.Encode()
}

// apply suspends the clients whose participant or software may not take part, and restores those that may again.
func (d *Directory) apply(ctx context.Context) error {
	d.mutex.Lock()
	known, at, before := d.known, d.listed, d.rolesTold
	d.mutex.Unlock()
	clients, err := d.config.Store.DirectoryClients(ctx, d.Name)
	if err != nil {
		return err
	}
	for _, c := range clients {
		if lost := known.Roles[key(c.Organisation)]; !slices.Equal(lost, before[key(c.Organisation)]) {
			d.config.Log.InfoContext(ctx, "roles of a client changed by its directory", "client_id", c.ID, "directory", d.Name,
				"organisation", c.Organisation, "roles_not_active", strings.Join(lost, " "))
		}
		shape := d.shape
		shape.Complete = shape.Complete && c.CreatedAt.Before(at) // the statement of a newer one is newer than the list
		v := shape.judge(d.Name, known, c.Organisation, c.Software)
		if v.reason == c.Suspended && v.reason == "" {
			continue // a suspension is said again, so that no node that read earlier takes it back
		}
		if err := d.put(ctx, c, v, at); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.rolesTold = known.Roles
	return nil
}

// put suspends a client or restores it, with its evidence.
func (d *Directory) put(ctx context.Context, c store.DirectoryClient, v verdict, at time.Time) error {
	name := "client_suspended"
	if v.reason == "" {
		name = "client_restored"
	}
	detail := []string{"directory", d.Name, "organisation", c.Organisation, "software", c.Software, "reason", v.reason}
	if v.end {
		detail = append(detail, "grants", "ended")
	}
	changed, err := d.config.Store.PutStanding(ctx, store.Standing{
		ClientID: c.ID, Suspended: v.reason, EndGrants: v.end, At: at,
		Evidence: []store.Evidence{d.config.Evidence.Event(ctx, c.ID, name, detail...)},
	})
	if changed || err != nil {
		d.config.Clients.Invalidate(c.ID)
	}
	if err != nil || !changed {
		return err
	}
	if v.reason == "" {
		d.config.Log.InfoContext(ctx, "client restored by its directory", "client_id", c.ID, "directory", d.Name)
		return nil
	}
	d.config.Log.WarnContext(ctx, "client suspended by its directory", "client_id", c.ID, "directory", d.Name, "organisation", c.Organisation,
		"software", c.Software, "reason", v.reason)
	return nil
}
