//! Hides secrets in command lines before anything keeps or shows them. It rather hides too much
//! than too little; where a command line comes from is `program`'s business.

use self::short_options::{Form, Tool};

mod names;
mod short_options;
mod text;

/// What stands for a secret.
const HIDDEN: &str = "***";

/// Hides the secrets in a command line.
pub(crate) fn mask(argv: &mut [String]) {
    let mut words = Words::default();
    let mut after_command_option = false;
    for argument in argv {
        let is_script = after_command_option;
        after_command_option = takes_a_script(argument);
        *argument = mask_argument(argument, is_script, &mut words);
    }
}

/// Hides the secrets that a text names, such as the options of a mount.
pub(crate) fn mask_named(text: &str) -> String {
    text::mask_text(text)
}

/// Hides the secrets in a script, or a line of commands, in one text.
pub(crate) fn mask_script(text: &str) -> String {
    mask_argument(text, true, &mut Words::default())
}

fn mask_argument(argument: &str, is_script: bool, words: &mut Words) -> String {
    if let Some(hidden) = words.hide_as_value(argument) {
        return hidden;
    }
    let inner = if is_script {
        text::mask_text(argument)
    } else {
        text::mask_whole_value(argument).unwrap_or_else(|| text::mask_text(argument))
    };
    if argument.contains(char::is_whitespace) {
        // A command line within the command line, as for `sh -c`: its options are its own.
        mask_words(&inner)
    } else {
        words.next(&inner)
    }
}

/// Whether the argument after this one is a script or a list of assignments, not one value.
fn takes_a_script(argument: &str) -> bool {
    let is_short = argument.len() <= 5 && !argument.starts_with("--");
    matches!(argument, "--command" | "--extra-vars" | "eval")
        || (is_short && argument.starts_with('-') && argument.ends_with('c'))
}

/// Hides what options of commands within one text say.
fn mask_words(text: &str) -> String {
    let mut words = Words::default();
    let mut masked = String::with_capacity(text.len());
    let mut open_quote = None;
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end_matches(char::is_whitespace);
        let space = &piece[word.len()..];
        if let Some(quote) = open_quote {
            if word.contains(quote) {
                open_quote = None;
                masked.push_str(space);
            }
            continue;
        }
        if words.awaits_value() && !is_option(word) {
            open_quote = word
                .chars()
                .next()
                .filter(|c| matches!(c, '"' | '\'') && word.matches(*c).count() % 2 == 1);
        }
        masked.push_str(&words.next(word));
        if open_quote.is_none() {
            masked.push_str(space);
        }
        if word.ends_with([';', '|', '&']) {
            words = Words::default();
        }
    }
    masked
}

/// Whether the word behind an option is an option itself rather than that one's value. One dash may
/// also begin a long secret, two hardly do.
fn is_option(word: &str) -> bool {
    word.starts_with("--") || (word.starts_with('-') && word.len() <= 8)
}

/// Goes through the words of a command and knows what the next one means.
#[derive(Default)]
struct Words {
    tool: Option<&'static Tool>,
    next_is: Option<Form>,
}

impl Words {
    fn awaits_value(&self) -> bool {
        self.next_is.is_some()
    }

    /// The word hidden, if the option before it says that it is a secret.
    fn hide_as_value(&mut self, word: &str) -> Option<String> {
        let form = self.next_is.take()?;
        (!is_option(word)).then(|| form.hide(word))
    }

    fn next(&mut self, word: &str) -> String {
        if let Some(hidden) = self.hide_as_value(word) {
            return hidden;
        }
        let bare = word.trim_matches(['"', '\'']);
        if let Some(tool) = Tool::of(bare, self.tool) {
            self.tool = Some(tool);
            return word.to_owned();
        }
        if let Some(option) = bare.strip_prefix('-') {
            if let Some(hidden) = self.short_option(bare) {
                return hidden;
            }
            let name = option.trim_start_matches('-');
            if name.len() > 1 && !name.contains(['=', ':']) && names::is_secret_option(name) {
                self.next_is = Some(Form::Whole);
            }
        }
        word.to_owned()
    }

