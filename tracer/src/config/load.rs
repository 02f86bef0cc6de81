//! Reads the configuration: defaults, then the main file, then the fragments by name, then what the
//! command line says. The later one wins, and where each value came from is kept for messages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::{Config, validate};

/// In a list this stands for what the list held before: `watch = ["...", "/srv"]`.
const INHERITED: &str = "...";

/// Names the files to read.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The main file.
    pub file: PathBuf,
    /// Whether it was asked for by name, so that it must exist.
    pub required: bool,
    /// The directory of fragments, `*.toml`.
    pub fragments: Option<PathBuf>,
}

impl Sources {
    /// The files of this host, or the one file named on the command line instead of them.
    pub fn new(named: Option<&Path>) -> Self {
        match named {
            Some(file) => Self {
                file: file.to_owned(),
                required: true,
                fragments: None,
            },
            None => Self {
                file: "/etc/tracer/tracer.toml".into(),
                required: false,
                fragments: Some("/etc/tracer/conf.d".into()),
            },
        }
    }
}

/// Holds what the command line says over any file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Where the store is.
    pub state_dir: Option<PathBuf>,
    /// Where the API listens.
    pub socket: Option<PathBuf>,
}

/// Holds the effective configuration, and where its values come from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration, validated.
    pub config: Config,
    /// For each key that is not the default (`content.keep_bytes`) the file that set it.
    pub origins: BTreeMap<String, String>,
}

/// Says why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("read configuration `{}`: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no TOML, or holds what does not belong there.
    #[error("read configuration `{}`, line {line}, column {column}{key}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The key in words, or nothing.
        key: String,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// A value has the right type and makes no sense.
    #[error("check configuration: `{key}` from {origin}: {message}")]
    Invalid {
        /// The key.
        key: String,
        /// Where the value comes from.
        origin: String,
        /// What is wrong, and what is allowed.
        message: String,
    },
}

impl Config {
    /// Reads and validates the configuration.
    pub fn load(sources: &Sources, overrides: &Overrides) -> Result<Loaded, Error> {
        let mut table = Table::try_from(Self::default()).expect("the defaults are plain values");
        let mut origins = BTreeMap::new();
        for (path, required) in files(sources)? {
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound && !required => continue,
                Err(source) => return Err(Error::Read { path, source }),
            };
            let layer = parse(&path, &text)?;
            let origin = format!("`{}`", path.display());
            merge(&mut table, layer, "", &mut |key| {
                origins.insert(key, origin.clone());
            });
        }
        let mut config = Self::deserialize(table).expect("each layer was read as a configuration");
        let Overrides { state_dir, socket } = overrides.clone();
        for (key, field, value) in [
            ("state_dir", &mut config.state_dir, state_dir),
            ("socket", &mut config.socket, socket),
        ] {
            if let Some(value) = value {
                origins.insert(key.to_owned(), "the command line".to_owned());
                *field = value;
            }
        }
        validate::check(&config).map_err(|(key, message)| Error::Invalid {
            origin: origins
                .get(key)
                .map_or_else(|| "the defaults".to_owned(), Clone::clone),
            key: key.to_owned(),
            message,
        })?;
        Ok(Loaded { config, origins })
    }
}

/// The files in the order in which they are read, each with whether it must exist.
fn files(sources: &Sources) -> Result<Vec<(PathBuf, bool)>, Error> {
    let mut files = vec![(sources.file.clone(), sources.required)];
    let Some(directory) = &sources.fragments else {
        return Ok(files);
    };
    let unreadable = |source| Error::Read {
        path: directory.clone(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(unreadable(error)),
    };
    let mut fragments = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            fragments.push((path, false));
        }
    }
    fragments.sort();
    files.extend(fragments);
    Ok(files)
}

/// Reads one file as a configuration, so that errors name the place in it, and returns its values.
fn parse(path: &Path, text: &str) -> Result<Table, Error> {
    let located = |error: &toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start);
        let before = text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let key = DeTable::parse(text)
            .ok()
            .and_then(|table| key_at(table.get_ref(), offset));
        Error::Parse {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: key.map_or_else(String::new, |key| format!(", key `{key}`")),
            message: in_words(error.message()),
        }
    };
    toml::from_str::<Config>(text).map_err(|error| located(&error))?;
    toml::from_str::<Table>(text).map_err(|error| located(&error))
}

/// The parser's message on one line, with the types as an administrator calls them.
fn in_words(message: &str) -> String {
    message
        .replace('\n', ": ")
        .replace("expected u64", "expected a whole number")
        .replace("expected a sequence", "expected a list")
}

/// The dotted key whose name or value lies at an offset of the text.
fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    let covers = |name: &Spanned<_>, value: &Spanned<DeValue<'_>>| {
        name.span().contains(&offset) || value.span().contains(&offset)
    };
    let inner = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::Table(table) => key_at(table, offset),
        _ => None,
    };
    table.iter().find_map(|(name, value)| {
        let below = inner(value);
        (below.is_some() || covers(name, value)).then(|| match below {
            Some(below) => format!("{}.{below}", name.get_ref()),
            None => name.get_ref().to_string(),
        })
    })
}

