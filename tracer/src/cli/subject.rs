//! Subjects and paths as people type them: relative ones are completed, every byte is kept.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use std::{env, fs};

use change::{Kind, ParseSubjectError, Subject};

use super::Error;

/// Reads `kind:key`, or the path of a file.
pub(super) fn subject(typed: &OsStr) -> Result<Subject, Error> {
    read(typed, &cwd()?).map_err(|error| Error::Usage(format!("read the subject: {error}")))
}

/// Reads the path of a file.
pub(super) fn file(typed: &OsStr) -> Result<Subject, Error> {
    let path = typed
        .as_bytes()
        .strip_prefix(b"file:")
        .map_or(typed, OsStr::from_bytes);
    Ok(Subject::file(bytes(absolute(Path::new(path), &cwd()?))))
}

/// Completes a relative glob, unless it matches anywhere.
pub(super) fn pattern(typed: &str) -> Result<String, Error> {
    if typed.starts_with('/') || typed.starts_with("**") {
        return Ok(typed.to_owned());
    }
    let cwd = cwd()?.into_os_string().into_string();
    let cwd = cwd.map_err(|_not_utf8| {
        Error::Usage(
            "read `--path`: this directory's name is not UTF-8; start the glob with `/`".to_owned(),
        )
    })?;
    Ok(format!(
        "{}/{typed}",
        globset::escape(cwd.trim_end_matches('/'))
    ))
}

fn cwd() -> Result<PathBuf, Error> {
    env::current_dir().map_err(|error| Error::Usage(format!("find the working directory: {error}")))
}

fn read(typed: &OsStr, cwd: &Path) -> Result<Subject, ParseSubjectError> {
    let text = typed.as_bytes();
    let word = text
        .split(|&byte| byte == b':')
        .next()
        .filter(|word| word.len() < text.len());
    let word = word.and_then(|word| str::from_utf8(word).ok());
    match word.map(str::parse::<Kind>) {
        Some(Ok(Kind::File)) => {
            let path = OsStr::from_bytes(&text["file:".len()..]);
            Ok(Subject::file(bytes(absolute(Path::new(path), cwd))))
        }
        Some(Ok(_)) => Subject::parse(text),
        // A mistyped kind would silently be a file that nobody has.
        Some(Err(unknown)) if is_word(word) && fs::symlink_metadata(cwd.join(typed)).is_err() => {
            Err(unknown)
        }
        _ => Ok(Subject::file(bytes(absolute(Path::new(typed), cwd)))),
    }
}

fn is_word(word: Option<&str>) -> bool {
    word.is_some_and(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
}

fn bytes(path: PathBuf) -> Vec<u8> {
    OsString::from(path).into_vec()
}

/// The path as the kernel sees it: absolute, folders without symbolic links. The last part stays as
/// it is, because a link can change like anything else, and what is deleted can be asked for.
fn absolute(path: &Path, cwd: &Path) -> PathBuf {
    let joined = cwd.join(path);
    let (Some(parent), Some(name)) = (joined.parent(), joined.file_name()) else {
        return fs::canonicalize(&joined).unwrap_or_else(|_gone| without_dots(&joined));
    };
    if let Ok(parent) = fs::canonicalize(parent) {
        return parent.join(name);
    }
    // Folders that are gone keep their names; those above them may still be reached by a link.
    let plain = without_dots(&joined);
    let resolved = plain.ancestors().skip(1).find_map(|ancestor| {
        let real = fs::canonicalize(ancestor).ok()?;
        Some(real.join(plain.strip_prefix(ancestor).ok()?))
    });
    resolved.unwrap_or(plain)
}

/// Takes `.` and `..` out by their names alone.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_completed_as_the_kernel_sees_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink("real", root.join("linked")).unwrap();
        symlink("nowhere", root.join("real/link")).unwrap();
        let table = [
            ("real/a", "real/a"),
            ("linked/a", "real/a"),
            ("./real/../real/a", "real/a"),
            ("linked/../a", "a"),
            ("linked/link", "real/link"),
            ("linked/gone/deep/../a", "real/gone/a"),
            ("real/", "real"),
            ("real/..", ""),
            (".", ""),
        ];
        for (typed, expected) in table {
            assert_eq!(
                absolute(Path::new(typed), &root),
                root.join(expected),
                "{typed}"
            );
        }
        assert_eq!(absolute(Path::new("/"), &root), Path::new("/"));
        let invalid = OsStr::from_bytes(b"real/\xff");
        assert_eq!(
            bytes(absolute(Path::new(invalid), &root)).last(),
            Some(&0xff)
        );
    }

    #[test]
    fn kinds_are_told_from_paths() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::write(root.join("odd:name"), "").unwrap();
        let of = |typed: &str| read(OsStr::new(typed), &root).map(|subject| subject.to_string());
        let path = |name: &str| Ok(root.join(name).display().to_string());
        assert_eq!(
            of("sysctl:vm.swappiness"),
            Ok("sysctl:vm.swappiness".to_owned())
        );
        assert_eq!(of("file:/a"), Ok("/a".to_owned()));
        assert_eq!(of("file:a"), path("a"));
        assert_eq!(of("odd:name"), path("odd:name"));
        assert_eq!(of("./sysctl:x"), path("sysctl:x"));
        assert_eq!(
            of("sysctll:x"),
            Err(ParseSubjectError::UnknownKind("sysctll".to_owned()))
        );
        assert_eq!(of("module:"), Err(ParseSubjectError::NoKey(Kind::Module)));
    }
}
