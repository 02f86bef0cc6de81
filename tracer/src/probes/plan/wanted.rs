//! What is to be seen, and the shapes that the kernel's functions have had.

use super::{Attachment, Way};
use crate::probes::btf::Prototype;

/// One shape that a function has had, and the program that is made for it.
pub(super) struct Shape {
    pub(super) program: &'static str,
    pub(super) target: &'static str,
    pub(super) way: Way,
    /// Parameters that the program reads, with their places.
    parameters: &'static [(&'static str, usize)],
    /// How many parameters there are, which is the place of the result; none where it is not read.
    count: Option<usize>,
    returns_pointer: bool,
}

impl Shape {
    pub(super) const fn entry(
        program: &'static str,
        target: &'static str,
        parameters: &'static [(&'static str, usize)],
    ) -> Self {
        Self {
            program,
            target,
            way: Way::Entry,
            parameters,
            count: None,
            returns_pointer: false,
        }
    }

    pub(super) const fn end(
        program: &'static str,
        target: &'static str,
        parameters: &'static [(&'static str, usize)],
        count: usize,
    ) -> Self {
        let count = Some(count);
        Self {
            program,
            target,
            way: Way::End,
            parameters,
            count,
            returns_pointer: false,
        }
    }

    const fn pointer(self) -> Self {
        Self {
            returns_pointer: true,
            ..self
        }
    }

    const fn tracepoint(program: &'static str, target: &'static str) -> Self {
        let way = Way::Tracepoint;
        Self {
            program,
            target,
            way,
            parameters: &[],
            count: None,
            returns_pointer: false,
        }
    }

    pub(super) fn fits(&self, prototype: &Prototype) -> bool {
        let in_place = |(name, place): &(&str, usize)| {
            prototype
                .parameters
                .get(*place)
                .is_some_and(|parameter| parameter == name)
        };
        self.parameters.iter().all(in_place)
            && self
                .count
                .is_none_or(|count| prototype.parameters.len() == count)
            && (self.count.is_none() || self.returns_pointer == prototype.returns_pointer)
    }

    pub(super) fn attachment(&self) -> Attachment {
        Attachment {
            program: self.program,
            target: self.target,
            way: self.way,
        }
    }
}

/// A thing to be seen: for each of `parts` one of the shapes must fit.
pub(super) struct Wanted {
    pub(super) name: &'static str,
    pub(super) lost_without: &'static str,
    pub(super) about_files: bool,
    /// Whether the self-test can prove it alive without a change of the host.
    pub(super) is_proved: bool,
    pub(super) parts: &'static [&'static [Shape]],
    /// What takes the place of `parts` where the compiler split their function in two, so that its
    /// symbol is not what callers call (kernel-matrix 1.5: `vfs_rmdir` on Debian's 5.10).
    pub(super) if_split: &'static [Shape],
}

const fn files(
    name: &'static str,
    lost_without: &'static str,
    parts: &'static [&'static [Shape]],
) -> Wanted {
    Wanted {
        name,
        lost_without,
        about_files: true,
        is_proved: true,
        parts,
        if_split: &[],
    }
}

const fn processes(
    name: &'static str,
    lost_without: &'static str,
    parts: &'static [&'static [Shape]],
) -> Wanted {
    Wanted {
        name,
        lost_without,
        about_files: false,
        is_proved: true,
        parts,
        if_split: &[],
    }
}

/// Programs at functions, as those about files are; proving them alive would take a mount of the host.
pub(super) const fn mounts(
    name: &'static str,
    lost_without: &'static str,
    parts: &'static [&'static [Shape]],
) -> Wanted {
    Wanted {
        is_proved: false,
        ..files(name, lost_without, parts)
    }
}

