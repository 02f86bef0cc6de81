//! The system calls that the daemon gives up: those by which what it keeps, to look at everything,
//! would let it change something. A list of what is refused, as what its libraries call differs.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use anyhow::Context as _;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Other processes: `CAP_SYS_PTRACE` would let it change them.
const PROCESSES: [i64; 5] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
];

/// Names and attributes of files: `CAP_FOWNER` would let it change them. It writes its store, and
/// removes its own files.
const FILES: [i64; 17] = [
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_utimensat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
    libc::SYS_mkdirat,
];

/// The same by their older calls.
#[cfg(target_arch = "x86_64")]
const OLDER: [i64; 14] = [
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_mknod,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_creat,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [i64; 1] = [libc::SYS_renameat];

/// The whole system: in the fanotify mode `CAP_SYS_ADMIN` would let it change that. By `io_uring`
/// all of these could be gone round.
const SYSTEM: [i64; 25] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_io_uring_setup,
];

/// What `bpf(2)` can do besides reading and filling maps.
const BPF_COMMANDS: [u32; 7] = [
    libc_bpf::MAP_CREATE,
    libc_bpf::PROG_LOAD,
    libc_bpf::OBJ_PIN,
    libc_bpf::PROG_ATTACH,
    libc_bpf::RAW_TRACEPOINT_OPEN,
    libc_bpf::LINK_CREATE,
    libc_bpf::TOKEN_CREATE,
];

/// Commands of `bpf(2)`, by their numbers in `linux/bpf.h`.
mod libc_bpf {
    pub(super) const MAP_CREATE: u32 = 0;
    pub(super) const PROG_LOAD: u32 = 5;
    pub(super) const OBJ_PIN: u32 = 6;
    pub(super) const PROG_ATTACH: u32 = 8;
    pub(super) const RAW_TRACEPOINT_OPEN: u32 = 17;
    pub(super) const LINK_CREATE: u32 = 28;
    pub(super) const TOKEN_CREATE: u32 = 36;
}

/// `FS_IOC_SETFLAGS` for 64 and for 32 bits, and `FS_IOC_FSSETXATTR`: what `chattr` does, of
/// `linux/fs.h`.
const FLAGS_OF_FILES: [u32; 3] = [0x4008_6602, 0x4004_6602, 0x401c_5820];

/// Makes all of them fail with `EPERM` in the calling thread, and in the threads and programs that
/// it starts. There is no way back.
pub(super) fn give_up() -> anyhow::Result<()> {
    let doing = "give up system calls";
    let program = filter().context(doing)?;
    seccompiler::apply_filter(&program).context(doing)
}

fn filter() -> anyhow::Result<BpfProgram> {
    let whole = [&PROCESSES[..], &FILES, &OLDER, &SYSTEM].concat();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        whole.into_iter().map(|call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_bpf, with_argument(0, &BPF_COMMANDS)?);
    rules.insert(libc::SYS_ioctl, with_argument(1, &FLAGS_OF_FILES)?);
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}

/// A rule for each of the values that an argument may have.
fn with_argument(index: u8, values: &[u32]) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let rules = values.iter().map(|value| {
        let (length, is) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        let condition = SeccompCondition::new(index, length, is, u64::from(*value))?;
        SeccompRule::new(vec![condition])
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;

    use super::*;

    #[test]
    fn what_is_given_up_fails_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x").unwrap();
        let refused = |result: std::io::Result<()>| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
        };
        // A thread of its own: there is no way back.
        let work = move || {
            give_up().unwrap();
            refused(fs::set_permissions(&path, Permissions::from_mode(0o600)));
            refused(fs::rename(&path, path.with_extension("new")));
            refused(fs::create_dir(path.with_extension("folder")));
            refused(std::os::unix::fs::symlink(
                "target",
                path.with_extension("link"),
            ));
            fs::write(&path, "y").unwrap();
            fs::remove_file(&path).unwrap();
        };
        thread::spawn(work).join().unwrap();
        drop(folder);
    }
}
