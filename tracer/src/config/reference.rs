//! The words for each key, once: for `tracer config` and for `docs/config.md`.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::{Config, Loaded};

/// Each key in order, and what it says. `*_bytes` are whole numbers.
const KEYS: [(&str, &str); 20] = [
    ("state_dir", "Directory of the store"),
    ("socket", "Unix socket on which the daemon answers"),
    (
        "socket_group",
        "Group that may use the socket beside root; empty for none",
    ),
    (
        "mode",
        "How to see file changes: `auto`, `trampolines` or `fanotify`",
    ),
    (
        "watch",
        "Trees to watch; `*` stands for any part of one component",
    ),
    ("ignore", "Globs of paths within them to leave out"),
    (
        "compare_seconds",
        "Compare the trees with the store so often, to find what nobody saw; 0 for at start and after losses only",
    ),
    (
        "content.keep_bytes",
        "Keep the content of files up to this size",
    ),
    (
        "content.hash_bytes",
        "Hash the content of files up to this size",
    ),
    (
        "secrets.paths",
        "Globs of paths whose content is never kept",
    ),
    (
        "secrets.content",
        "Never keep a file with a private key, a password's hash or a known token, wherever it lies",
    ),
    (
        "packages.dpkg",
        "File in which dpkg has the state of each package; empty for none",
    ),
    (
        "packages.root",
        "Folder below which the databases of rpm, apk, pacman, pip, npm and gem are looked for, at the places that they \
         have there; empty for none",
    ),
    (
        "runs.package_managers",
        "Commands that are package managers: the name of an executable or a script, `*` at its end for any \
         rest, and behind a space the first argument that it must have",
    ),
    (
        "runs.config_management",
        "Commands that are configuration management, named likewise",
    ),
    (
        "mounts.ignore",
        "Globs of mount points that come and go with containers, sessions and snaps, and are no news",
    ),
    (
        "mounts.ignore_types",
        "File systems whose mounts are no news, as looking at a file mounts them, or as they hold no files",
    ),
    (
        "collector.url",
        "The collector, such as `https://collector.example:7443`; empty for the one that the host was enrolled with. \
         Nothing is sent before `tracer enrol`",
    ),
    (
        "collector.contents",
        "Globs of paths whose content travels to the collector, as far as it is kept here; of others hashes do",
    ),
    (
        "collector.labels",
        "What the host is, such as `role=db`; what was said when it was enrolled counts more",
    ),
];

/// Writes the effective configuration as TOML, with where each value comes from.
pub fn effective(loaded: &Loaded) -> String {
    let table = table(&loaded.config);
    let mut text = String::new();
    let mut section = "";
    for (key, words) in KEYS {
        let (in_section, name) = key.split_once('.').unwrap_or(("", key));
        if in_section != section {
            push(&mut text, format_args!("[{in_section}]"));
            section = in_section;
        }
        let origin = loaded
            .origins
            .get(key)
            .map_or("the default", String::as_str);
        push(&mut text, format_args!("# {words} (from {origin})"));
        push(
            &mut text,
            format_args!("{name} = {}\n", literal(&table, key)),
        );
    }
    text.truncate(text.trim_end().len());
    text
}

/// Writes the page `docs/config.md`.
pub fn reference() -> String {
    let table = table(&Config::default());
    let mut page = "# Configuration\n\n\
        <!-- Generated from the defaults: UPDATE_DOCS=1 cargo test -p tracer docs -->\n\n\
        The daemon reads `/etc/tracer/tracer.toml` and then `/etc/tracer/conf.d/*.toml` in the order of their\n\
        names; the later value wins. All of them are optional, and `--config FILE` names one file instead. A\n\
        list replaces the one before, and `\"...\"` in it stands for what that held: `watch = [\"...\", \"/srv\"]`\n\
        adds a tree. Globs start with `/`, or with `**/` to match anywhere; `*` stays within a folder, `**` does\n\
        not. An unknown key is an error. `tracer config` shows what is in effect, and where it comes from.\n"
        .to_owned();
    for (key, words) in KEYS {
        push(
            &mut page,
            format_args!(
                "\n## `{key}`\n\n{words}.\n\n```toml\n{key} = {}\n```",
                literal(&table, key)
            ),
        );
    }
    page
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}

fn table(config: &Config) -> Table {
    Table::try_from(config).expect("a configuration is plain values")
}

/// The value of a key as it may stand in a file; a list of several has one item a line.
fn literal(table: &Table, key: &str) -> String {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let section = table
        .get(section)
        .and_then(Value::as_table)
        .unwrap_or(table);
    match &section[name] {
        Value::Array(items) if items.len() > 1 => {
            let lines: Vec<_> = items.iter().map(|item| format!("    {item},")).collect();
            format!("[\n{}\n]", lines.join("\n"))
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_words_and_no_others_have() {
        let keys = |prefix: &str, table: &Table| -> Vec<String> {
            let plain = table.iter().filter(|(_, value)| !value.is_table());
            plain.map(|(name, _)| format!("{prefix}{name}")).collect()
        };
        let table = table(&Config::default());
        let mut expected = keys("", &table);
        for (name, section) in &table {
            expected.extend(
                section
                    .as_table()
                    .map_or(Vec::new(), |section| keys(&format!("{name}."), section)),
            );
        }
        expected.sort();
        let mut words = KEYS.map(|(key, _)| key.to_owned());
        words.sort();
        assert_eq!(words.as_slice(), expected.as_slice());
    }

    #[test]
    fn the_effective_configuration_reads_back() {
        let mut config = Config::default();
        config.ignore.push("**/a \"quoted\"\t\\name".to_owned());
        let origins = [("ignore".to_owned(), "`/x`".to_owned())].into();
        let text = effective(&Loaded {
            config: config.clone(),
            origins,
        });
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
        assert!(text.contains("leave out (from `/x`)\nignore"), "{text}");
    }
}
