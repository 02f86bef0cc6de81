//! Which of two versions of a package is the newer one, by the rules of who made them.
//!
//! The managers' rules agree on most: numbers count as numbers, words as words, and what is longer
//! is newer, but for what comes before a release. So each version is written as Debian's, whose `~`
//! says exactly that.

use std::cmp::Ordering;

use debversion::Version;

use super::Manager;

/// A version to compare with others of the same manager; none where it is none.
pub(super) fn of(manager: Manager, text: &str) -> Option<Version> {
    let text = match manager {
        Manager::Dpkg => text.to_owned(),
        // `~` is before and `^` behind a release, and a word is older than a number, whatever parts it from what is before
        // (rpm-version(7)).
        Manager::Rpm => {
            let text = before_release(text, |_, parted| parted.then_some(""));
            plain(text.replace('^', "+"), "~-:")
        }
        // The same, but a word right behind a number is before the release (vercmp(8)).
        Manager::Pacman => {
            let mark = |_: &str, parted| Some(if parted { "" } else { "~" });
            plain(before_release(text, mark), "~-:")
        }
        // Semantic Versioning: what follows a hyphen is before a release.
        Manager::Npm => plain(text.replacen('-', "~", 1), "~"),
        Manager::Apk => plain(before_release(text, apk_mark), "~-"),
        Manager::Pip => {
            let text = text.to_ascii_lowercase().replacen('!', ":", 1);
            plain(before_release(&text, pip_mark), "~:")
        }
        // Any word in a version of a gem is before its release.
        Manager::Gem => plain(before_release(text, |_, _| Some("~")), "~"),
    };
    text.parse().ok()
}

/// Puts the newest first; what are no versions come by their text.
pub(super) fn newest_first(manager: Manager, one: &str, other: &str) -> Ordering {
    match (of(manager, one), of(manager, other)) {
        (Some(one), Some(other)) => other.cmp(&one),
        _ => other.cmp(one),
    }
}

fn apk_mark(word: &str, _: bool) -> Option<&'static str> {
    ["alpha", "beta", "pre", "rc"]
        .contains(&word)
        .then_some("~")
}

fn pip_mark(word: &str, _: bool) -> Option<&'static str> {
    match word {
        // A build from before the alphas.
        "dev" => Some("~~"),
        "a" | "alpha" | "b" | "beta" | "c" | "rc" | "pre" | "preview" => Some("~"),
        // Made anew after the release, and before the next one.
        "post" | "rev" | "r" => Some("+"),
        _ => None,
    }
}

/// Puts a mark before the words that say that a release is still to come, in place of what parts
/// them from it: whether something does is told, too.
fn before_release(text: &str, mark: impl Fn(&str, bool) -> Option<&'static str>) -> String {
    let mut written = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = first.is_ascii_alphabetic();
        let end = rest.find(|c: char| c.is_ascii_alphabetic() != is_word);
        let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let is_parted = !written.ends_with(|c: char| c.is_ascii_digit());
        let mark = (is_word && !written.is_empty()).then(|| mark(part, is_parted));
        if let Some(mark) = mark.flatten() {
            let parting: &[char] = if mark.is_empty() {
                &['.', '_']
            } else {
                &['.', '_', '-']
            };
            written.truncate(written.trim_end_matches(parting).len());
            written.push_str(mark);
        }
        written.push_str(part);
        rest = behind;
    }
    written
}

/// With nothing in it but what may be in a version of Debian's, of the marks only some.
fn plain(text: impl AsRef<str>, marks: &str) -> String {
    let one = |c: char| match c {
        c if c.is_ascii_alphanumeric() || marks.contains(c) || c == '+' => c,
        '_' => '+',
        _ => '.',
    };
    text.as_ref().chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::ALL;
    use super::*;

    /// Each row is in the order of its versions.
    #[test]
    fn versions_are_compared_as_their_makers_do() {
        let rows = [
            (Manager::Dpkg, "1.0~rc1 1.0 2.36-8 2.36-9 2.36-10 1:1.0"),
            (
                Manager::Rpm,
                "1.0~rc1-1 1.0-1 1.0^git1-1 1.0.1-1 1.10-1 2:0.1-1",
            ),
            (
                Manager::Rpm,
                "5.2-9 5.2a-1 5.2.15-1.fc38 5.2.15-1.1.fc38 5.2.15-3.fc38 5.2.15-10.fc38 5.2.21-1.fc39",
            ),
            (
                Manager::Pacman,
                "1.2a-1 1.2rc1-1 1.2-1 1.2.a-1 1.2.1-1 1.10-1 1.10-2 1:0.9-1",
            ),
            (
                Manager::Apk,
                "1.2_alpha1-r0 1.2_rc1-r0 1.2-r0 1.2-r1 1.2-r10 1.2.1-r0",
            ),
            (Manager::Apk, "1.2_rc3-r0 1.2-r9 1.2_p1-r0"),
            (
                Manager::Pip,
                "1.0.dev4 1.0a1.dev1 1.0a1 1.0b2 1.0rc1 1.0 1.0.post1 1.0.1 1.10 1!0.1",
            ),
            (
                Manager::Npm,
                "1.0.0-alpha.1 1.0.0-alpha.2 1.0.0-beta 1.0.0-rc.1 1.0.0 1.2.0 1.10.0",
            ),
            (Manager::Gem, "2.0.0.beta1 2.0.0.pre 2.0.0 2.0.1 2.10"),
        ];
        for (manager, versions) in rows {
            let versions: Vec<&str> = versions.split(' ').collect();
            let parsed: Vec<_> = versions.iter().map(|text| of(manager, text)).collect();
            for (pair, texts) in parsed.windows(2).zip(versions.windows(2)) {
                assert!(
                    pair[0].is_some() && pair[0] < pair[1],
                    "{manager:?}: {texts:?}"
                );
                assert_eq!(newest_first(manager, texts[0], texts[1]), Ordering::Greater);
            }
        }
    }

    #[test]
    fn what_is_no_version_is_none_and_compared_as_text() {
        assert_eq!(of(Manager::Dpkg, "not a version"), None);
        for text in [
            "",
            "\u{0}",
            "\u{fffd}é",
            "--",
            ":::",
            "99999999999999999999:1",
            "~",
        ] {
            for manager in ALL {
                // Whatever it is, it is compared with itself.
                assert_eq!(newest_first(manager, text, text), Ordering::Equal, "{text}");
            }
        }
        assert_eq!(newest_first(Manager::Dpkg, "a b", "b c"), Ordering::Greater);
    }
}