    fn short_option(&mut self, word: &str) -> Option<String> {
        let option = self.tool?.option(word)?;
        let value = &word[option.flag.len()..];
        if value.is_empty() {
            self.next_is = option.separate.then_some(option.form);
            return None;
        }
        let value = value.strip_prefix('=').unwrap_or(value);
        let start = &word[..word.len() - value.len()];
        Some(format!("{start}{}", option.form.hide(value)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HIDDEN_IN: &[(&[&str], &[&str])] = &[
        (&["x", "--password=hunter2"], &["x", "--password=***"]),
        (&["x", "--password=a b c"], &["x", "--password=***"]),
        (
            &["x", "--db-password", "hunter2", "f"],
            &["x", "--db-password", "***", "f"],
        ),
        (&["x", "-token", "abc"], &["x", "-token", "***"]),
        (&["x", "--api_key=abc"], &["x", "--api_key=***"]),
        (&["x", "--apikey", "abc"], &["x", "--apikey", "***"]),
        (&["x", "--client-secret=abc"], &["x", "--client-secret=***"]),
        (
            &["mysql", "-uroot", "-phunter2", "db"],
            &["mysql", "-uroot", "-p***", "db"],
        ),
        (
            &["sudo", "/usr/bin/mysqldump", "-phunter2"],
            &["sudo", "/usr/bin/mysqldump", "-p***"],
        ),
        (
            &["sshpass", "-p", "hunter2", "ssh", "h"],
            &["sshpass", "-p", "***", "ssh", "h"],
        ),
        (
            &["curl", "-u", "bob:hunter2", "http://h/"],
            &["curl", "-u", "bob:***", "http://h/"],
        ),
        (
            &["curl", "--user", "bob:hunter2"],
            &["curl", "--user", "bob:***"],
        ),
        (
            &["docker", "login", "-p", "hunter2"],
            &["docker", "login", "-p", "***"],
        ),
        (&["redis-cli", "-a", "hunter2"], &["redis-cli", "-a", "***"]),
        (
            &["git", "clone", "https://bob:hunter2@h/x"],
            &["git", "clone", "https://bob:***@h/x"],
        ),
        (
            &["curl", "-H", "Authorization: Basic aGV5"],
            &["curl", "-H", "Authorization: ***"],
        ),
        (
            &["curl", "-H", "X: Bearer aGV5"],
            &["curl", "-H", "X: Bearer ***"],
        ),
        (
            &["curl", "-HX-Api-Key: aGV5"],
            &["curl", "-HX-Api-Key: ***"],
        ),
        (
            &["env", "DB_PASSWORD=hunter2", "make"],
            &["env", "DB_PASSWORD=***", "make"],
        ),
        (&["env", "PGPASSWORD=hunter 2"], &["env", "PGPASSWORD=***"]),
        (
            &["x", "AWS_SECRET_ACCESS_KEY=abc"],
            &["x", "AWS_SECRET_ACCESS_KEY=***"],
        ),
        (&["x", "DEPLOY_KEY=abc"], &["x", "DEPLOY_KEY=***"]),
        (
            &["x", "http://h/?token=abc&page=2"],
            &["x", "http://h/?token=***&page=2"],
        ),
        (
            &["x", "-d", r#"{"user":"a","password":"b c"}"#],
            &["x", "-d", r#"{"user":"a","password":"***"}"#],
        ),
        (
            &["openssl", "-passin", "pass:hunter2"],
            &["openssl", "-passin", "***"],
        ),
        (
            &["sh", "-c", "mysql -phunter2 db"],
            &["sh", "-c", "mysql -p*** db"],
        ),
        (
            &["sh", "-c", "TOKEN=abc make all"],
            &["sh", "-c", "TOKEN=*** make all"],
        ),
        (
            &["bash", "-lc", "x --password 'a b' f"],
            &["bash", "-lc", "x --password *** f"],
        ),
        (
            &["sh", "-c", "PASSWORD=\"a b\" make"],
            &["sh", "-c", "PASSWORD=\"***\" make"],
        ),
        (
            &["ansible", "--extra-vars", "db_password=a port=1"],
            &["ansible", "--extra-vars", "db_password=*** port=1"],
        ),
        (
            &["env", "AWS_ACCESS_KEY_ID=AKIA0123456789ABCDEF", "aws"],
            &["env", "AWS_ACCESS_KEY_ID=***", "aws"],
        ),
        (
            &["x", "--id", "AKIA0123456789ABCDEF"],
            &["x", "--id", "***"],
        ),
        (
            &["x", "ghp_0123456789abcdef0123456789abcdef"],
            &["x", "***"],
        ),
    ];

    fn masked(argv: &[&str]) -> Vec<String> {
        let mut argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        mask(&mut argv);
        argv
    }

    #[test]
    fn secrets_are_hidden_where_programs_take_them() {
        for (argv, expected) in HIDDEN_IN {
            assert_eq!(masked(argv), *expected, "{argv:?}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let table: &[&[&str]] = &[
            &["vim", "/etc/nginx/nginx.conf"],
            &["x", "--password-file=/run/p", "--token-file", "/run/t"],
            &["x", "--ask-pass", "host"],
            &["x", "--password", "--verbose"],
            &["ssh", "-p", "2222", "git@host"],
            &["docker", "run", "-p", "80:80", "nginx"],
            &["mkdir", "-p", "/etc/x"],
            &["mysql", "-p", "db"],
            &["env", "PWD=/root", "MONKEY=1", "PATH=/bin"],
            &["git", "clone", "ssh://git@host/x"],
            &["curl", "http://host:8080/a:b@c"],
            &["sort", "--key", "2"],
            &["sh", "-c", "echo passwords: are kept; ls -l"],
            &["kubectl", "get", "secret", "web"],
            &[""],
        ];
        for argv in table {
            assert_eq!(masked(argv), *argv);
        }
    }

    proptest! {
        #[test]
        fn no_command_line_makes_it_panic(argv in prop::collection::vec("(\\PC|[ =:'\"@/&;-]|--password|token|mysql|curl|-p|-u|Bearer |://){0,12}", 0..6)) {
            let mut masked = argv.clone();
            mask(&mut masked);
            prop_assert_eq!(masked.len(), argv.len());
        }

        #[test]
        fn a_secret_given_to_an_option_is_never_kept(secret in "Q[!-~]{6,30}Q", name in "(--password|--token|--secret|--api-key|API_TOKEN|PASSWORD)") {
            let mut argv = vec!["x".to_owned(), format!("{name}={secret}")];
            mask(&mut argv);
            prop_assert!(!argv[1].contains(&secret), "{:?}", argv);
            if name.starts_with('-') {
                let mut argv = vec!["x".to_owned(), name, secret.clone()];
                mask(&mut argv);
                prop_assert!(!argv[2].contains(&secret), "{:?}", argv);
            }
        }
    }
}
