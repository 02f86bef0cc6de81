//! Where the kernel fields that the programs read lie on this host; the daemon fills them in from
//! BTF before loading. Each comment names the field.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Stands for a field that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident = $path:literal,)*) => {
        /// Byte offsets, each from the start of the struct that its path begins with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct Offsets {
            $(#[doc = concat!("`", $path, "`")] $(#[$doc])* pub $name: u32,)*
            /// 1 where `bpf_get_current_task_btf` exists (5.11), so that a task's fields are plain
            /// loads; 0 where each takes a helper call.
            pub typed_task: u32,
        }

        impl Offsets {
            /// Nothing known yet.
            pub const UNKNOWN: Self = Self { $($name: ABSENT,)* typed_task: 0 };

            /// Each field's name in BTF, as `struct.member.member`, alternatives separated by `|`,
            /// with the place to fill in.
            pub fn paths(&mut self) -> [(&'static str, &mut u32); [$($path),*].len()] {
                let Self { $($name,)* typed_task: _ } = self;
                [$(($path, $name)),*]
            }
        }
    };
}

offsets! {
    task_pid = "task_struct.pid",
    task_tgid = "task_struct.tgid",
    task_real_parent = "task_struct.real_parent",
    task_group_leader = "task_struct.group_leader",
    task_start_boottime = "task_struct.start_boottime",
    task_cred = "task_struct.cred",
    task_login_uid = "task_struct.loginuid",
    task_session_id = "task_struct.sessionid",
    task_signal = "task_struct.signal",
    task_nsproxy = "task_struct.nsproxy",
    task_files = "task_struct.files",
    task_fs = "task_struct.fs",
    task_mm = "task_struct.mm",
    task_exit_code = "task_struct.exit_code",
    /// Only with `CONFIG_TASK_XACCT`.
    task_written_chars = "task_struct.ioac.wchar",
    cred_uid = "cred.uid",
    cred_euid = "cred.euid",
    cred_user_ns = "cred.user_ns",
    signal_tty = "signal_struct.tty",
    signal_pids = "signal_struct.pids",
    tty_name = "tty_struct.name",
    pid_level = "pid.level",
    pid_numbers = "pid.numbers",
    nsproxy_mnt_ns = "nsproxy.mnt_ns",
    nsproxy_pid_ns = "nsproxy.pid_ns_for_children",
    nsproxy_net_ns = "nsproxy.net_ns",
    nsproxy_ipc_ns = "nsproxy.ipc_ns",
    nsproxy_uts_ns = "nsproxy.uts_ns",
    mnt_ns_inum = "mnt_namespace.ns.inum",
    pid_ns_inum = "pid_namespace.ns.inum",
    /// Only with `CONFIG_NET`.
    net_ns_inum = "net.ns.inum",
    /// Only with `CONFIG_SYSVIPC` or `CONFIG_POSIX_MQUEUE`.
    ipc_ns_inum = "ipc_namespace.ns.inum",
    uts_ns_inum = "uts_namespace.ns.inum",
    user_ns_inum = "user_namespace.ns.inum",
    files_fdt = "files_struct.fdt",
    fdt_max_fds = "fdtable.max_fds",
    fdt_fd = "fdtable.fd",
    fs_pwd = "fs_struct.pwd",
    mm_arg_start = "mm_struct.arg_start",
    mm_arg_end = "mm_struct.arg_end",
    mm_exe_file = "mm_struct.exe_file",
    /// Only with `CONFIG_MODULES`.
    module_name = "module.name",
    /// These four only with `CONFIG_CGROUPS`.
    cgroup_root = "cgroup.root",
    cgroup_node = "cgroup.kn",
    hierarchy_id = "cgroup_root.hierarchy_id",
    node_id = "kernfs_node.id",
    kiocb_file = "kiocb.ki_filp",
    file_mode = "file.f_mode",
    file_inode = "file.f_inode",
    file_path = "file.f_path",
    path_mnt = "path.mnt",
    path_dentry = "path.dentry",
    /// Read at a distance from `vfsmount`: `mount.mnt_id` less `mount.mnt`.
    mount_id = "mount.mnt_id",
    mount_mnt = "mount.mnt",
    /// `fs_context.root` of a file system that is given other options.
    context_root = "fs_context.root",
    /// The first argument of a system call; on arm64 the others follow it.
    regs_first = "pt_regs.di|pt_regs.regs",
    /// The second, on amd64.
    regs_second = "pt_regs.si",
    vfsmount_root = "vfsmount.mnt_root",
    dentry_parent = "dentry.d_parent",
    dentry_name = "dentry.d_name",
    dentry_inode = "dentry.d_inode",
    dentry_sb = "dentry.d_sb",
    dentry_hash_pprev = "dentry.d_hash.pprev",
    qstr_len = "qstr.len",
    qstr_name = "qstr.name",
    inode_mode = "inode.i_mode",
    inode_uid = "inode.i_uid",
    inode_gid = "inode.i_gid",
    inode_sb = "inode.i_sb",
    inode_number = "inode.i_ino",
    inode_links = "inode.i_nlink",
    inode_size = "inode.i_size",
    inode_ctime_sec = "inode.i_ctime_sec|inode.__i_ctime.tv_sec|inode.i_ctime.tv_sec",
    inode_ctime_nsec = "inode.i_ctime_nsec|inode.__i_ctime.tv_nsec|inode.i_ctime.tv_nsec",
    inode_mtime_sec = "inode.i_mtime_sec|inode.__i_mtime.tv_sec|inode.i_mtime.tv_sec",
    inode_mtime_nsec = "inode.i_mtime_nsec|inode.__i_mtime.tv_nsec|inode.i_mtime.tv_nsec",
    inode_generation = "inode.i_generation",
    sb_dev = "super_block.s_dev",
    sb_magic = "super_block.s_magic",
    iattr_valid = "iattr.ia_valid",
    rename_old_dentry = "renamedata.old_dentry",
    rename_new_dentry = "renamedata.new_dentry",
    rename_flags = "renamedata.flags",
}

#[cfg(not(target_arch = "bpf"))]
mod pod {
    use super::Offsets;

    #[expect(
        unsafe_code,
        reason = "aya asks for the marker, and the orphan rule for this place"
    )]
    // SAFETY: `repr(C)` without padding, which the derives of zerocopy prove.
    unsafe impl aya::Pod for Offsets {}
}
