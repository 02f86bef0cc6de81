//! Blame: each line of a file with the change that brought it.

use change::wire::{BlameBody, BlameLine};

use super::escape::escape_line;
use super::{View, actor};

const BEFORE: &str = "before tracing began";

/// `seq user date lineno) text`, in columns.
pub fn blame(body: &BlameBody, view: &View) -> String {
    let origins: Vec<_> = body.lines.iter().map(|line| origin(line, view)).collect();
    let width =
        |column: fn(&(String, String)) -> usize| origins.iter().map(column).max().unwrap_or(0);
    let seqs = width(|(seq, _)| seq.chars().count());
    let words = width(|(_, words)| words.chars().count());
    let numbers = body.lines.len().to_string().len();
    let lines = body
        .lines
        .iter()
        .zip(&origins)
        .map(|(line, (seq, origin))| {
            let seq = view.yellow(&format!("{seq:>seqs$}"));
            let origin = view.dim(&format!("{origin:<words$}"));
            let text = escape_line(&line.text);
            format!("{seq} {origin} {:>numbers$}) {text}", line.line)
                .trim_end()
                .to_owned()
        });
    lines.collect::<Vec<_>>().join("\n")
}

fn origin(line: &BlameLine, view: &View) -> (String, String) {
    let BlameLine {
        line: _,
        text: _,
        seq,
        time,
        user,
    } = line;
    let Some(seq) = seq else {
        return (String::new(), BEFORE.to_owned());
    };
    let user = user.as_ref().map_or_else(|| "?".to_owned(), actor::user);
    let date = time.map_or_else(String::new, |time| when::local(time, &view.now));
    (seq.to_string(), format!("{user} {date}"))
}

#[cfg(test)]
mod tests {
    use change::Subject;

    use super::super::fixture::{at, user, view};
    use super::*;

    #[test]
    fn every_line_has_its_origin() {
        let line = |line, text: &str, seq| BlameLine {
            line,
            text: text.to_owned(),
            seq,
            time: seq.map(|_| at("14:02")),
            user: seq.filter(|seq| *seq != 7).map(|_| user(1000, "alice")),
        };
        let lines = vec![
            line(1, "events {", None),
            line(2, "\tx\x1b", Some(1234)),
            line(3, "}", Some(7)),
        ];
        let body = BlameBody {
            subject: Subject::file("/etc/a"),
            lines,
        };
        insta::assert_snapshot!(blame(&body, &view()), @r"
             before tracing began      1) events {
        1234 alice 2026-11-21 14:02:00 2) 	x\u{1b}
           7 ? 2026-11-21 14:02:00     3) }
        ");
    }
}
