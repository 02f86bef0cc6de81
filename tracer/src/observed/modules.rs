//! What is seen of kernel modules that come and go.

use change::Text;

/// Says what was done to load or unload a kernel module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleStep {
    /// The task needs a module, and the kernel is about to run modprobe for it.
    Requested {
        /// What it needs: an alias, mostly.
        name: Text,
    },
    /// A file is read to be loaded.
    Read {
        /// Its path; none where that is of another mount namespace.
        file: Option<Text>,
    },
    /// It was taken in, and its own initialisation is still to come.
    Loaded {
        /// Its name.
        name: Text,
    },
    /// It is taken away.
    Freed {
        /// Its name.
        name: Text,
    },
    /// The task's request to load ended.
    Done {
        /// 0, or the error.
        errno: i32,
    },
}
