//! The line of an expectation: `SUBJECT[PART] TEST [if present] [on LABELS]`, read word by word.

use change::{Kind, Subject};
use globset::Glob;

use super::{Expectation, Order, Test};
use crate::selector::{ParseSelectorError, Selector};

/// Longer lines are no expectations.
const LONGEST: usize = 4096;

/// One word of a line, without the quotes around it.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    /// Which character it begins with, from 1.
    place: usize,
    is_quoted: bool,
}

impl Expectation {
    /// Reads a line, and which hosts it is for.
    pub fn parse(line: &str) -> Result<(Self, Selector), String> {
        if line.len() > LONGEST {
            return Err(format!("an expectation has at most {LONGEST} bytes"));
        }
        let words = words(line)?;
        let mut words = words.iter();
        let subject = words
            .next()
            .ok_or("it is empty; write `SUBJECT TEST on LABELS`")?;
        let (subject, attribute) = read_subject(subject)?;
        let mut expectation = Self {
            subject,
            attribute,
            test: Test::Present,
            if_present: false,
            written: String::new(),
        };
        let mut written = Vec::new();
        expectation.test = read_test(&expectation, &mut words, &mut written)?;
        let mut selector = Selector::default();
        let mut is_on = false;
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "if" if words.next().is_some_and(|next| next.text == "present") => {
                    expectation.if_present = true;
                    written.extend(["if", "present"]);
                }
                "on" if !is_on => {
                    let labels = words.next().ok_or("labels are missing behind `on`")?;
                    let read = labels.text.parse();
                    selector = read.map_err(|error: ParseSelectorError| error.to_string())?;
                    is_on = true;
                }
                "or" | "and" => {
                    let what = "write an expectation for each test, or a range as `in A..B`";
                    return Err(format!("`{}` joins nothing; {what}", word.text));
                }
                text => {
                    let place = word.place;
                    let what = "`if present`, `on LABELS` or the end is expected";
                    return Err(format!("`{text}` (character {place}): {what}"));
                }
            }
        }
        expectation.written = written.join(" ");
        expectation.check()?;
        Ok((expectation, selector))
    }

    /// Refuses what can be read and means nothing.
    fn check(&self) -> Result<(), String> {
        let Self {
            subject,
            attribute,
            test,
            if_present,
            ..
        } = self;
        let asks_value = !matches!(test, Test::Present | Test::Absent);
        if *if_present && !asks_value {
            return Err("`if present` goes with a test of the value".to_owned());
        }
        let example = match subject.kind {
            Kind::Service | Kind::Job => "active",
            Kind::Mount => "options",
            Kind::Account => "uid",
            Kind::Kernel | Kind::Firmware => "version",
            _ => return Ok(()),
        };
        if asks_value && attribute.is_none() {
            return Err(format!(
                "the value of a {} has several parts; say which, as `{subject}[{example}]`",
                subject.kind
            ));
        }
        Ok(())
    }
}

/// The subject, and the part of it in brackets.
fn read_subject(
    Word {
        text, is_quoted, ..
    }: &Word,
) -> Result<(Subject, Option<String>), String> {
    let (name, part) = match text
        .strip_suffix(']')
        .and_then(|text| text.rsplit_once('['))
    {
        Some((name, part)) if !part.is_empty() && !is_quoted => (name, Some(part.to_owned())),
        _ => (text.as_str(), None),
    };
    if !is_quoted && name.contains(['*', '?']) {
        return Err(format!(
            "`{name}` names no single subject; a baseline holds many against others. Where the `*` is meant, put \
             quotes around it"
        ));
    }
    let subject = Subject::parse(name.as_bytes()).map_err(|error| error.to_string())?;
    Ok((subject, part))
}

