//! `tracer facts`: what there is on this host now.

use change::Kind;
use change::wire::{FactBody, Page};
use clap::Args;

use super::{Context, Error, Exit};
use crate::client::Request;
use crate::output;

/// How many facts are asked for at once.
const PAGE: u32 = 1000;

/// List what there is on this host now, and since when: files, packages, sysctls
#[derive(Debug, Args)]
pub(super) struct FactsArgs {
    /// List only facts of this kind, such as package
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
}

impl FactsArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { kind } = self;
        let client = context.client()?;
        let (mut cursor, mut is_empty) = (None::<String>, true);
        loop {
            let request = Request::new("/v1/facts")
                .text("n", Some(PAGE))
                .text("kind", kind)
                .text("cursor", cursor.as_deref());
            let page: Page<FactBody> = client.get(&request)?;
            for item in &page.items {
                is_empty = false;
                context.output.answer(item, output::fact_line)?;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        if is_empty {
            return context.nothing("nothing of that kind is known");
        }
        Ok(Exit::Found)
    }
}
