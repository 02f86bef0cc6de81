//! Subjects: what can change, as a kind and a key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{NewerWord, Text};

/// Says what sort of thing a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file, directory, symbolic link or special file; its key is the absolute path.
    File,
    /// An installed package.
    Package,
    /// A kernel parameter under `/proc/sys`; its key is dotted.
    Sysctl,
    /// A switch under `/sys` or like it.
    KernelSetting,
    /// A kernel module.
    Module,
    /// A unit of the service manager.
    Service,
    /// A mounted file system.
    Mount,
    /// A part of the machine.
    Hardware,
    /// Firmware of the machine or a part of it.
    Firmware,
    /// The running kernel and its command line.
    Kernel,
    /// How the host is set up, by meaning: its name, time zone, locale and resolver.
    Host,
    /// Who may use the host, and how: a user, a password's state, a group, a rule of sudo, a key for ssh.
    Account,
    /// What runs by itself at its time: an entry of cron, a script of each day, a timer.
    Job,
    /// One that a newer peer wrote: shown by its word, and not asked for.
    Newer(NewerWord),
}

impl Kind {
    /// Every kind with the word for it.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::File, "file"),
        (Self::Package, "package"),
        (Self::Sysctl, "sysctl"),
        (Self::KernelSetting, "kernel-setting"),
        (Self::Module, "module"),
        (Self::Service, "service"),
        (Self::Mount, "mount"),
        (Self::Hardware, "hardware"),
        (Self::Firmware, "firmware"),
        (Self::Kernel, "kernel"),
        (Self::Host, "host"),
        (Self::Account, "account"),
        (Self::Job, "job"),
    ];

    /// Reads what a store or a peer wrote, which may be newer than this program.
    pub fn read(word: &str) -> Result<Self, ParseSubjectError> {
        word.parse()
            .or_else(|error| NewerWord::of(word).map(Self::Newer).ok_or(error))
    }

    /// The word for it in JSON, tables and flags.
    pub fn as_str(self) -> &'static str {
        if let Self::Newer(word) = self {
            return word.as_str();
        }
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, word)| word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ParseSubjectError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|(_, name)| *name == word);
        known
            .map(|(kind, _)| *kind)
            .ok_or_else(|| ParseSubjectError::UnknownKind(word.to_owned()))
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::read(&word).map_err(de::Error::custom)
    }
}

/// Names one thing that can change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// What sort of thing it is.
    pub kind: Kind,
    /// Which one; for a file its absolute path, without loss.
    pub key: Text,
}

impl Subject {
    /// The file at an absolute path.
    pub fn file(path: impl Into<Text>) -> Self {
        Self {
            kind: Kind::File,
            key: path.into(),
        }
    }

    /// Reads `kind:key`, or a bare absolute path, which means `file:`.
    pub fn parse(text: &[u8]) -> Result<Self, ParseSubjectError> {
        if text.starts_with(b"/") {
            return Ok(Self::file(text));
        }
        let colon = text.iter().position(|&byte| byte == b':');
        let no_kind = || ParseSubjectError::NoKind(Text::from(text).to_string());
        let (word, key) = text.split_at(colon.ok_or_else(no_kind)?);
        let kind = str::from_utf8(word)
            .map_err(|_invalid| no_kind())?
            .parse()?;
        match &key[1..] {
            [] => Err(ParseSubjectError::NoKey(kind)),
            key if kind == Kind::File && !key.starts_with(b"/") => {
                Err(ParseSubjectError::RelativePath(Text::from(key).to_string()))
            }
            key => Ok(Self {
                kind,
                key: key.into(),
            }),
        }
    }
}

impl fmt::Display for Subject {
    /// Writes a file as its bare path and anything else as `kind:key`, escaped for a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::File => self.key.fmt(f),
            kind => write!(f, "{kind}:{}", self.key),
        }
    }
}

