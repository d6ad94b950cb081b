// Package caches has the keys of the configuration that bound what a node remembers.
package caches

// Caches are the bounds of what a node remembers.
type Caches struct {
	Clients     int `toml:"clients" default:"10000" min:"100" max:"1000000" doc:"Registrations of clients, as they were read last; when there are more, all are read again."`
	ClientKeys  int `toml:"client_keys" default:"64" min:"1" max:"4096" doc:"How large the key sets that clients registered by value (jwks) may be in that cache in all, in MiB."`
	KeySets     int `toml:"key_sets" default:"1024" min:"16" max:"100000" doc:"Key sets that clients publish at an address (jwks_uri); the one that was not used for longest is forgotten, and fetched when it is needed again. As many as there are clients with one, if there is memory for it."`
	Keys        int `toml:"keys" default:"100000" min:"1000" max:"10000000" doc:"Keys in all those sets together."`
	Revocations int `toml:"revocations" default:"10000" min:"100" max:"1000000" doc:"Answers about the revocation of client certificates, for each set of authorities."`
}
