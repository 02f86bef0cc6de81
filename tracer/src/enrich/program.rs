//! A program as the process table keeps it: names cleaned, secrets masked, length bounded.

use super::mask;
use crate::observed;

/// How many bytes of a command line are kept.
pub(super) const MAX_ARGV_BYTES: usize = 4096;

/// How many words of a command line are kept: each takes more memory than its letters.
pub(super) const MAX_WORDS: usize = 512;

/// What the kernel appends to the path of an executable whose file was replaced, as an upgrade of
/// its package does: <https://github.com/torvalds/linux/blob/v6.12/fs/d_path.c> (`d_path`).
const DELETED: &str = " (deleted)";

/// The program that a process runs, safe to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MaskedProgram {
    pub(super) exe: Option<String>,
    pub(super) argv: Vec<String>,
    pub(super) argv_truncated: bool,
    pub(super) cwd: Option<String>,
}

impl MaskedProgram {
    /// Takes over what was seen, with at most `max_argv_bytes` of its command line.
    pub(super) fn new(seen: &observed::Program, max_argv_bytes: usize) -> Self {
        let observed::Program {
            exe,
            argv,
            argv_truncated,
            cwd,
            process_group: _,
        } = seen;
        let mut argv: Vec<String> = argv.iter().map(change::Text::to_lossy).collect();
        // Masked first: a cut would part a secret from what tells that it is one.
        mask::mask(&mut argv);
        let is_cut = truncate(&mut argv, max_argv_bytes);
        Self {
            exe: exe.as_ref().map(|exe| without_deleted(exe.to_lossy())),
            argv,
            argv_truncated: *argv_truncated || is_cut,
            cwd: cwd.as_ref().map(|cwd| without_deleted(cwd.to_lossy())),
        }
    }

    /// The file name of the executable.
    pub(super) fn name(&self) -> &str {
        let exe = self.exe.as_deref().unwrap_or_default();
        exe.rsplit('/').next().unwrap_or(exe)
    }

    /// What it takes up in memory, about.
    pub(super) fn size_bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        size_of::<Self>() + text(&self.exe) + text(&self.cwd) + change::words_bytes(&self.argv)
    }
}

fn without_deleted(mut path: String) -> String {
    if path.len() > DELETED.len() && path.ends_with(DELETED) {
        path.truncate(path.len() - DELETED.len());
    }
    path
}

/// Cuts a command line to `max_bytes`, counted with one byte between the words, and [`MAX_WORDS`]; tells
/// if it did.
pub(super) fn truncate(argv: &mut Vec<String>, max_bytes: usize) -> bool {
    let mut left = max_bytes;
    let is_long = argv.len() > MAX_WORDS;
    argv.truncate(MAX_WORDS);
    for (index, word) in argv.iter_mut().enumerate() {
        if word.len() > left {
            word.truncate(word.floor_char_boundary(left));
            argv.truncate(index + 1);
            return true;
        }
        left = left.saturating_sub(word.len() + 1);
        word.shrink_to_fit();
    }
    argv.shrink_to_fit();
    is_long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_line_is_cut_and_says_so() {
        let seen = observed::Program {
            argv: vec!["x".into(), "é".repeat(4000).as_str().into(), "y".into()],
            ..observed::Program::default()
        };
        let program = MaskedProgram::new(&seen, MAX_ARGV_BYTES);
        assert!(program.argv_truncated);
        assert_eq!(program.argv.len(), 2);
        assert_eq!(program.argv[1].len(), MAX_ARGV_BYTES - 2);
    }

    #[test]
    fn a_command_line_of_many_short_words_is_cut_and_takes_little() {
        let seen = observed::Program {
            argv: vec!["x".into(); 2048],
            ..observed::Program::default()
        };
        let program = MaskedProgram::new(&seen, MAX_ARGV_BYTES);
        assert!(program.argv_truncated);
        assert_eq!(program.argv.len(), MAX_WORDS);
        assert!(program.size_bytes() < 32 * 1024);
    }

    #[test]
    fn a_secret_across_the_cut_is_hidden() {
        let seen = observed::Program {
            argv: vec!["--password".into(), "hunter2".into()],
            ..observed::Program::default()
        };
        let program = MaskedProgram::new(&seen, 13);
        assert_eq!(program.argv, ["--password", "**"]);
    }

    #[test]
    fn a_replaced_executable_keeps_its_name() {
        let seen = observed::Program {
            exe: Some("/usr/sbin/sshd (deleted)".into()),
            ..observed::Program::default()
        };
        let program = MaskedProgram::new(&seen, MAX_ARGV_BYTES);
        assert_eq!(program.exe.as_deref(), Some("/usr/sbin/sshd"));
        assert_eq!(program.name(), "sshd");
    }
}
