//! What a configuration may say beyond the types: absolute paths, globs that are globs.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use globset::{Glob, GlobBuilder};

use super::{Collector, Config, ContentLimits, Mounts, Packages, Runs, Secrets};
use crate::push::Address;

/// The longest path that fits a Unix socket's address, with the NUL at the end.
const SOCKET_PATH_BYTES: usize = 107;

/// Compiles a glob as all of tracer reads it: `*` stays within a folder, `**` does not.
pub(crate) fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
}

/// Returns the first key that makes no sense, with what is wrong and what is allowed.
pub(super) fn check(config: &Config) -> Result<(), (&'static str, String)> {
    let Config {
        state_dir,
        socket,
        socket_group,
        mode: _,
        watch,
        ignore,
        compare_seconds: _,
        content,
        secrets,
        packages: Packages { dpkg, root },
        runs,
        mounts: Mounts {
            ignore: ignored_mounts,
            ignore_types: _,
        },
        collector: Collector {
            url,
            contents,
            labels,
        },
    } = config;
    let Runs {
        package_managers,
        config_management,
    } = runs;
    let ContentLimits {
        keep_bytes,
        hash_bytes,
    } = content;
    let Secrets { paths, content: _ } = secrets;
    at("state_dir", absolute(state_dir))?;
    at("socket", absolute(socket).and_then(|()| short(socket)))?;
    at("socket_group", group(socket_group))?;
    at("watch", watch.iter().try_for_each(|tree| watchable(tree)))?;
    at(
        "ignore",
        ignore.iter().try_for_each(|pattern| compiles(pattern)),
    )?;
    at(
        "secrets.paths",
        paths.iter().try_for_each(|pattern| compiles(pattern)),
    )?;
    at("packages.dpkg", database(dpkg))?;
    at("packages.root", database(root))?;
    let commands = |names: &[String]| names.iter().try_for_each(|name| command(name));
    at("runs.package_managers", commands(package_managers))?;
    at("runs.config_management", commands(config_management))?;
    at(
        "mounts.ignore",
        ignored_mounts
            .iter()
            .try_for_each(|pattern| compiles(pattern)),
    )?;
    if !url.is_empty() {
        at("collector.url", Address::parse(url).map(drop))?;
    }
    at(
        "collector.contents",
        contents.iter().try_for_each(|pattern| compiles(pattern)),
    )?;
    at(
        "collector.labels",
        labels.iter().try_for_each(|text| label(text)),
    )?;
    if keep_bytes > hash_bytes {
        let message = format!(
            "{keep_bytes} is more than `content.hash_bytes`, {hash_bytes}; what is kept is hashed"
        );
        return Err(("content.keep_bytes", message));
    }
    Ok(())
}

fn at(key: &'static str, checked: Result<(), String>) -> Result<(), (&'static str, String)> {
    checked.map_err(|message| (key, message))
}

fn absolute(path: &Path) -> Result<(), String> {
    let plain = path.components().all(|part| part != Component::ParentDir);
    if path.is_absolute() && plain {
        return Ok(());
    }
    Err(format!(
        "`{}` must be an absolute path without `..`",
        path.display()
    ))
}

fn short(socket: &Path) -> Result<(), String> {
    let length = socket.as_os_str().as_bytes().len();
    if length <= SOCKET_PATH_BYTES {
        return Ok(());
    }
    Err(format!(
        "`{}` has {length} bytes, a socket's path at most {SOCKET_PATH_BYTES}",
        socket.display()
    ))
}

fn group(name: &str) -> Result<(), String> {
    if name.contains([':', '\n', '/']) {
        return Err(format!(
            "`{name}` is no name of a group; an empty one stands for none"
        ));
    }
    Ok(())
}

/// A database is watched by its very name.
fn database(path: &Path) -> Result<(), String> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    absolute(path)?;
    match path.to_str() {
        Some(name) if !name.contains(['*', '?', '[', '{', '\\']) => Ok(()),
        _ => Err(format!(
            "`{}` must be one name, in UTF-8 and without a pattern",
            path.display()
        )),
    }
}

/// The name of a command, and maybe its first argument.
fn command(entry: &str) -> Result<(), String> {
    let (name, argument) = entry.split_once(' ').unwrap_or((entry, "all"));
    let is_name = |name: &str| !name.is_empty() && !name.contains(['/', ' ']);
    let begin = name.strip_suffix('*').unwrap_or(name);
    if is_name(name) && is_name(argument) && !begin.contains('*') {
        return Ok(());
    }
    Err(format!(
        "`{entry}` must be the file name of a command, maybe with `*` at its end, and maybe with its first \
         argument behind one space"
    ))
}

fn watchable(tree: &str) -> Result<(), String> {
    absolute(Path::new(tree))?;
    let wild = tree.split('/').filter(|part| part.contains('*')).count();
    if wild > 1 || tree.contains("**") || tree.contains(['?', '[', '{', '\\']) {
        return Err(format!(
            "`{tree}` may hold `*` in one component, and no other pattern"
        ));
    }
    Ok(())
}

/// A name, and a value.
fn label(text: &str) -> Result<(), String> {
    let (name, value) = text.split_once('=').unwrap_or_default();
    let is_good =
        |text: &str| !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
    if is_good(name) && is_good(value) {
        return Ok(());
    }
    Err(format!(
        "`{}` must be a name, `=` and a value, such as `role=db`",
        text.escape_debug()
    ))
}

fn compiles(pattern: &str) -> Result<(), String> {
    if !pattern.starts_with('/') && !pattern.starts_with("**/") {
        return Err(format!(
            "`{pattern}` must start with `/`, or with `**/` to match anywhere"
        ));
    }
    glob(pattern)
        .map(drop)
        .map_err(|error| format!("`{pattern}` is no glob: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(check(&Config::default()), Ok(()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_key() {
        let key = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            check(&config).unwrap_err().0
        };
        assert_eq!(key(|config| config.state_dir = "lib".into()), "state_dir");
        for wrong in [
            "",
            "/usr/bin/apt",
            "cargo  install",
            "a b c",
            "*b*",
            "cargo ",
        ] {
            let mut config = Config::default();
            config.runs.package_managers = vec![wrong.to_owned()];
            assert_eq!(check(&config).unwrap_err().0, "runs.package_managers");
        }
        assert_eq!(
            key(|config| config.socket = format!("/{}", "x".repeat(107)).into()),
            "socket"
        );
        assert_eq!(
            key(|config| config.watch.push("/home/*/x/*".to_owned())),
            "watch"
        );
        assert_eq!(
            key(|config| config.watch.push("/etc/../x".to_owned())),
            "watch"
        );
        assert_eq!(
            key(|config| config.ignore.push("*.swp".to_owned())),
            "ignore"
        );
        for wrong in ["http://x", "x:1"] {
            let mut config = Config::default();
            config.collector.url = wrong.to_owned();
            assert_eq!(check(&config).unwrap_err().0, "collector.url");
        }
        assert_eq!(
            key(|config| config.collector.labels.push("role".to_owned())),
            "collector.labels"
        );
        assert_eq!(
            key(|config| config.collector.contents.push("etc".to_owned())),
            "collector.contents"
        );
        assert_eq!(
            key(|config| config.content.hash_bytes = 1),
            "content.keep_bytes"
        );
    }
}
