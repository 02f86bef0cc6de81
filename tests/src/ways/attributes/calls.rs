//! Calls that change attributes and that no library wraps yet.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use nix::libc;

use super::Acting;

/// Numbers of calls that the C library's headers do not all have yet; the same on every port.
const FCHMODAT2: libc::c_long = 452;
const SETXATTRAT: libc::c_long = 463;
const FILE_SETATTR: libc::c_long = 469;

fn path_of(folder: &Path) -> std::ffi::CString {
    std::ffi::CString::new(folder.join("file").to_str().unwrap()).unwrap()
}

fn called(name: &str, result: libc::c_long) -> Acting {
    if result == 0 {
        Acting::Done
    } else {
        Acting::Missing(format!("{name}: {}", std::io::Error::last_os_error()))
    }
}

#[expect(unsafe_code, reason = "a call that is not wrapped yet")]
pub(super) fn fchmodat2(folder: &Path) -> Acting {
    let path = path_of(folder);
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the path lives through the call.
    let result = unsafe { libc::syscall(FCHMODAT2, libc::AT_FDCWD, path.as_ptr(), 0o600, flags) };
    called("fchmodat2", result)
}

/// `struct xattr_args` of `include/uapi/linux/xattr.h`.
#[repr(C)]
struct XattrArgs {
    value: u64,
    size: u32,
    flags: u32,
}

#[expect(unsafe_code, reason = "a call that is not wrapped yet")]
pub(super) fn setxattrat(folder: &Path) -> Acting {
    let path = path_of(folder);
    let value = b"here";
    let args = XattrArgs {
        value: value.as_ptr() as u64,
        size: 4,
        flags: 0,
    };
    // SAFETY: path, name, value and arguments live through the call.
    let result = unsafe {
        libc::syscall(
            SETXATTRAT,
            libc::AT_FDCWD,
            path.as_ptr(),
            0,
            c"user.origin".as_ptr(),
            &raw const args,
            size_of::<XattrArgs>(),
        )
    };
    called("setxattrat", result)
}

// Flags of `include/uapi/linux/fs.h`.
pub(super) const IMMUTABLE: libc::c_long = 0x10;
pub(super) const APPEND: libc::c_long = 0x20;
pub(super) const NOATIME: libc::c_long = 0x80;

nix::ioctl_read!(fs_ioc_getflags, b'f', 1, libc::c_long);
nix::ioctl_write_ptr!(fs_ioc_setflags, b'f', 2, libc::c_long);

/// Sets one flag and takes the others of these three away.
#[expect(unsafe_code, reason = "ioctls")]
pub(super) fn set_flags(folder: &Path, flag: libc::c_long) -> Acting {
    let file = File::open(folder.join("file")).unwrap();
    let mut flags = 0;
    // SAFETY: it writes one number.
    if let Err(error) = unsafe { fs_ioc_getflags(file.as_raw_fd(), &raw mut flags) } {
        return Acting::Missing(format!("FS_IOC_GETFLAGS: {error}"));
    }
    flags = flags & !(IMMUTABLE | APPEND | NOATIME) | flag;
    // SAFETY: it reads one number.
    match unsafe { fs_ioc_setflags(file.as_raw_fd(), &raw const flags) } {
        Ok(_) => Acting::Done,
        Err(error) => Acting::Missing(format!("FS_IOC_SETFLAGS: {error}")),
    }
}

/// `struct file_attr` of `include/uapi/linux/fs.h`, with `FS_XFLAG_IMMUTABLE`.
#[repr(C)]
struct FileAttr {
    flags: u64,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_on_write_extent_size: u32,
}

#[expect(unsafe_code, reason = "a call that is not wrapped yet")]
pub(super) fn file_setattr(folder: &Path) -> Acting {
    let path = path_of(folder);
    let attributes = FileAttr {
        flags: 0x8,
        extent_size: 0,
        extents: 0,
        project: 0,
        copy_on_write_extent_size: 0,
    };
    // SAFETY: path and attributes live through the call.
    let result = unsafe {
        libc::syscall(
            FILE_SETATTR,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw const attributes,
            size_of::<FileAttr>(),
            0,
        )
    };
    called("file_setattr", result)
}

/// `struct fsverity_enable_arg` of `include/uapi/linux/fsverity.h`.
#[repr(C)]
#[expect(unreachable_pub, reason = "so is the function that takes it")]
pub struct EnableVerity {
    version: u32,
    hash_algorithm: u32,
    block_size: u32,
    zeros: [u32; 29],
}

/// `struct fscrypt_policy_v1` of `include/uapi/linux/fscrypt.h`.
#[repr(C)]
#[expect(unreachable_pub, reason = "so is the function that takes it")]
pub struct Policy {
    version: u8,
    contents_mode: u8,
    names_mode: u8,
    flags: u8,
    key: [u8; 8],
}

nix::ioctl_write_ptr!(fs_ioc_enable_verity, b'f', 133, EnableVerity);
// Its direction is the wrong one in the kernel's headers, too.
nix::ioctl_read!(fs_ioc_set_encryption_policy, b'f', 19, Policy);

#[expect(unsafe_code, reason = "an ioctl")]
pub(super) fn enable_verity(folder: &Path) -> Acting {
    let file = File::open(folder.join("file")).unwrap();
    let argument = EnableVerity {
        version: 1,
        hash_algorithm: 1,
        block_size: 4096,
        zeros: [0; 29],
    };
    // SAFETY: it reads the argument.
    match unsafe { fs_ioc_enable_verity(file.as_raw_fd(), &raw const argument) } {
        Ok(_) => Acting::Done,
        Err(error) => Acting::Missing(format!("verity: {error}")),
    }
}

/// Lets what will be in the directory be encrypted with a key that nobody has.
#[expect(unsafe_code, reason = "an ioctl")]
pub(super) fn encrypt(folder: &Path) -> Acting {
    let directory = File::open(folder.join("file")).unwrap();
    let mut policy = Policy {
        version: 0,
        contents_mode: 1,
        names_mode: 4,
        flags: 0,
        key: [7; 8],
    };
    // SAFETY: it reads the policy.
    match unsafe { fs_ioc_set_encryption_policy(directory.as_raw_fd(), &raw mut policy) } {
        Ok(_) => Acting::Done,
        Err(error) => Acting::Missing(format!("encryption: {error}")),
    }
}