fn read_test<'w>(
    expectation: &Expectation,
    words: &mut impl Iterator<Item = &'w Word>,
    written: &mut Vec<&'w str>,
) -> Result<Test, String> {
    let tests =
        "`==`, `!=`, `<`, `<=`, `>=`, `>`, `in A..B`, `matches GLOB`, `present` or `absent`";
    let no_test = || format!("a test is missing behind the subject: {tests}");
    let test = words.next().ok_or_else(no_test)?;
    written.push(&test.text);
    let mut value = || {
        let word = words.next();
        let word = word.ok_or_else(|| format!("a value is missing behind `{}`", test.text))?;
        written.push(&word.text);
        Ok::<&str, String>(&word.text)
    };
    let order = |order, value: &str| Ok(Test::Order(order, expectation.bound(value)?));
    match test.text.as_str() {
        "present" => Ok(Test::Present),
        "absent" => Ok(Test::Absent),
        "==" => Ok(Test::Is(value()?.to_owned())),
        "!=" => Ok(Test::IsNot(value()?.to_owned())),
        "<" => order(Order::Below, value()?),
        "<=" => order(Order::AtMost, value()?),
        ">=" => order(Order::AtLeast, value()?),
        ">" => order(Order::Above, value()?),
        "in" => {
            let range = value()?;
            let (least, most) = range.split_once("..").ok_or_else(|| {
                format!("`{range}` is no range; write `in 1..10`, both ends count")
            })?;
            let bounds = [expectation.bound(least)?, expectation.bound(most)?];
            if bounds[0]
                .compare(most)
                .is_some_and(std::cmp::Ordering::is_lt)
            {
                return Err(format!(
                    "nothing lies in `{range}`; the lower end comes first"
                ));
            }
            Ok(Test::Within(bounds))
        }
        "matches" => {
            let glob = Glob::new(value()?).map_err(|error| error.to_string())?;
            Ok(Test::Matches(glob.compile_matcher()))
        }
        other => {
            let place = test.place;
            Err(format!(
                "`{other}` (character {place}) is no test; there are {tests}"
            ))
        }
    }
}

/// The words of a line. What has blanks in it stands in quotes, `"` or `'`.
fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words: Vec<Word> = Vec::new();
    let mut open: Option<(char, usize)> = None;
    let mut is_in_word = false;
    for (place, letter) in (1..).zip(line.chars()) {
        match open {
            Some((quote, _)) if letter == quote => open = None,
            None if letter.is_whitespace() => is_in_word = false,
            None if matches!(letter, '"' | '\'') && !is_in_word => {
                open = Some((letter, place));
                is_in_word = true;
                words.push(Word {
                    text: String::new(),
                    place,
                    is_quoted: true,
                });
            }
            _ => {
                if !is_in_word {
                    is_in_word = true;
                    words.push(Word {
                        text: String::new(),
                        place,
                        is_quoted: false,
                    });
                }
                if let Some(word) = words.last_mut() {
                    word.text.push(letter);
                }
            }
        }
    }
    match open {
        Some((quote, place)) => Err(format!("the `{quote}` at character {place} is not closed")),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_subject_its_part_its_test_and_its_hosts() {
        let line = "service:nginx[active] != failed if present on role=web,env=prod";
        let (read, on) = Expectation::parse(line).unwrap();
        assert_eq!(read.subject, Subject::parse(b"service:nginx").unwrap());
        assert_eq!(read.attribute.as_deref(), Some("active"));
        assert_eq!(
            (read.to_string().as_str(), read.if_present),
            ("!= failed if present", true)
        );
        assert_eq!(on.to_string(), "role=web,env=prod");
        let (read, on) = Expectation::parse("'/etc/a b' present").unwrap();
        assert_eq!(read.subject, Subject::file("/etc/a b"));
        assert_eq!(on.to_string(), "all");
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (line, said) in [
            ("", "it is empty"),
            ("libc6 == 1", "neither an absolute path nor `kind:key`"),
            ("parcel:libc6 == 1", "no kind of subject"),
            ("package:libc6", "a test is missing"),
            ("package:libc6 = 1", "`=` (character 15) is no test"),
            ("package:libc6 ==", "a value is missing behind `==`"),
            ("package:libc6 == 1 role=db", "`role=db` (character 20)"),
            ("package:libc6 == 1 on role", "is no group"),
            ("package:libc6 == 1 or absent", "joins nothing"),
            ("package:libc6 < a_b", "`a_b` is no version"),
            ("sysctl:vm.swappiness in 1-10", "is no range"),
            ("sysctl:vm.swappiness in 10..1", "nothing lies in"),
            ("sysctl:vm.swappiness > many", "`many` is no whole number"),
            ("sysctl:vm.* == 1", "names no single subject"),
            ("service:ssh == active", "as `service:ssh[active]`"),
            ("package:libc6 == \"1", "is not closed"),
            ("package:x matches [", "unclosed character class"),
            ("package:x absent if present", "`if present` goes with"),
        ] {
            let wrong = Expectation::parse(line).unwrap_err();
            assert!(wrong.contains(said), "{line}: {wrong}");
        }
    }
}
