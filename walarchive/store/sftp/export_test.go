package sftp

// BeforeLink makes the next Create call f between the upload and the link.
func BeforeLink(s *Store, f func(tmp string)) { s.beforeLink = f }
