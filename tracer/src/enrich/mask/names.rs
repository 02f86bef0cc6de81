//! Which names promise that a secret follows.

/// Endings of names of secrets, whatever stands before them (`dbPassword`, `GITHUB_TOKEN`).
const ENDINGS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "credentials",
    "credential",
    "passcode",
];

/// Last words of names that are secrets only as words of their own.
const WORDS: [&str; 3] = ["pass", "pwd", "pw"];

/// What makes a key a secret one; a mere `--key` mostly names a file or a column.
const KEYS: [&str; 9] = [
    "api",
    "access",
    "secret",
    "private",
    "auth",
    "encryption",
    "master",
    "account",
    "signing",
];

/// Names of headers whose whole line is secret.
const HEADERS: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
];

/// Whether the value of a variable, a field or an option of this name is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.trim_matches(['-', '.', '_']);
    let lower = name
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .to_ascii_lowercase();
    // The shell's own variables for the working directory.
    if matches!(lower.as_str(), "pwd" | "oldpwd") {
        return false;
    }
    if ENDINGS.iter().any(|ending| lower.ends_with(ending)) {
        return true;
    }
    let mut words = lower.rsplit(['-', '_', '.']);
    let last = words.next().unwrap_or_default();
    if WORDS.contains(&last) {
        return true;
    }
    let Some(before) = last.strip_suffix("key") else {
        return false;
    };
    let qualifier = if before.is_empty() {
        words.next().unwrap_or_default()
    } else {
        before
    };
    let is_upper = !name.contains(|c: char| c.is_ascii_lowercase());
    KEYS.contains(&qualifier) || (before.is_empty() && is_upper)
}

/// Whether an option of this name takes a secret as the next argument.
pub(super) fn is_secret_option(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let asks = ["ask", "no-", "prompt", "without-", "show-"]
        .iter()
        .any(|start| lower.starts_with(start));
    !asks && (is_secret(name) || matches!(lower.as_str(), "passin" | "passout"))
}

/// Whether a header of this name is secret as a whole.
pub(super) fn is_secret_header(name: &str) -> bool {
    // `-HCookie: …` is curl's short form.
    let name = name.trim_start_matches('-');
    HEADERS.iter().any(|header| {
        name.eq_ignore_ascii_case(header)
            || name
                .strip_prefix('H')
                .is_some_and(|name| name.eq_ignore_ascii_case(header))
    })
}
