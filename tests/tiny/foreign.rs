//! File systems that are not the guest's own: what a client of its NFS server changes, what the server
//! of one that it mounts changes, and what only FAT has.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use nix::mount::{MsFlags, mount, umount};
use serde_json::Value;
use tests::ways::tell;
use tests::{run, wait_for};

use crate::daemon;

const HEADING: &str = "Other file systems";

/// Starts the kernel's NFS server with the folder as all that it has, and tells it beforehand what it
/// would ask its programs for: that everybody here is one client, and may do everything.
///
/// 0x2422 are `NFSEXP_INSECURE_PORT`, `NFSEXP_GATHERED_WRITES`, `NFSEXP_NOSUBTREECHECK` and `NFSEXP_FSID` of
/// `include/uapi/linux/nfsd/export.h`, 9250 in the decimal that it wants.
const SERVE: &str = r#"
set -e
modprobe nfsd
modprobe nfsv4
[ -e /proc/fs/nfsd/threads ] || mount -t nfsd nfsd /proc/fs/nfsd
echo "nfsd 127.0.0.1 2147483647 all" > /proc/net/rpc/auth.unix.ip/channel
echo "all $1 2147483647 9250 65534 65534 0" > /proc/net/rpc/nfsd.export/channel
printf 'all 1 \\x00000000 2147483647 %s\n' "$1" > /proc/net/rpc/nfsd.fh/channel
echo 10 > /proc/fs/nfsd/nfsv4leasetime
echo 10 > /proc/fs/nfsd/nfsv4gracetime
echo "-2 -3 +4 +4.1 +4.2" > /proc/fs/nfsd/versions 2> /dev/null ||
    echo "-3 +4 +4.1 +4.2" > /proc/fs/nfsd/versions
echo "tcp 2049" > /proc/fs/nfsd/portlist
echo 2 > /proc/fs/nfsd/threads
# Refused where nobody keeps a list of clients; then the first open takes as long as the time of grace.
echo Y > /proc/fs/nfsd/v4_end_grace 2> /dev/null || true
"#;

/// What the server serves: a watched tree and a folder that is not watched.
const SERVED: &str = "/var/lib/tracer-nfs";

/// Makes the tree that the shared daemon watches for these tests.
pub(crate) fn make() -> PathBuf {
    let tree = Path::new(SERVED).join("tree");
    fs::create_dir_all(&tree).unwrap();
    tree
}

/// A folder that is served, from the first time that one is asked for: until the time of grace is
/// over a server lets nobody open anything, so that it serves all tests.
fn served(name: &str) -> PathBuf {
    static IS_SERVING: Once = Once::new();
    let folder = Path::new(SERVED).join(name);
    fs::create_dir_all(&folder).unwrap();
    IS_SERVING.call_once(|| {
        let served = run(Command::new("sh").args(["-c", SERVE, "sh", SERVED]));
        assert_eq!(served.code, Some(0), "{served:?}");
    });
    folder
}

/// What a client of the server mounts, until it is dropped.
struct Client(PathBuf);

impl Client {
    fn mount(name: &str, point: PathBuf) -> Self {
        // What the server changes is seen at the next look, not only when a cache is too old.
        let options =
            "vers=4.2,proto=tcp,port=2049,sec=sys,addr=127.0.0.1,clientaddr=127.0.0.1,noac";
        let none = MsFlags::empty();
        let served = format!("127.0.0.1:/{name}");
        mount(
            Some(served.as_str()),
            &point,
            Some("nfs4"),
            none,
            Some(options),
        )
        .unwrap();
        Self(point)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let unmounted = umount(&self.0);
        assert!(
            std::thread::panicking() || unmounted.is_ok(),
            "{unmounted:?}"
        );
    }
}

#[test]
fn what_a_client_of_the_nfs_server_writes_is_told_at_once_as_by_the_server() {
    let point = daemon().outside().join("client");
    let folder = served("tree");
    fs::create_dir(&point).unwrap();
    fs::write(folder.join("file"), "before\n").unwrap();
    daemon().one(folder.join("file"));

    let client = Client::mount("tree", point.clone());
    fs::write(point.join("file"), "after, and longer\n").unwrap();
    // The server keeps the file open for a while: what it wrote may be told only as it is closed.
    let change = wait_for("the whole write is told", || {
        let changes = daemon().who(folder.join("file"));
        let newest = changes
            .first()
            .filter(|change| change["after"]["size"] == 18);
        newest.cloned().ok_or_else(|| format!("{changes:#?}"))
    });
    assert_eq!(change["op"], "modify", "{change:#}");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    let process = &change["actor"]["process"];
    assert_ne!(process["pid"], std::process::id(), "{change:#}");
    assert_eq!(change["actor"]["user"]["uid"], 0, "{change:#}");
    fs::rename(point.join("file"), point.join("renamed")).unwrap();
    let change = newest(&folder.join("renamed"), "rename");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    fs::remove_file(point.join("renamed")).unwrap();
    let change = newest(&folder.join("renamed"), "delete");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    drop(client);
    tell(
        HEADING,
        "NFS, a client changes what is served from a watched directory",
        "exact, another actor",
        Some("a thread of the server is named, which acts for whichever client asked"),
    );
}

