//! Probes that the self-test does not prove alive, as it would take a change of the host: a module to
//! load, a cgroup to make, a service to kill, a sysctl or a setting to write. Whether they are attached is all that is told.

use std::fs::File;

use aya::programs::{CgroupAttachMode, CgroupSysctl};
use change::wire::{CheckBody, CheckState};

use super::host::{chain, unified_hierarchy};
use super::plan::{Attachment, Way};
use super::{Probes, Scope, attach_all};

/// The calls that load a module: from a file, and from bytes.
#[cfg(target_arch = "x86_64")]
const LOADS: [&str; 2] = ["__x64_sys_finit_module", "__x64_sys_init_module"];
#[cfg(not(target_arch = "x86_64"))]
const LOADS: [&str; 2] = ["__arm64_sys_finit_module", "__arm64_sys_init_module"];

impl Probes {
    pub(super) fn attach_unproven(&mut self, scope: Scope, kernel: &aya::Btf) {
        self.attach_modules(scope, kernel);
        self.attach_tracepoint(
            ("cgroup", "cgroup_mkdir"),
            "not always known: the unit of processes that end at once",
            kernel,
        );
        self.attach_tracepoint(
            ("signal", "signal_generate"),
            "not known: who killed a service",
            kernel,
        );
        // The end of a write first: each that is announced is to have one.
        let done = self.attach_to(
            scope,
            kernel,
            ("sysctl_done", "proc_sys_call_handler", Way::End),
        );
        let announced = self.attach_sysctl();
        self.tells_results = done.is_ok();
        self.check("sysctl", sysctl_check(done, announced));
        if scope == Scope::All {
            let setting = ("setting", "kernfs_fop_write_iter", Way::End);
            let attached = self.attach_to(scope, kernel, setting);
            let late = "found only by comparing: changes of kernel settings under `/sys`";
            self.check("setting", attached.map_err(|why| format!("{late}; {why}")));
        }
        let sysrq = self.attach_to(scope, kernel, ("sysrq", "__handle_sysrq", Way::Entry));
        let unseen = "not seen: who wrote to `/proc/sysrq-trigger`";
        self.check("sysrq", sysrq.map_err(|why| format!("{unseen}; {why}")));
    }

    fn check(&mut self, name: &str, result: Result<(), String>) {
        let (state, detail) = match result {
            Ok(()) => (CheckState::Ok, String::new()),
            Err(detail) => (CheckState::Degraded, detail),
        };
        self.checks.push(CheckBody {
            name: format!("probe {name}"),
            state,
            detail,
        });
    }

    /// Attaches a program that is called as in `tracer doctor`, but for the hyphens, to a tracepoint.
    fn attach_tracepoint(
        &mut self,
        (program, target): (&'static str, &'static str),
        lost_without: &str,
        kernel: &aya::Btf,
    ) {
        let way = Way::Tracepoint;
        let attachment = Attachment {
            program,
            target,
            way,
        };
        let attached = attach_all(&mut self.ebpf, &[attachment], kernel);
        self.check(
            &program.replace('_', "-"),
            attached.map_err(|why| format!("{lost_without}; {why}")),
        );
    }

    fn attach_modules(&mut self, scope: Scope, kernel: &aya::Btf) {
        let loads = "not seen: who loads and unloads kernel modules";
        let requests = "not known: for whom the kernel loads a module by itself";
        for (name, unseen) in [
            ("module_load", loads),
            ("module_free", loads),
            ("module_request", requests),
        ] {
            self.attach_tracepoint((name, name), unseen, kernel);
        }
        let read = ("module_file", "security_kernel_read_file", Way::Entry);
        let read = self.attach_to(scope, kernel, read);
        let unknown = "known only by the list of the kernel's own: the files of modules";
        self.check(
            "module-file",
            read.map_err(|why| format!("{unknown}; {why}")),
        );
        let [by_file, by_bytes] = LOADS;
        let by_file = ("module_done_by_file", by_file, Way::End);
        let by_bytes = ("module_done_by_bytes", by_bytes, Way::End);
        let done = self.attach_to(scope, kernel, by_file);
        let done = done.and_then(|()| self.attach_to(scope, kernel, by_bytes));
        let unseen = "not seen: loads of kernel modules that fail";
        self.check(
            "module-done",
            done.map_err(|why| format!("{unseen}; {why}")),
        );
    }

    /// Attaches a program to a function, where the kernel lets us.
    fn attach_to(
        &mut self,
        scope: Scope,
        kernel: &aya::Btf,
        (program, target, way): (&'static str, &'static str, Way),
    ) -> Result<(), String> {
        if scope == Scope::Processes {
            return Err("this kernel refuses programs at its functions".to_owned());
        }
        let attachment = Attachment {
            program,
            target,
            way,
        };
        attach_all(&mut self.ebpf, &[attachment], kernel)
    }

    fn attach_sysctl(&mut self) -> Result<(), String> {
        let root = unified_hierarchy().ok_or("no cgroup2 file system is mounted")?;
        let folder = File::open(&root).map_err(|error| format!("open `{root}`: {error}"))?;
        let program = self
            .ebpf
            .program_mut("sysctl")
            .ok_or("the object has no such program")?;
        let program: &mut CgroupSysctl = program.try_into().map_err(|error| chain(&error))?;
        program.load().map_err(|error| chain(&error))?;
        // Attached by a link, which the kernel takes without flags and lets others beside it.
        program
            .attach(folder, CgroupAttachMode::Single)
            .map_err(|error| chain(&error))?;
        Ok(())
    }
}

/// What is seen of writes to sysctls: as they begin, with the value before and what is asked for, and
/// as they end, with the result.
fn sysctl_check(done: Result<(), String>, announced: Result<(), String>) -> Result<(), String> {
    match (done, announced) {
        (Ok(()), Ok(())) => Ok(()),
        (Ok(()), Err(why)) => Err(format!(
            "seen as they end: writes to sysctls; not seen: what was asked for, which is all that can \
             be known of those in another namespace and of those that only root may read; {why}"
        )),
        (Err(why), Ok(())) => Err(format!(
            "seen before the kernel decides: writes to sysctls; whether one was taken is told by the \
             value that there is afterwards, and not known where that cannot be read: in another \
             namespace, and where only root may; {why}"
        )),
        (Err(_), Err(why)) => Err(format!("not seen: writes to sysctls; {why}")),
    }
}
