//! Writes the page `docs/cli.md` from the help texts.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::Cli;

const HEAD: &str = "# Command line

<!-- Generated from the help texts: UPDATE_DOCS=1 cargo test -p tracer docs -->
";

/// The page: what `tracer --help` says, then each command's help.
pub fn reference() -> String {
    let mut tracer = Cli::command().term_width(100).disable_help_subcommand(true);
    tracer.build();
    let mut page = HEAD.to_owned();
    section(&mut page, "tracer", &mut tracer.clone());
    for command in tracer.get_subcommands_mut() {
        let name = format!("tracer {}", command.get_name());
        // The options that every command has stand once, at the top.
        let mut own = command.clone().mut_args(|argument| {
            let everywhere = argument.is_global_set() || argument.get_id() == "help";
            argument.hide(everywhere)
        });
        section(&mut page, &name, &mut own);
    }
    page
}

fn section(page: &mut String, name: &str, command: &mut Command) {
    let help = command.render_long_help().to_string();
    let lines: Vec<_> = help.trim().lines().map(str::trim_end).collect();
    writeln!(page, "\n## `{name}`\n\n```text\n{}\n```", lines.join("\n"))
        .expect("writing to a string cannot fail");
}
