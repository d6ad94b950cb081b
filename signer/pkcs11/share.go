package pkcs11

// UserPIN is the PIN itself, read from PINFile if it is not given. It is for what logs in to the same token from within
// this process, and belongs into nothing that is kept or shown.
func (c Config) UserPIN() (string, error) { return hello{PIN: c.PIN.text, PINFile: c.PINFile}.pin() }

// Settings are those that the backend was made with, where left out their defaults.
func (b *Backend) Settings() Config { return b.config }

// Harden keeps this process, which is about to hold a PIN, from leaving core dumps and from a debugger of the same user,
// where the system can.
func Harden() { harden() }
