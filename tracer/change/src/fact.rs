//! Facts: the value that a subject has on a host at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Holds the value of one subject, by the subject's kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FactValue {
    /// A file's state.
    File(FileState),
    /// The value of a sysctl, a kernel setting or another subject that has just one.
    Setting {
        /// As its source writes it, without the newline at the end.
        value: String,
    },
    /// What is known of a subject of any other kind, by name: a package has its `version` and `arch`. A
    /// name that a newer peer knows is kept as it is.
    Attributes(BTreeMap<String, String>),
}

impl FactValue {
    /// The file's state, where this is one.
    pub fn as_file(&self) -> Option<&FileState> {
        match self {
            Self::File(state) => Some(state),
            Self::Setting { .. } | Self::Attributes(_) => None,
        }
    }

    /// An attribute by its name, where this is a value of attributes.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        match self {
            Self::Attributes(attributes) => attributes.get(name).map(String::as_str),
            Self::File(_) | Self::Setting { .. } => None,
        }
    }
}

/// Describes a file at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// `b3:` and the BLAKE3 hash of the content, or `k3:` and a hash keyed with this host's secret
    /// where the content is one; absent where the content was not read (see `content`).
    pub hash: Option<String>,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits in octal, four digits, like `0644`.
    pub mode: String,
    /// Numeric owner as the host sees it.
    pub uid: u32,
    /// Numeric group as the host sees it.
    pub gid: u32,
    /// What sort of file it is.
    #[serde(rename = "type", default, skip_serializing_if = "FileType::is_regular")]
    pub file_type: FileType,
    /// Whether the content can be shown, and why not.
    #[serde(default, skip_serializing_if = "ContentState::is_kept")]
    pub content: ContentState,
    /// Where a symbolic link points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The inode number.
    #[serde(default)]
    pub inode: u64,
    /// Extended attributes: text as it is, anything else as `0x` and hex digits. Under `chattr` the
    /// flags that are set, by the letters of lsattr(1).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
}

/// Says what sort of file a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileType {
    /// A regular file.
    #[default]
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl FileType {
    /// Every type with the word for it.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Regular, "regular"),
        (Self::Directory, "directory"),
        (Self::Symlink, "symlink"),
        (Self::Fifo, "fifo"),
        (Self::Socket, "socket"),
        (Self::CharDevice, "char-device"),
        (Self::BlockDevice, "block-device"),
    ];

    /// The word for it in JSON and tables.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(file_type, _)| *file_type == self)
            .map_or("", |(_, word)| word)
    }

    /// The type with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(file_type, _)| *file_type)
    }

    /// Whether it is a regular file.
    pub fn is_regular(&self) -> bool {
        *self == Self::Regular
    }

    /// The type in the file type bits of `st_mode` (`S_IFMT`).
    pub fn from_mode(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            0o020_000 => Self::CharDevice,
            0o060_000 => Self::BlockDevice,
            _ => Self::Regular,
        }
    }
}

/// Says whether a file's content can be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentState {
    /// It is in the store, under the hash.
    #[default]
    Kept,
    /// It is a secret: there is a keyed hash and never the bytes.
    Secret,
    /// It is larger than the limit for keeping: there is a hash only.
    TooLarge,
    /// The file had moved on before it could be read: there is nothing to show for this moment.
    MovedOn,
    /// So much happened at once that it was not read, for no change to be lost over it; the next
    /// comparison reads it.
    Shed,
    /// It was kept, and was purged since by `tracer forget`: there is its hash only.
    Forgotten,
    /// It could not be read, or there is none to read (a directory, a device).
    None,
}

impl ContentState {
    /// Every state with the word for it.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Kept, "kept"),
        (Self::Secret, "secret"),
        (Self::TooLarge, "too-large"),
        (Self::MovedOn, "moved-on"),
        (Self::Shed, "shed"),
        (Self::Forgotten, "forgotten"),
        (Self::None, "none"),
    ];

    /// The word for it in JSON and tables.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(state, _)| *state == self)
            .map_or("", |(_, word)| word)
    }

    /// The state with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(state, _)| *state)
    }

    /// Whether the bytes are in the store.
    pub fn is_kept(&self) -> bool {
        *self == Self::Kept
    }
}
