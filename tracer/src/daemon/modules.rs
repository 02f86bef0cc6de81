//! Kernel modules that come and go: a load is told in steps, by the task that asks for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context as _;
use change::{Note, Op, Text, Timestamp};

use super::pipeline::Pipeline;
use crate::conclude::{Cause, Done};
use crate::enrich::By;
use crate::inventory::{Facts, Source, module_name};
use crate::observed::{ModuleStep, Who};

/// How many loads can be under way at once.
const MOST: usize = 1024;

/// Errors of `init_module(2)` that say that a module was there already, as it is for all but the first of those who load
/// it at once.
const EXISTS: [i32; 2] = [0, 17];

/// Those by which the kernel says no: the file is not for this kernel, or no module (`ENOEXEC`, and `ENOENT` and `EINVAL`
/// for symbols that it lacks); it may not be loaded (`EPERM`, `EACCES`), or its signature does not hold.
const MALFORMED: [i32; 3] = [8, 2, 22];
const REFUSED: [i32; 9] = [1, 13, 61, 65, 74, 126, 127, 128, 129];

/// What the pipeline knows of modules that come and go.
#[derive(Default)]
pub(super) struct ModulesSeen {
    /// Those that came or went, until they are done with it.
    touched: Vec<Touched>,
    /// The loads that are under way, by the thread that asks.
    loading: HashMap<u32, Loading>,
    /// Those that came since the list was read last, each with the file where it was told.
    loaded: BTreeMap<Text, Option<Text>>,
    /// The process that tried in vain last, and what.
    failed: Option<(u32, Text)>,
}

/// A module that came or went, and who made it.
struct Touched {
    time: Timestamp,
    by: Option<By>,
    notes: Vec<Note>,
    name: Text,
}

/// What is known of a load that is under way.
#[derive(Default)]
struct Loading {
    file: Option<Text>,
    name: Option<Text>,
}

impl ModulesSeen {
    /// Whether none is coming or going.
    pub(super) fn is_at_rest(&self) -> bool {
        self.touched.is_empty()
    }
}

impl Pipeline {
    /// Something was done to load or unload a kernel module.
    pub(super) fn module_touched(&mut self, time: Timestamp, who: &Who, step: ModuleStep) {
        let thread = match who {
            Who::Task(task) => task.tid,
            Who::Pid(pid) => *pid,
        };
        let loading = &mut self.modules.loading;
        if loading.len() >= MOST {
            loading.clear();
        }
        match step {
            ModuleStep::Requested { name } => self.enrich.note_request(name, who, time),
            ModuleStep::Read { file } => {
                let name = None;
                loading.insert(thread, Loading { file, name });
            }
            ModuleStep::Loaded { name } => {
                let load = loading.entry(thread).or_default();
                load.name = Some(name.clone());
                let file = load.file.clone();
                self.modules.loaded.insert(name.clone(), file);
                self.module_changing(time, who, name);
            }
            ModuleStep::Freed { name } => {
                self.modules.loaded.remove(&name);
                self.module_changing(time, who, name);
            }
            ModuleStep::Done { errno } => {
                let load = loading.remove(&thread).unwrap_or_default();
                if !EXISTS.contains(&errno) {
                    self.load_failed(time, who, load, errno);
                }
            }
        }
    }

    /// A kernel module comes or goes. Its own initialisation may still fail, and is waited for.
    fn module_changing(&mut self, time: Timestamp, who: &Who, name: Text) {
        let (by, notes) = self.module_by(time, who);
        self.modules.touched.push(Touched {
            time,
            by,
            notes,
            name,
        });
        self.written.compare_soon();
        self.look_at_modules();
    }

    /// Who loads or unloads: whoever needs what the kernel then loads by itself.
    fn module_by(&mut self, time: Timestamp, who: &Who) -> (Option<By>, Vec<Note>) {
        match self.enrich.behind(who) {
            Some(by) => (Some(by), vec![Note::OnBehalf]),
            None => (self.enrich.by(who, time), Vec::new()),
        }
    }