pub(super) static WANTED: &[Wanted] = &[
    processes(
        "fork",
        "the ancestry of processes whose parents have ended",
        &[&[Shape::tracepoint("fork", "sched_process_fork")]],
    ),
    processes(
        "exec",
        "the command lines of processes that end quickly",
        &[&[Shape::tracepoint("exec", "sched_process_exec")]],
    ),
    processes(
        "exit",
        "when processes and sessions end, and writers through inherited descriptors",
        &[&[Shape::tracepoint("exit", "sched_process_exit")]],
    ),
    files(
        "close",
        "the end of each write",
        &[&[Shape::entry("close", "__fput", &[("file", 0)])]],
    ),
    files(
        "dirtied",
        "writes to files that stay open, and who wrote through a shared descriptor",
        &[&[
            Shape::entry("dirtied", "mnt_get_write_access_file", &[("file", 0)]),
            Shape::entry("dirtied", "__mnt_want_write_file", &[("file", 0)]),
        ]],
    ),
    files(
        "creating",
        "new files that stay open",
        &[&[Shape::entry(
            "creating",
            "security_inode_create",
            &[("dentry", 1)],
        )]],
    ),
    files(
        "create",
        "files made by mknod(2) and by NFS clients",
        &[&[
            Shape::end("create_1_4", "vfs_create", &[("dentry", 1)], 4),
            Shape::end("create_2_5", "vfs_create", &[("dentry", 2)], 5),
        ]],
    ),
    files(
        "mknod",
        "pipes, sockets and devices",
        &[&[
            Shape::end("mknod_1_4", "vfs_mknod", &[("dentry", 1)], 4),
            Shape::end("mknod_2_5", "vfs_mknod", &[("dentry", 2)], 5),
            Shape::end("mknod_2_6", "vfs_mknod", &[("dentry", 2)], 6),
        ]],
    ),
    files(
        "mkdir",
        "new directories",
        &[&[
            Shape::end("mkdir_1_3", "vfs_mkdir", &[("dentry", 1)], 3),
            Shape::end("mkdir_2_4", "vfs_mkdir", &[("dentry", 2)], 4),
            Shape::end("mkdir_2_4_pointer", "vfs_mkdir", &[("dentry", 2)], 4).pointer(),
            Shape::end("mkdir_2_5_pointer", "vfs_mkdir", &[("dentry", 2)], 5).pointer(),
        ]],
    ),
    files(
        "symlink",
        "new symbolic links",
        &[&[
            Shape::end(
                "symlink_1_3",
                "vfs_symlink",
                &[("dentry", 1), ("oldname", 2)],
                3,
            ),
            Shape::end(
                "symlink_2_4",
                "vfs_symlink",
                &[("dentry", 2), ("oldname", 3)],
                4,
            ),
            Shape::end(
                "symlink_2_5",
                "vfs_symlink",
                &[("dentry", 2), ("oldname", 3)],
                5,
            ),
        ]],
    ),
    files(
        "link",
        "new hard links",
        &[&[
            Shape::end(
                "link_2_4",
                "vfs_link",
                &[("old_dentry", 0), ("new_dentry", 2)],
                4,
            ),
            Shape::end(
                "link_3_5",
                "vfs_link",
                &[("old_dentry", 0), ("new_dentry", 3)],
                5,
            ),
        ]],
    ),
    files(
        "unlink",
        "deleted files",
        &[
            &[
                Shape::entry("unlinking_1", "vfs_unlink", &[("dentry", 1)]),
                Shape::entry("unlinking_2", "vfs_unlink", &[("dentry", 2)]),
            ],
            &[
                Shape::end("unlinked_1_3", "vfs_unlink", &[("dentry", 1)], 3),
                Shape::end("unlinked_2_4", "vfs_unlink", &[("dentry", 2)], 4),
            ],
        ],
    ),
    Wanted {
        name: "rmdir",
        lost_without: "deleted directories",
        about_files: true,
        is_proved: true,
        parts: &[
            &[
                Shape::entry("removing_directory_1", "vfs_rmdir", &[("dentry", 1)]),
                Shape::entry("removing_directory_2", "vfs_rmdir", &[("dentry", 2)]),
            ],
            &[
                Shape::end("removed_directory_1_2", "vfs_rmdir", &[("dentry", 1)], 2),
                Shape::end("removed_directory_2_3", "vfs_rmdir", &[("dentry", 2)], 3),
                Shape::end("removed_directory_2_4", "vfs_rmdir", &[("dentry", 2)], 4),
            ],
        ],
        if_split: &[
            Shape::entry(
                "removing_directory_split",
                "security_inode_rmdir",
                &[("dentry", 1)],
            ),
            Shape::end("removed_directory_split", "do_rmdir", &[("dfd", 0)], 2),
        ],
    },
    files(
        "rename",
        "renames, and with them what editors and package managers save",
        &[
            &[Shape::entry("renaming", "vfs_rename", &[("rd", 0)])],
            &[Shape::end("renamed_0_1", "vfs_rename", &[("rd", 0)], 1)],
        ],
    ),
    files(
        "attributes",
        "chmod, chown and truncate",
        &[&[
            Shape::end(
                "attributes_0_3",
                "notify_change",
                &[("dentry", 0), ("attr", 1)],
                3,
            ),
            Shape::end(
                "attributes_1_4",
                "notify_change",
                &[("dentry", 1), ("attr", 2)],
                4,
            ),
        ]],
    ),
    files(
        "set-xattr",
        "extended attributes that are set",
        &[&[
            Shape::end(
                "set_xattr_0_5",
                "__vfs_setxattr_noperm",
                &[("dentry", 0), ("name", 1)],
                5,
            ),
            Shape::end(
                "set_xattr_1_6",
                "__vfs_setxattr_noperm",
                &[("dentry", 1), ("name", 2)],
                6,
            ),
        ]],
    ),
    files(
        "remove-xattr",
        "extended attributes that are removed",
        &[&[
            Shape::end(
                "remove_xattr_0_3",
                "__vfs_removexattr_locked",
                &[("dentry", 0), ("name", 1)],
                3,
            ),
            Shape::end(
                "remove_xattr_1_4",
                "__vfs_removexattr_locked",
                &[("dentry", 1), ("name", 2)],
                4,
            ),
        ]],
    ),
    files(
        "file-ioctl",
        "what calls of the file systems' own do to files, such as verity",
        &[&[Shape::entry(
            "file_ioctl",
            "mnt_drop_write_file",
            &[("file", 0)],
        )]],
    ),
];

/// Where `set_posix_acl` takes an inode (up to 6.1), access control lists pass the functions for
/// extended attributes, and this is neither needed nor possible.
pub(super) static ACL: Wanted = files(
    "set-acl",
    "access control lists",
    &[&[Shape::end(
        "set_acl_1_4",
        "set_posix_acl",
        &[("dentry", 1), ("type", 2)],
        4,
    )]],
);

/// Where there is no `vfs_fileattr_set` (up to 5.12), there is no call that sets flags by path, and
/// what an ioctl sets is seen as any other.
pub(super) static FLAGS: Wanted = files(
    "set-flags",
    "the flags of chattr(1)",
    &[&[Shape::end(
        "set_flags_1_3",
        "vfs_fileattr_set",
        &[("dentry", 1)],
        3,
    )]],
);
