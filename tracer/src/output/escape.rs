//! Makes text from the host safe for a terminal: files, names and command lines are anybody's.

use change::Text;

/// Escapes what a terminal would obey.
pub fn escape_text(text: &str) -> String {
    Text::from(text).to_string()
}

/// Escapes one line of content: tabs stay, anything else that a terminal would obey does not.
pub(super) fn escape_line(line: &str) -> String {
    line.split('\t')
        .map(escape_text)
        .collect::<Vec<_>>()
        .join("\t")
}

/// Escapes content line by line.
pub fn escape_lines(content: &[u8]) -> String {
    let lines = content.split(|&byte| byte == b'\n');
    let parts = |line: &[u8]| {
        let tabbed = line.split(|&byte| byte == b'\t');
        tabbed
            .map(|part| Text::from(part).to_string())
            .collect::<Vec<_>>()
            .join("\t")
    };
    lines.map(parts).collect::<Vec<_>>().join("\n")
}

/// One argument of a command line, quoted as a shell would need it.
pub fn argument(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "%+,-./:=@_^[]~".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", escape_text(argument).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        assert_eq!(escape_line("a\tb\x1b[2Jc\r"), "a\tb\\u{1b}[2Jc\\r");
        assert_eq!(escape_lines(b"a\n\xff\t\x07\n"), "a\n\\xff\t\\u{7}\n");
        assert_eq!(argument("a b'c\n"), r"'a b'\''c\n'");
        assert_eq!(
            (argument(""), argument("/a-b_c.d=e")),
            ("''".to_owned(), "/a-b_c.d=e".to_owned())
        );
    }
}
