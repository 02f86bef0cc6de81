//! Folds the changes of one run to a line of the log: an upgrade of forty packages is one thing that
//! happened.

use std::collections::HashMap;

use change::Change;
use change::wire::RunBody;

use super::{Context, Error};
use crate::client::{self, Client, Request};
use crate::command::Command;
use crate::output;

/// From so many changes on a run stands for them.
const MANY: u64 = 5;

/// Prints changes, and runs in the place of theirs.
pub(super) struct Folding<'a> {
    client: &'a Client,
    pub(super) is_wanted: bool,
    /// The runs that were met, and what stands for their changes.
    met: HashMap<u64, Fold>,
    told: Vec<u64>,
}

/// What stands for the changes of a run.
#[derive(Clone, Copy)]
enum Fold {
    /// They themselves.
    Nothing,
    /// This run.
    Run(u64),
}

impl<'a> Folding<'a> {
    pub(super) fn new(client: &'a Client, is_wanted: bool) -> Self {
        Self {
            client,
            is_wanted,
            met: HashMap::new(),
            told: Vec::new(),
        }
    }

    /// Prints changes in their order, at most `limit` lines, and tells how many it were.
    pub(super) fn print(
        &mut self,
        changes: &[Change],
        limit: u64,
        context: &Context,
    ) -> Result<u64, Error> {
        let mut lines = 0;
        for change in changes {
            if lines >= limit {
                break;
            }
            match self.fold(change)? {
                Fold::Nothing => context.output.answer(change, output::log_line)?,
                Fold::Run(run) if self.told.contains(&run) => continue,
                Fold::Run(run) => self.tell(run, change, context)?,
            }
            lines += 1;
        }
        Ok(lines)
    }

    /// Prints the run that stands for a change and those that follow.
    fn tell(&mut self, run: u64, newest: &Change, context: &Context) -> Result<(), Error> {
        self.told.push(run);
        if let Some(body) = self.body(run)? {
            let line = output::folded(&body, newest, &context.output.view);
            context.output.text(&line)?;
        }
        Ok(())
    }

    fn fold(&mut self, change: &Change) -> Result<Fold, Error> {
        let Some(run) = change.run.filter(|_| self.is_wanted) else {
            return Ok(Fold::Nothing);
        };
        if let Some(known) = self.met.get(&run) {
            return Ok(*known);
        }
        let fold = self.outermost(run)?;
        self.met.insert(run, fold);
        Ok(fold)
    }

    /// The outermost run around that did one thing, if it changed much: not a shell to type in, in
    /// which somebody did many things.
    fn outermost(&self, run: u64) -> Result<Fold, Error> {
        let mut fold = Fold::Nothing;
        let mut next = Some(run);
        while let Some(id) = next {
            let Some(body) = self.body(id)?.filter(|body| !is_interactive(body)) else {
                break;
            };
            let count: u64 = body.summary.iter().map(|part| part.count).sum();
            if count >= MANY {
                fold = Fold::Run(id);
            }
            next = body.run.parent;
        }
        Ok(fold)
    }

    fn body(&self, run: u64) -> Result<Option<RunBody>, client::Error> {
        self.client.find(&Request::new(&format!("/v1/runs/{run}")))
    }
}

/// Whether somebody typed more commands in it.
fn is_interactive(body: &RunBody) -> bool {
    let process = &body.run.actor.process;
    let own = Command {
        exe: process.exe.as_deref(),
        argv: &process.argv,
    };
    let tool = [body.run.tool.clone()];
    let tool = Command {
        exe: None,
        argv: &tool,
    };
    let leads_to_shell = tool.is_shell_to_type_in() && own.is_wrapper();
    own.is_shell_to_type_in() || tool.is_door() || leads_to_shell
}