#[test]
fn what_is_written_to_a_mounted_nfs_is_told_and_what_its_server_does_is_found() {
    let point = daemon().tree().join("client");
    let folder = served("other");
    fs::create_dir(&point).unwrap();
    fs::write(folder.join("file"), "before\n").unwrap();
    let client = Client::mount("other", point.clone());
    let file = point.join("file");
    let found = newest(&file, "create");
    assert_eq!(found["certainty"], "late", "{found:#}");

    fs::write(&file, "by the client\n").unwrap();
    let change = newest(&file, "modify");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    assert_eq!(change["actor"]["process"]["pid"], std::process::id());
    assert_eq!(change["after"]["size"], 14, "{change:#}");
    tell(HEADING, "NFS, write to what is mounted", "exact", None);

    let known = daemon().who(&file).len();
    fs::write(folder.join("file"), "by the server, and longer\n").unwrap();
    // Any mount makes the daemon compare, as it does once a day.
    let other = daemon().tree().join("compare");
    fs::create_dir(&other).unwrap();
    mount(
        Some("none"),
        &other,
        Some("tmpfs"),
        MsFlags::empty(),
        None::<&str>,
    )
    .unwrap();
    let late = wait_for("what the server did is found", || {
        let changes = daemon().who(&file);
        let is_more = changes.len() > known;
        is_more
            .then(|| changes[0].clone())
            .ok_or(format!("{changes:#?}"))
    });
    umount(&other).unwrap();
    assert_eq!(late["certainty"], "late", "{late:#}");
    assert_eq!(late["actor"], Value::Null, "{late:#}");
    assert_eq!(late["after"]["size"], 26, "{late:#}");
    drop(client);
    tell(
        HEADING,
        "NFS, change by the server or another client",
        "late",
        Some("this kernel learns of it when it looks: found when the trees are compared"),
    );
}

#[test]
fn an_attribute_of_fat_that_takes_the_right_to_write_is_a_mode() {
    let point = daemon().tree().join("fat");
    fs::create_dir(&point).unwrap();
    let script = r#"for module in loop vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8; do modprobe $module || true; done
        dd if=/dev/zero of=/tmp/fat.img bs=1k count=2048 2> /dev/null && mkdosfs /tmp/fat.img > /dev/null &&
        mount -t vfat -o loop /tmp/fat.img "$1" && echo before > "$1/file""#;
    let made = run(Command::new("sh").args(["-c", script, "sh"]).arg(&point));
    assert_eq!(made.code, Some(0), "{made:?}");
    let path = point.join("file");
    wait_for("the daemon has looked at what was mounted", || {
        let changes = daemon().who(&path);
        (!changes.is_empty())
            .then_some(())
            .ok_or("nothing".to_owned())
    });
    let file = File::open(&path).unwrap();
    // `ATTR_RO | ATTR_ARCH` of `include/uapi/linux/msdos_fs.h`; the call's number says that it reads.
    set_fat_attributes(&file, 0x21);
    drop(file);
    let change = newest(&path, "mode");
    assert_eq!(change["certainty"], "exact", "{change:#}");
    assert_eq!(change["actor"]["process"]["pid"], std::process::id());
    umount(&point).unwrap();
    tell(
        HEADING,
        "FAT_IOCTL_SET_ATTRIBUTES, read-only",
        "exact",
        None,
    );
}

#[expect(unsafe_code, reason = "an ioctl")]
fn set_fat_attributes(file: &File, attributes: u32) {
    let number = nix::request_code_write!(b'r', 0x11, size_of::<u32>());
    // SAFETY: it reads a number.
    let done = unsafe { nix::libc::ioctl(file.as_raw_fd(), number, &raw const attributes) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Waits until this is what was told last of a file.
fn newest(path: &Path, op: &str) -> Value {
    wait_for("the change is told", || {
        let changes = daemon().who(path);
        let newest = changes.first().filter(|change| change["op"] == op);
        newest.cloned().ok_or_else(|| format!("{changes:#?}"))
    })
}
