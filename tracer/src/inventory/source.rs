//! Where facts have their truth, and what that means for their changes.

use std::collections::BTreeSet;

use change::{FactValue, Kind, Op, Text};

use super::packages::Manager;
use super::{Facts, jobs, machine, modules, mounts, services};

/// Says where facts of one kind have their truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The database of a package manager.
    Packages(Manager),
    /// The kernel's list of modules.
    Modules,
    /// What is mounted, and swap space.
    Mounts,
    /// The running kernel.
    Kernel,
    /// What the machine is made of.
    Hardware,
    /// The firmware of the machine and of its parts.
    Firmware,
    /// How the host is set up.
    Host,
    /// Who may use the host, and how.
    Accounts,
    /// What runs by itself at its time.
    Jobs,
    /// `/proc/sys` of the own namespaces.
    Sysctls,
    /// The kernel's switches under `/sys`.
    Settings,
    /// The services of systemd.
    Services,
}

impl Source {
    /// What is compared each time that the trees are.
    pub const COMPARED: [Self; 10] = [
        Self::Packages(Manager::Dpkg),
        Self::Packages(Manager::Rpm),
        Self::Packages(Manager::Apk),
        Self::Packages(Manager::Pacman),
        Self::Packages(Manager::Pip),
        Self::Packages(Manager::Npm),
        Self::Packages(Manager::Gem),
        Self::Modules,
        Self::Sysctls,
        Self::Settings,
    ];
    /// What hardly ever changes and takes longer to read.
    pub const MACHINE: [Self; 4] = [Self::Kernel, Self::Hardware, Self::Firmware, Self::Host];

    /// What files decide part by part; compared each time that the trees are, and besides at the start.
    pub const IN_PARTS: [Self; 2] = [Self::Accounts, Self::Jobs];

    /// The kind of its facts.
    pub fn kind(self) -> Kind {
        match self {
            Self::Packages(_) => Kind::Package,
            Self::Modules => Kind::Module,
            Self::Mounts => Kind::Mount,
            Self::Kernel => Kind::Kernel,
            Self::Hardware => Kind::Hardware,
            Self::Firmware => Kind::Firmware,
            Self::Host => Kind::Host,
            Self::Accounts => Kind::Account,
            Self::Jobs => Kind::Job,
            Self::Sysctls => Kind::Sysctl,
            Self::Settings => Kind::KernelSetting,
            Self::Services => Kind::Service,
        }
    }

    /// Whether a fact of its kind is one of its own.
    pub fn owns(self, key: &Text) -> bool {
        match self {
            Self::Packages(manager) => manager.owns(key),
            _ => true,
        }
    }

    /// Whether what it says is no news while somebody is at work on its database.
    pub fn changes_in_steps(self) -> bool {
        matches!(self, Self::Packages(manager) if manager.works_in_steps())
    }

    /// Whether its database is no file that is told of besides.
    pub fn hides_files(self) -> bool {
        matches!(self, Self::Packages(manager) if manager.hides_files())
    }

    /// Of the facts those that only a boot can have changed.
    pub fn fixed_at_boot(self, facts: &Facts) -> BTreeSet<Text> {
        let is_fixed = |key: &&Text| match self {
            Self::Kernel => true,
            Self::Firmware => key.as_bytes() == machine::BIOS.as_bytes(),
            _ => false,
        };
        facts.keys().filter(is_fixed).cloned().collect()
    }

    /// What leads from one value of a fact to another; none where that is no change.
    pub fn op(self, before: Option<&FactValue>, after: Option<&FactValue>) -> Option<Op> {
        match (self, before, after) {
            // Settings come and go with modules and devices: nobody has set them.
            (_, None, None)
            | (Self::Sysctls | Self::Settings, None, _)
            | (Self::Sysctls | Self::Settings, _, None) => None,
            (Self::Packages(_) | Self::Hardware | Self::Firmware, None, _) => Some(Op::Install),
            (Self::Packages(_) | Self::Hardware | Self::Firmware, _, None) => Some(Op::Remove),
            (Self::Modules, None, Some(_)) => Some(Op::Load),
            (Self::Modules, Some(_), None) => Some(Op::Unload),
            (Self::Mounts, None, Some(_)) => Some(Op::Mount),
            (Self::Mounts, Some(_), None) => Some(Op::Unmount),
            (Self::Accounts | Self::Jobs, None, Some(_)) => Some(Op::Create),
            (Self::Accounts | Self::Jobs, Some(_), None) => Some(Op::Delete),
            (_, Some(before), Some(after)) if before == after => None,
            (Self::Jobs, Some(before), Some(after)) => jobs::timers::op(before, after),
            (Self::Services, before, after) => Some(services::op(before, after)),
            (Self::Packages(manager), Some(before), Some(after)) => Some(manager.op(before, after)),
            (Self::Mounts, Some(before), Some(after)) => Some(mounts::op(before, after)),
            // Parameters are settings of their own.
            (Self::Modules, Some(before), Some(after)) => {
                modules::is_another(before, after).then_some(Op::Set)
            }
            _ => Some(Op::Set),
        }
    }
}
