//! A terminal in which somebody types.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tests::wait_for;

use crate::stage::{alices_shell, daemon, succeed};

/// Holds a terminal of tmux, which is closed when dropped.
pub(crate) struct Terminal {
    name: String,
}

impl Terminal {
    /// A terminal in which alice has logged in over ssh.
    pub(crate) fn of_alice() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        daemon();
        let name = format!("alice-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let terminal = Self { name };
        let size = ["-x", "100", "-y", "30"];
        let mut start = tmux(&["new-session", "-d", "-s", &terminal.name]);
        succeed(start.args(size).arg(alices_shell()));
        terminal.shows("alice@debian");
        terminal
    }

    /// Types keys by their names, and anything else as it is.
    pub(crate) fn types(&self, keys: &[&str]) {
        succeed(tmux(&["send-keys", "-t", &self.name]).args(keys));
    }

    /// Waits until a text is on the screen.
    pub(crate) fn shows(&self, text: &str) {
        wait_for(&format!("`{text}` is on the screen"), || {
            let screen = self.screen();
            screen.contains(text).then_some(()).ok_or(screen)
        });
    }

    /// Waits until the shell asks for the next command: what is typed before that, it may throw away.
    pub(crate) fn prompts(&self, prompt: &str) {
        wait_for(&format!("`{prompt}` is the last line"), || {
            let screen = self.screen();
            let asks = screen.trim_end().lines().last() == Some(prompt);
            asks.then_some(()).ok_or(screen)
        });
    }

    fn screen(&self) -> String {
        succeed(&mut tmux(&["capture-pane", "-p", "-t", &self.name]))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(tmux(&["kill-session", "-t", &self.name]).output());
    }
}

fn tmux(arguments: &[&str]) -> Command {
    let mut tmux = Command::new("tmux");
    tmux.args(arguments)
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm");
    tmux
}
