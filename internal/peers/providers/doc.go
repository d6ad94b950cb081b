// Package providers holds tests and nothing else: packages rp and rs with providers that nobody here wrote. node-oidc-provider comes from
// npm, pinned by node/package-lock.json, and Keycloak from Maven, pinned by keycloak/pom.xml. Both are kept in the user's cache folder.
package providers
