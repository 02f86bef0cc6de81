//! How a command ends: exit codes, and errors that fit on one line.

use std::io;
use std::process::ExitCode;

use crate::{client, config, push, store};

/// Says how a command ended. The numbers are part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Found, or done.
    Found = 0,
    /// Nothing was found.
    Nothing = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The daemon cannot be reached.
    Unreachable = 3,
    /// Anything else.
    Failed = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Says why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The daemon gave no answer.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// There is no configuration to work with.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The store cannot be read or copied.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Something with the collector did not work.
    #[error(transparent)]
    Collector(#[from] push::Error),
    /// The answer cannot be printed.
    #[error("print the answer: {0}")]
    Print(#[from] io::Error),
    /// The daemon ended with an error.
    #[error("{0:#}")]
    Daemon(anyhow::Error),
    /// A stream that should go on ended.
    #[error("follow changes: the daemon has stopped; start it again with `sudo tracer run`")]
    StreamEnded,
}

impl Error {
    /// Whether there is nothing to tell: the reader has gone, as `head` does.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The exit code for it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            _ if self.is_quiet() => Exit::Found,
            Self::Usage(_) => Exit::Usage,
            Self::Client(client::Error::Unreachable { .. }) | Self::StreamEnded => {
                Exit::Unreachable
            }
            Self::Client(client::Error::Refused(problem)) if problem.status == 400 => Exit::Usage,
            Self::Client(_)
            | Self::Config(_)
            | Self::Store(_)
            | Self::Collector(_)
            | Self::Print(_)
            | Self::Daemon(_) => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use change::wire::Problem;

    use super::*;

    #[test]
    fn each_failure_has_its_code() {
        let refused = |status| {
            let problem = Problem {
                kind: String::new(),
                status,
                title: String::new(),
                detail: String::new(),
            };
            Error::from(client::Error::Refused(problem)).exit()
        };
        assert_eq!(
            [refused(400), refused(403), refused(500)],
            [Exit::Usage, Exit::Failed, Exit::Failed]
        );
        let unreachable = client::Error::Unreachable {
            socket: "/x".into(),
            source: io::ErrorKind::NotFound.into(),
        };
        assert_eq!(Error::from(unreachable).exit(), Exit::Unreachable);
        let gone = Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((gone.is_quiet(), gone.exit()), (true, Exit::Found));
    }
}
