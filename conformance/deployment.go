package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"time"

	"countersign/conformance/bank"
	"countersign/conformance/directory"
	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// deployment is how a server is configured for plans that it can be judged by together: those of one ecosystem, because what
// one demands in metadata another forbids.
type deployment struct {
	// ecosystem is the server's name of it; empty for plain FAPI.
	ecosystem string
	// statements is the profile of clients that register with statements of a directory, which has one.
	statements string
	plans      []plan
	// offset is the number of plans before these.
	offset int
}

// deployments groups plans, in the order in which their ecosystems come.
func deployments(plans []plan) []deployment {
	var all []deployment
	for _, p := range plans {
		wanted := deployment{ecosystem: p.ecosystem().preset}
		if p.statements() {
			wanted.statements = p.profile()
		}
		i := slices.IndexFunc(all, func(d deployment) bool { return d.ecosystem == wanted.ecosystem && d.statements == wanted.statements })
		if i < 0 {
			i, all = len(all), append(all, wanted)
		}
		all[i].plans = append(all[i].plans, p)
	}
	for i := 1; i < len(all); i++ {
		all[i].offset = all[i-1].offset + len(all[i-1].plans)
	}
	return all
}

// on returns the options for the deployment: each command has its own configuration in the place of {config}.
func (d deployment) on(o options) options {
	config := o.config
	if d.ecosystem != "" {
		config = strings.ReplaceAll(o.ecosystemConfig, "{ecosystem}", d.ecosystem)
		o.user = cmp.Or(strings.ReplaceAll(d.plans[0].ecosystem().user, "{cpf}", o.cpf), o.user)
	}
	replace := strings.NewReplacer("{config}", config, "{base}", o.config, "{ecosystem}", d.ecosystem, "{user}", o.user, "{cpf}", o.cpf, "{organisation}", o.organisation)
	for _, command := range []*string{&o.register, &o.initialToken, &o.deviceCode, &o.start} {
		*command = replace.Replace(*command)
	}
	// Names of profiles are separated by spaces: they are replaced in the words of the command.
	o.prepare = replace.Replace(o.prepare)
	return o
}

