//! Which files are secrets: by their path, and by what is in them.

use change::Text;
use globset::GlobSet;

/// Whether a path says that the file is a secret.
pub(super) fn is_secret_path(globs: &GlobSet, path: &Text) -> bool {
    crate::trees::is_match(globs, path.as_bytes())
}

/// Whether a private key, the hash of a password or a known token is in the content.
pub(super) fn is_secret_content(bytes: &[u8]) -> bool {
    crate::secret::is_in(bytes)
}