    /// Looks at the modules that came or went, but for those that are not done with it.
    pub(super) fn look_at_modules(&mut self) {
        let touched = std::mem::take(&mut self.modules.touched);
        for touched in touched {
            if self.inventory.is_changing(&touched.name) {
                self.modules.touched.push(touched);
                continue;
            }
            let Touched {
                time,
                by,
                notes,
                name,
            } = touched;
            let only = [name].into();
            let cause = Cause::Written { time, by, notes };
            if let Err(error) = self.look_at(Source::Modules, Some(&only), &cause) {
                self.note_loss(&format!("{error:#}"));
            }
        }
    }

    /// Puts to modules that were found what is known of their files. All of them are to be told of, or `only` some.
    pub(super) fn add_module_files(
        &mut self,
        found: &mut Facts,
        only: Option<&BTreeSet<Text>>,
    ) -> anyhow::Result<()> {
        // Whether it is the first look of all is told by that nothing is believed.
        let none = Facts::new();
        let believed = if self.conclude.has_read(Source::Modules)? {
            self.conclude.believe(Source::Modules)?
        } else {
            &none
        };
        let loaded = &mut self.modules.loaded;
        self.inventory.add_module_files(found, believed, loaded);
        loaded.retain(|name, _| match only {
            Some(only) => !only.contains(name),
            None => !found.contains_key(name),
        });
        Ok(())
    }

    fn load_failed(&mut self, time: Timestamp, who: &Who, load: Loading, errno: i32) {
        let reason = load.reason(errno);
        let Some(key) = load.name() else {
            return;
        };
        // Some loaders try the other call, too.
        let failed = Some((who.pid(), key.clone()));
        if std::mem::replace(&mut self.modules.failed, failed.clone()) == failed {
            return;
        }
        let told = self.tell_failed(time, who, key, reason);
        if let Err(error) = told.context("tell of a module that was not loaded") {
            self.note_loss(&format!("{error:#}"));
        }
    }

    fn tell_failed(
        &mut self,
        time: Timestamp,
        who: &Who,
        key: Text,
        reason: Option<Note>,
    ) -> anyhow::Result<()> {
        if !self.conclude.has_read(Source::Modules)? {
            return Ok(());
        }
        let (by, mut notes) = self.module_by(time, who);
        notes.extend(reason);
        let after = self.conclude.believe(Source::Modules)?.get(&key).cloned();
        self.conclude.done(Done {
            source: Source::Modules,
            key,
            op: Op::Fail,
            after,
            time,
            by,
            notes,
        })?;
        Ok(())
    }
}

impl Loading {
    /// The module's name as the kernel told it, or, where it did not get that far, as the file is called.
    fn name(self) -> Option<Text> {
        let by_file = || module_name(self.file?.as_utf8()?);
        self.name.or_else(by_file)
    }

    /// Why the kernel did not take it in. Once it has, its own initialisation failed, for reasons of its own.
    fn reason(&self, errno: i32) -> Option<Note> {
        if self.name.is_some() {
            None
        } else if MALFORMED.contains(&errno) {
            Some(Note::Malformed)
        } else {
            REFUSED.contains(&errno).then_some(Note::Refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loading(file: Option<&str>, name: Option<&str>) -> Loading {
        let (file, name) = (file.map(Text::from), name.map(Text::from));
        Loading { file, name }
    }

    #[test]
    fn a_load_is_called_as_the_kernel_told_or_by_its_file() {
        let file = Some("/tmp/nf-odd.ko");
        let name = |load: Loading| load.name();
        assert_eq!(name(loading(file, Some("nf_odd2"))), Some("nf_odd2".into()));
        assert_eq!(name(loading(file, None)), Some("nf_odd".into()));
        assert_eq!(name(loading(None, None)), None);
    }

    #[test]
    fn why_it_was_not_taken_in_is_told_by_the_error() {
        assert_eq!(loading(None, None).reason(8), Some(Note::Malformed));
        assert_eq!(loading(None, None).reason(129), Some(Note::Refused));
        assert_eq!(loading(None, None).reason(12), None);
        assert_eq!(loading(None, Some("dummy")).reason(22), None);
    }
}