/// Lays one file's values over what is there; a list replaces the one before, save where it says
/// [`INHERITED`].
fn merge(table: &mut Table, layer: Table, prefix: &str, set: &mut dyn FnMut(String)) {
    for (name, value) in layer {
        let key = format!("{prefix}{name}");
        match (table.get_mut(&name), value) {
            (Some(Value::Table(section)), Value::Table(layer)) => {
                merge(section, layer, &format!("{key}."), set);
            }
            (Some(Value::Array(before)), Value::Array(items)) => {
                let inherited = std::mem::take(before);
                *before = items
                    .into_iter()
                    .flat_map(|item| match item.as_str() {
                        Some(INHERITED) => inherited.clone(),
                        _ => vec![item],
                    })
                    .collect();
                set(key);
            }
            (_, value) => {
                table.insert(name, value);
                set(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("conf.d")).unwrap();
            for (name, text) in files {
                fs::write(folder.path().join(name), text).unwrap();
            }
            Self(folder)
        }

        fn load(&self) -> Result<Loaded, String> {
            let sources = Sources {
                file: self.0.path().join("tracer.toml"),
                required: false,
                fragments: Some(self.0.path().join("conf.d")),
            };
            let clean = |error: Error| {
                error
                    .to_string()
                    .replace(&format!("{}/", self.0.path().display()), "")
            };
            Config::load(&sources, &Overrides::default()).map_err(clean)
        }

        fn error(&self) -> String {
            self.load().unwrap_err()
        }
    }

    #[test]
    fn without_files_the_defaults_hold() {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources {
            file: folder.path().join("none.toml"),
            required: false,
            fragments: Some(folder.path().join("none.d")),
        };
        let loaded = Config::load(&sources, &Overrides::default()).unwrap();
        assert_eq!(
            (loaded.config, loaded.origins),
            (Config::default(), BTreeMap::new())
        );
        let required = Sources {
            required: true,
            ..sources
        };
        let error = Config::load(&required, &Overrides::default()).unwrap_err();
        assert!(matches!(error, Error::Read { .. }), "{error}");
    }

    #[test]
    fn the_later_file_wins_and_lists_can_grow() {
        let folder = Folder::new(&[
            (
                "tracer.toml",
                "mode = \"fanotify\"\n[content]\nkeep_bytes = 10\n",
            ),
            (
                "conf.d/20.toml",
                "watch = [\"...\", \"/srv/b\"]\n[content]\nkeep_bytes = 30\n",
            ),
            (
                "conf.d/10.toml",
                "watch = [\"/srv/a\"]\ncontent.keep_bytes = 20\n",
            ),
            ("conf.d/30.toml.bak", "nonsense"),
        ]);
        let Loaded { config, origins } = folder.load().unwrap();
        assert_eq!(config.watch, ["/srv/a", "/srv/b"]);
        assert_eq!(
            (config.content.keep_bytes, config.mode),
            (30, crate::config::Mode::Fanotify)
        );
        assert_eq!(config.content.hash_bytes, 64 * 1024 * 1024);
        assert!(origins["content.keep_bytes"].ends_with("conf.d/20.toml`"));
        assert!(origins["mode"].ends_with("tracer.toml`"));
        assert_eq!(origins.len(), 3);
    }

    #[test]
    fn the_command_line_wins_over_files() {
        let folder = Folder::new(&[("tracer.toml", "socket = \"/a\"")]);
        let sources = Sources::new(Some(&folder.0.path().join("tracer.toml")));
        let overrides = Overrides {
            socket: Some("/b".into()),
            state_dir: None,
        };
        let loaded = Config::load(&sources, &overrides).unwrap();
        assert_eq!(loaded.config.socket, Path::new("/b"));
        assert_eq!(loaded.origins["socket"], "the command line");
    }

    #[test]
    fn an_error_names_file_place_key_and_what_is_allowed() {
        let error = |text: &str| Folder::new(&[("tracer.toml", text)]).error();
        insta::assert_snapshot!(error("\nwacth = []\n"), @"read configuration `tracer.toml`, line 2, column 1, key `wacth`: unknown field `wacth`, expected one of `state_dir`, `socket`, `socket_group`, `mode`, `watch`, `ignore`, `compare_seconds`, `content`, `secrets`, `packages`, `runs`, `mounts`, `collector`");
        insta::assert_snapshot!(error("[content]\nkeep = 1\n"), @"read configuration `tracer.toml`, line 2, column 1, key `content.keep`: unknown field `keep`, expected `keep_bytes` or `hash_bytes`");
        insta::assert_snapshot!(error("[content]\nkeep_bytes = \"1 MiB\"\n"), @r#"read configuration `tracer.toml`, line 2, column 14, key `content.keep_bytes`: invalid type: string "1 MiB", expected a whole number"#);
        insta::assert_snapshot!(error("mode = \"kprobes\"\n"), @"read configuration `tracer.toml`, line 1, column 8, key `mode`: unknown variant `kprobes`, expected one of `auto`, `trampolines`, `fanotify`");
        insta::assert_snapshot!(error("watch = [\n  \"/etc\",\n  5,\n]\n"), @"read configuration `tracer.toml`, line 3, column 3, key `watch`: invalid type: integer `5`, expected a string");
        insta::assert_snapshot!(error("watch = \"/etc\"\n"), @r#"read configuration `tracer.toml`, line 1, column 9, key `watch`: invalid type: string "/etc", expected a list"#);
        insta::assert_snapshot!(error("watch = [\n"), @"read configuration `tracer.toml`, line 1, column 10: unclosed array, expected `]`");
        insta::assert_snapshot!(error("watch = [\"etc\"]\n"), @"check configuration: `watch` from `tracer.toml`: `etc` must be an absolute path without `..`");
        let fragment = Folder::new(&[("conf.d/a.toml", "[secrets]\npaths = [\"/etc/[\"]\n")]);
        insta::assert_snapshot!(fragment.error(), @"check configuration: `secrets.paths` from `conf.d/a.toml`: `/etc/[` is no glob: unclosed character class; missing ']'");
    }
}
