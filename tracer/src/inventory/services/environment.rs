//! The environment that unit files give to a service (systemd.exec(5), "Environment"), without the secrets in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::environment_file::{self, IsSecret};
use crate::enrich::mask::mask;

/// How much of an environment is kept.
const MAX_BYTES: usize = 4096;
const MAX_FILES: usize = 16;

/// Stands for the rest of what was cut.
const CUT: &str = "…";

/// What unit files say of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    /// The variables by their names.
    variables: BTreeMap<String, String>,
    /// The files that have more of them, as they are named.
    files: Vec<String>,
    /// The patterns that these are, without what stands for something else.
    patterns: Vec<PathBuf>,
}

impl Environment {
    /// Takes in one `Environment=`: assignments that later ones of the same names replace. Nothing takes all back.
    pub(super) fn assign(&mut self, value: &str) {
        if value.is_empty() {
            self.variables.clear();
        }
        for word in words(value) {
            if let Some((name, value)) = word.split_once('=') {
                self.variables.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Takes in one `EnvironmentFile=`.
    pub(super) fn add_file(&mut self, value: &str) {
        if value.is_empty() {
            self.files.clear();
        } else if self.files.len() < MAX_FILES {
            self.files.push(value.trim_start_matches('-').to_owned());
        }
    }

    /// Takes in what the files say, after all else that is said: of a file of secrets only the names.
    pub(super) fn read_files(&mut self, root: &Path, unit: &str, is_secret: IsSecret<'_>) {
        let resolved = |file: &String| environment_file::resolved(file, unit);
        self.patterns = self.files.iter().filter_map(resolved).collect();
        let patterns = self.patterns.iter();
        let files = patterns.flat_map(|pattern| environment_file::matching(root, pattern));
        for file in files {
            let read = environment_file::read(&file, is_secret);
            self.variables.extend(read.into_iter().flatten());
        }
    }

    /// What the names of its files are, or match.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &Path> {
        self.patterns.iter().map(PathBuf::as_path)
    }

    /// As attributes of the service's value, where there is something to say.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (String, String)> + use<> {
        let assignments = self.variables.iter().map(|(name, value)| {
            let mut assignment = [format!("{name}={value}")];
            mask(&mut assignment);
            let [assignment] = assignment;
            if assignment.contains(char::is_whitespace) {
                format!("\"{assignment}\"")
            } else {
                assignment
            }
        });
        let variables: Vec<String> = assignments.collect();
        let all = [
            ("environment", variables.join(" ")),
            ("environment-files", self.files.join(" ")),
        ];
        let all = all.into_iter().filter(|(_, text)| !text.is_empty());
        all.map(|(name, text)| (name.to_owned(), shortened(text)))
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_BYTES {
        text.truncate(text.floor_char_boundary(MAX_BYTES));
        text.push_str(CUT);
    }
    text
}

/// The words of a value: quotes hold one together, and a backslash takes the next character as it is (systemd.syntax(7),
/// "Quoting"; other escapes are not resolved).
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            _ if quote == Some(character) => quote = None,
            '"' | '\'' if quote.is_none() => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            _ if quote.is_none() && character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(environment: &Environment) -> Vec<(String, String)> {
        environment.attributes().collect()
    }

    fn variables(text: &str) -> (String, String) {
        ("environment".to_owned(), text.to_owned())
    }

    #[test]
    fn variables_are_told_by_their_names_and_without_secrets() {
        let mut environment = Environment::default();
        environment.assign("LANG=C \"GREETING=good morning\" 'A=x y'z DB_PASSWORD=hunter2");
        environment.assign("LANG=de_DE B=\\\"");
        let expected = "\"A=x yz\" B=\" DB_PASSWORD=*** \"GREETING=good morning\" LANG=de_DE";
        assert_eq!(told(&environment), [variables(expected)]);
        environment.assign("");
        assert_eq!(told(&environment), []);
    }

    #[test]
    fn files_are_named() {
        let mut environment = Environment::default();
        environment.add_file("-/etc/default/demo");
        environment.add_file("/etc/demo.env");
        let files = "/etc/default/demo /etc/demo.env".to_owned();
        assert_eq!(
            told(&environment),
            [("environment-files".to_owned(), files)]
        );
        environment.add_file("");
        assert_eq!(told(&environment), []);
    }

    #[test]
    fn what_files_say_goes_before_what_units_say_and_of_secrets_only_names_are_told() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/demo.d");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("1.env"), "A=file\nPASSWORD=hunter2\n").unwrap();
        std::fs::write(folder.join("2.env"), "B=late\n").unwrap();
        std::fs::write(root.path().join("etc/x.key"), "A=key\nC=key\n").unwrap();
        let mut environment = Environment::default();
        environment.assign("A=unit B=unit D=unit");
        environment.add_file("/etc/%p.d/*.env");
        let is_secret = |path: &Path, _: &[u8]| path.ends_with("x.key");
        let mut read = environment.clone();
        read.read_files(root.path(), "demo.service", &is_secret);
        let [(_, text), _] = told(&read).try_into().unwrap();
        assert_eq!(text, "A=file B=late D=unit PASSWORD=***");
        environment.add_file("-/etc/x.key");
        environment.add_file("-/etc/none");
        environment.read_files(root.path(), "demo.service", &is_secret);
        let [(_, text), (_, files)] = told(&environment).try_into().unwrap();
        assert_eq!(text, "A=*** B=late C=*** D=unit PASSWORD=***");
        assert_eq!(files, "/etc/%p.d/*.env /etc/x.key /etc/none");
    }

    #[test]
    fn a_long_environment_is_cut_and_says_so() {
        let mut environment = Environment::default();
        environment.assign(&format!("A={}", "ä".repeat(MAX_BYTES)));
        let [(_, text)] = told(&environment).try_into().unwrap();
        assert!(
            text.len() <= MAX_BYTES + CUT.len() && text.ends_with("ä…"),
            "{text}"
        );
    }
}
