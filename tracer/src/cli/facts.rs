//! `tracer facts`: what there is on this host, now or at a moment, and what of it a reboot takes back.

use change::Kind;
use change::wire::{Page, StateBody, VolatileBody};
use clap::Args;

use super::{Context, Error, Exit};
use crate::client::Request;
use crate::output;

/// How many facts are asked for at once.
const PAGE: u32 = 1000;

/// List what there is on this host, now or at a past moment, and since when: files, packages, sysctls and so on
///
/// A past moment is folded from the log. What is known only from later is left out and counted, and gaps in
/// which the moment lies are told.
#[derive(Debug, Args)]
pub(super) struct FactsArgs {
    /// List only facts of this kind, such as package
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// List what there was at this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// List the sysctls that a reboot gives another value, who set them, and where that value is written
    ///
    /// What a boot sets is read from the files of sysctl.d(5), `/etc/sysctl.conf` and the kernel's command
    /// line. A sysctl that is set in none of them is listed if it was seen to change since the boot, and
    /// with the value before that: what the kernel gives it is not known otherwise.
    #[arg(long, conflicts_with_all = ["kind", "at"])]
    volatile: bool,
}

impl FactsArgs {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Error> {
        let Self { kind, at, volatile } = self;
        if volatile {
            return list_volatile(context);
        }
        let at = context.optional_time("--at", at.as_deref())?;
        let client = context.client()?;
        let (mut cursor, mut is_empty, mut unknown) = (None::<String>, true, 0);
        let gaps = loop {
            let request = Request::new("/v1/facts")
                .text("n", Some(PAGE))
                .text("kind", kind)
                .text("at", at)
                .text("cursor", cursor.as_deref());
            let page: StateBody = client.get(&request)?;
            for item in &page.items {
                is_empty = false;
                context.output.answer(item, output::fact_line)?;
            }
            unknown += page.unknown;
            cursor = page.next;
            if cursor.is_none() {
                break page.gaps;
            }
        };
        context.warn_of_gaps(&gaps);
        context.warn_while_comparing(&client)?;
        if unknown != 0 {
            context.note(&output::unknown_facts(unknown));
        }
        if is_empty {
            return context.nothing("nothing of that kind is known");
        }
        Ok(Exit::Found)
    }
}

fn list_volatile(context: &Context) -> Result<Exit, Error> {
    let request = Request::new("/v1/facts").text("volatile", Some(true));
    let page: Page<VolatileBody> = context.client()?.get(&request)?;
    for item in &page.items {
        context.output.answer(item, output::volatile)?;
    }
    if page.items.is_empty() {
        return context.nothing("no sysctl is known to be different after a reboot");
    }
    Ok(Exit::Found)
}