// configure runs the command that writes the server's configuration for an ecosystem.
func (d deployment) configure(ctx context.Context, o options) error {
	if d.ecosystem == "" || o.start == "" {
		return nil
	}
	words := strings.Fields(o.prepare)
	if len(words) == 0 {
		return nil
	}
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "{profiles}", profiles(d.plans))
	}
	if names, ok := directory.Brazil()[d.plans[0].profileOf()]; ok && d.statements != "" {
		words = append(words, "-statements", d.statements, "-statements-issuer", names.Issuer, "-statements-keys", names.KeysURL())
	}
	if output, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("-prepare: %s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// listen starts the stand-in for the APIs of a bank, if the plans are of an ecosystem: the server is to trust it before it starts.
func (d deployment) listen(o options) (*bank.Bank, error) {
	if d.ecosystem == "" {
		return nil, nil
	}
	opened, err := bank.Listen(time.Now)
	if err != nil {
		return nil, err
	}
	if err := trustStandIn(o, opened.Authority()); err != nil {
		opened.Stop()
		return nil, err
	}
	return opened, nil
}

// openBank registers the stand-in at the server, as a resource server.
func (r *runner) openBank(ctx context.Context, o options, d deployment) error {
	roots, _, err := serverTrust(o)
	if err != nil {
		return err
	}
	key, err := jose.NewPrivateKey(jose.PS256)
	if err != nil {
		return err
	}
	id := "countersign-" + r.unique + "-bank"
	issued, err := r.ca.issue(r.random, pkix.Name{CommonName: id}, r.now())
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair([]byte(issued.Cert), []byte(issued.Key))
	if err != nil {
		return err
	}
	roots.Certificates = []tls.Certificate{pair}
	client := flowclient.New(flowclient.Config{Issuer: r.server.issuer, HTTP: flowclient.NewHTTP(roots), ID: id, Key: key, Certificate: true})
	if err := client.Discover(ctx); err != nil {
		return err
	}
	metadata := map[string]any{
		"client_id": id, "client_name": "Stand-in bank", "profile": d.plans[0].profile(), "grant_types": []string{}, "response_types": []string{},
		"resource_identifiers": []string{r.server.issuer}, "token_endpoint_auth_method": "private_key_jwt",
		"jwks": map[string]any{"keys": []json.RawMessage{key.PublicJWK()}},
	}
	if err := r.registerClient(ctx, id, metadata); err != nil {
		return err
	}
	r.server.bank.Open(bank.Config{Server: client, Organisation: r.server.bankOrganisation, Key: key})
	r.progress("bank    stands in for the APIs of a bank: %s", r.server.bank.Base())
	return r.publish(ctx, client)
}

// introduce tells the bank whose signatures a plan's clients send.
func (r *runner) introduce(p plan, clients []testClient) error {
	if r.server.bank == nil {
		return nil
	}
	for _, c := range clients {
		keys := c.keys()
		if c.organisationKey != nil {
			keys = append(keys, c.organisationKey)
		}
		encoded, err := json.Marshal(public(keys))
		if err != nil {
			return err
		}
		if err := r.server.bank.Know(c.id, c.organisation, encoded); err != nil {
			return err
		}
	}
	return nil
}

// openDirectory starts the stand-in for the directory of the plans' ecosystem, on the names that the suite fixes.
func (d deployment) openDirectory(ctx context.Context, o options, say func(string, ...any)) (*directory.Directory, error) {
	i := slices.IndexFunc(d.plans, plan.needsDirectory)
	if i < 0 {
		return nil, nil
	}
	names, ok := directory.Brazil()[d.plans[i].profileOf()]
	if !ok {
		return nil, fmt.Errorf("%s: there is no stand-in for its directory", d.plans[i].name)
	}
	if o.directory == "" {
		return nil, fmt.Errorf("%s reaches a directory by names that the suite fixes: with -directory 127.0.0.1:443 and the line below in the hosts file of this machine, a stand-in has them\n127.0.0.1 %s %s %s",
			d.plans[i].name, names.Authorization, names.API, names.Keys)
	}
	for _, name := range []string{names.Authorization, names.API, names.Keys} {
		addresses, err := net.DefaultResolver.LookupHost(ctx, name)
		if err != nil || slices.ContainsFunc(addresses, func(a string) bool { return !net.ParseIP(a).IsLoopback() }) {
			return nil, fmt.Errorf("-directory: %s has to lead to this machine: add \"127.0.0.1 %s\" to its hosts file (%v)", name, name, cmp.Or(err, fmt.Errorf("it leads to %v", addresses)))
		}
	}
	opened, err := directory.Start(o.directory, names, time.Now)
	if err != nil {
		return nil, fmt.Errorf("-directory: %w", err)
	}
	if err := trustStandIn(o, opened.Authority()); err != nil {
		opened.Stop()
		return nil, err
	}
	say("directory  stands in for %s", names.API)
	return opened, nil
}

// enter puts a plan's clients into the directory.
func (r *runner) enter(p plan, clients []testClient, redirectURIs []string) {
	if r.directory == nil {
		return
	}
	for _, c := range clients {
		if c.software == "" {
			continue
		}
		software := directory.Software{
			ID: c.software, Organisation: c.organisation, Name: "Conformance suite " + c.id, RedirectURIs: redirectURIs,
			Roles: []string{"DADOS", "PAGTO", "CONTA"}, OrganisationKeys: []any{c.organisationKey.Public()},
		}
		for _, key := range append(c.keys(), c.organisationKey) {
			software.Keys = append(software.Keys, key.Public())
		}
		r.directory.Add(software)
	}
}

// publish gives the directory the keys with which the bank and the server sign for the bank's organisation.
func (r *runner) publish(ctx context.Context, server *flowclient.Client) error {
	if r.directory == nil {
		return nil
	}
	_, reply, err := server.Keys(ctx)
	if err != nil {
		return err
	}
	var set struct {
		Keys []any `json:"keys"`
	}
	var own struct {
		Keys []any `json:"keys"`
	}
	if err := errors.Join(json.Unmarshal(reply.Body, &set), json.Unmarshal(r.server.bank.KeySet(), &own)); err != nil {
		return err
	}
	r.directory.AddOrganisation(r.server.bankOrganisation, append(set.Keys, own.Keys...))
	return nil
}