/// Says why a text names no subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseSubjectError {
    /// There is no `kind:` in front and it is no absolute path.
    NoKind(String),
    /// The kind in front is none of those that exist.
    UnknownKind(String),
    /// Nothing stands behind the colon.
    NoKey(Kind),
    /// A file was named by a relative path.
    RelativePath(String),
}

impl fmt::Display for ParseSubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKind(text) => write!(f, "`{text}` is neither an absolute path nor `kind:key`"),
            Self::UnknownKind(word) => {
                write!(f, "`{word}` is no kind of subject; there are")?;
                Kind::ALL
                    .iter()
                    .try_for_each(|(_, name)| write!(f, " {name}"))
            }
            Self::NoKey(kind) => write!(f, "`{kind}:` lacks the name behind the colon"),
            Self::RelativePath(path) => write!(f, "`file:{path}` needs an absolute path"),
        }
    }
}

impl std::error::Error for ParseSubjectError {}

/// The JSON shape: `key_base64` stands beside a `key` that is not UTF-8 and so cannot be exact.
#[derive(Serialize, Deserialize)]
struct SubjectJson {
    kind: Kind,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { kind, key } = self;
        let json = SubjectJson {
            kind: *kind,
            key: key.to_lossy(),
            key_base64: key.to_base64_if_lossy(),
        };
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SubjectJson {
            kind,
            key,
            key_base64,
        } = SubjectJson::deserialize(deserializer)?;
        let key = Text::from_parts(key, key_base64.as_deref()).map_err(de::Error::custom)?;
        Ok(Self { kind, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_path_is_a_file_and_other_kinds_are_named() {
        assert_eq!(
            Subject::parse(b"/etc/hosts"),
            Ok(Subject::file("/etc/hosts"))
        );
        assert_eq!(
            Subject::parse(b"file:/etc/hosts"),
            Ok(Subject::file("/etc/hosts"))
        );
        let swappiness = Subject::parse(b"sysctl:vm.swappiness").unwrap();
        assert_eq!(
            (swappiness.kind, swappiness.to_string().as_str()),
            (Kind::Sysctl, "sysctl:vm.swappiness")
        );
    }

    #[test]
    fn what_names_no_subject_is_refused_with_the_reason() {
        assert_eq!(
            Subject::parse(b"hosts"),
            Err(ParseSubjectError::NoKind("hosts".to_owned()))
        );
        assert_eq!(
            Subject::parse(b"fil:/x"),
            Err(ParseSubjectError::UnknownKind("fil".to_owned()))
        );
        assert_eq!(
            Subject::parse(b"module:"),
            Err(ParseSubjectError::NoKey(Kind::Module))
        );
        assert_eq!(
            Subject::parse(b"file:x"),
            Err(ParseSubjectError::RelativePath("x".to_owned()))
        );
    }

    #[test]
    fn a_kind_that_only_a_newer_peer_knows_is_shown_and_not_asked_for() {
        let json = r#"{"kind":"cpu-quota","key":"a"}"#;
        let subject: Subject = serde_json::from_str(json).unwrap();
        assert_eq!(subject.to_string(), "cpu-quota:a");
        assert_eq!(serde_json::to_string(&subject).unwrap(), json);
        assert_eq!(Kind::read("cpu-quota"), Ok(subject.kind));
        assert!(Subject::parse(b"cpu-quota:a").is_err());
        assert!(Kind::read("No Kind").is_err());
        for (kind, word) in Kind::ALL {
            assert_eq!(Kind::read(word), Ok(kind));
            assert_eq!(kind.as_str(), word);
        }
    }

    #[test]
    fn a_path_that_is_not_utf8_survives_json() {
        let subject = Subject::file(b"/etc/\xff\n".as_slice());
        let json = serde_json::to_string(&subject).unwrap();
        assert_eq!(
            json,
            r#"{"kind":"file","key":"/etc/�\n","key_base64":"L2V0Yy//Cg=="}"#
        );
        assert_eq!(serde_json::from_str::<Subject>(&json).unwrap(), subject);
    }
}
