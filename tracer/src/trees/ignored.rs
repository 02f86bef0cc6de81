//! What is left out of the watched trees: by globs, and the store's own directory.

use std::io;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::path;

/// Says which paths are left out.
#[derive(Clone, Debug)]
pub(super) struct Ignored {
    globs: GlobSet,
    own_directory: Vec<u8>,
}

impl Ignored {
    /// Reads the globs. One without a slash stands for a name in any directory; what lies in an
    /// ignored directory is ignored.
    pub(super) fn new(globs: &[String], own_directory: &Path) -> io::Result<Self> {
        // A directory that does not exist yet is watched by nobody under another name.
        let own_directory = own_directory
            .canonicalize()
            .unwrap_or_else(|_absent| own_directory.to_owned());
        Ok(Self {
            globs: any_of(globs)?,
            own_directory: own_directory.into_os_string().into_encoded_bytes(),
        })
    }

    /// Whether a path is left out.
    pub(super) fn contains(&self, path: &[u8]) -> bool {
        path::is_within(path, &self.own_directory) || is_match(&self.globs, path)
    }
}

/// Reads globs of absolute paths, or of names in any directory where they have no slash.
pub(crate) fn any_of(globs: &[String]) -> io::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    let refuse = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    for glob in globs {
        let rooted = if glob.contains('/') {
            glob.clone()
        } else {
            format!("**/{glob}")
        };
        let mut builder = GlobBuilder::new(&rooted);
        set.add(builder.literal_separator(true).build().map_err(refuse)?);
    }
    set.build().map_err(refuse)
}

/// Whether one of the globs stands for the path or a directory above it.
pub(crate) fn is_match(globs: &GlobSet, path: &[u8]) -> bool {
    !globs.is_empty() && path::ancestors(path).any(|path| globs.is_match(path::as_path(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_leave_out_names_and_trees() {
        let globs = ["*.swp".to_owned(), "/etc/ssl/*".to_owned()];
        let ignored = Ignored::new(&globs, Path::new("/nowhere/tracer")).unwrap();
        for path in [
            "/etc/.x.swp",
            "/etc/ssl/certs/ca.pem",
            "/nowhere/tracer/tracer.db",
        ] {
            assert!(ignored.contains(path.as_bytes()), "{path}");
        }
        for path in ["/etc/x.swpx", "/etc/ssl", "/etc/sslx/y", "/nowhere/tracer2"] {
            assert!(!ignored.contains(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_glob_that_is_none_is_refused() {
        let error = Ignored::new(&["/etc/{a".to_owned()], Path::new("/x")).unwrap_err();
        assert!(error.to_string().contains("/etc/{a"), "{error}");
    }
}
