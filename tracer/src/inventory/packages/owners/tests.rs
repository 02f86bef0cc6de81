//! Lists of files as the managers write them, and what is known of them.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::inventory::packages::rpm::tests as rpm;

struct Host {
    folder: tempfile::TempDir,
    owners: Owners,
}

impl Host {
    /// With these lists, each as `name path path`.
    fn new(lists: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["info", "usr/lib", "etc", "opt"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        symlink("usr/lib", folder.path().join("lib")).unwrap();
        let watch = ["etc", "usr/lib/systemd"].map(|name| folder.path().join(name));
        fs::create_dir(&watch[1]).unwrap();
        let watch = watch.map(|path| path.display().to_string());
        let trees = Trees::discover(&watch, &[], Path::new("/nowhere")).unwrap();
        let dpkg = Origin::Dpkg(folder.path().join("info"));
        let owners = Owners::new([(dpkg, folder.path().into())], trees.into());
        let mut host = Self { folder, owners };
        for list in lists {
            host.write(list);
        }
        host.refresh();
        host
    }

    fn path(&self, path: &str) -> Text {
        let root = self.folder.path().display();
        format!("{root}{path}").as_str().into()
    }

    fn write(&mut self, list: &str) {
        let (name, paths) = list.split_once(' ').unwrap();
        let text = paths.replace(' ', "\n") + "\n";
        let info = self.folder.path().join("info");
        fs::write(info.join("new"), text).unwrap();
        fs::rename(info.join("new"), info.join(format!("{name}.list"))).unwrap();
    }

    fn refresh(&mut self) {
        self.owners.looked = None;
        self.owners.refresh();
    }

    fn of(&self, path: &str) -> Option<&str> {
        self.owners.of(&self.path(path), false)
    }
}

#[test]
fn a_file_belongs_to_the_package_whose_list_has_it_and_a_folder_to_none() {
    let host = Host::new(&[
        "nginx-common /etc /etc/nginx /etc/nginx.conf /opt/nginx",
        "nginx /etc /etc/nginx",
        "libc6:amd64 /etc/libc",
        "libc6:i386 /etc/libc-32",
        "systemd /lib/systemd/a.service /usr/lib/systemd/b.service /library",
        "empty  ",
    ]);
    assert_eq!(host.of("/etc/nginx.conf"), Some("nginx-common"));
    assert_eq!(host.of("/etc/libc-32"), Some("libc6:i386"));
    assert_eq!(host.of("/usr/lib/systemd/a.service"), Some("systemd"));
    assert_eq!(host.of("/usr/lib/systemd/b.service"), Some("systemd"));
    if cfg!(target_arch = "x86_64") {
        assert_eq!(host.of("/etc/libc"), Some("libc6"));
    }
    for path in ["/etc", "/etc/nginx", "/etc/other", "/opt/nginx"] {
        assert_eq!(host.of(path), None, "{path}");
    }
    assert_eq!(host.owners.packages.len(), 7, "only what is watched");
}

#[test]
fn what_was_installed_and_removed_since_is_known() {
    let mut host = Host::new(&["old /etc/old", "stays /etc/stays"]);
    host.write("new /etc/new");
    fs::remove_file(host.folder.path().join("info/old.list")).unwrap();
    host.refresh();
    assert_eq!(host.of("/etc/new"), Some("new"));
    assert_eq!(host.of("/etc/stays"), Some("stays"));
    assert_eq!(host.of("/etc/old"), None);
    let gone = host.owners.of(&host.path("/etc/old"), true);
    assert_eq!(gone, Some("old"), "it was when the file went");
    host.write("stays /etc/other");
    host.refresh();
    assert_eq!(host.of("/etc/other"), Some("stays"));
    assert_eq!(host.of("/etc/stays"), None);
    assert_eq!(
        host.owners.of(&host.path("/etc/stays"), true),
        Some("stays")
    );
}

#[test]
fn this_host_s_lists_are_read_in_no_time() {
    let watch = ["/etc", "/boot", "/usr/lib/systemd/system"].map(str::to_owned);
    let trees = Trees::discover(&watch, &[], Path::new("/nowhere")).unwrap();
    let mut owners = Owners::new(
        [(Origin::Dpkg("/var/lib/dpkg/info".into()), "/".into())],
        trees.into(),
    );
    let begun = Instant::now();
    owners.refresh();
    let (lists, paths) = (owners.known[0].lists.len(), owners.packages.len());
    println!("{paths} paths of {lists} lists in {:?}", begun.elapsed());
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    if lists > 0 {
        assert_eq!(
            owners.of(&"/etc/debian_version".into(), false),
            Some("base-files")
        );
    }
    let begun = Instant::now();
    owners.looked = None;
    owners.refresh();
    println!("again in {:?}", begun.elapsed());
}

/// The owners of files below a folder, by the databases in it.
fn owners(root: &Path) -> Owners {
    let watch = [root.join("etc").display().to_string()];
    let trees = Trees::discover(&watch, &[], Path::new("/nowhere")).unwrap();
    let origins = Origin::MANAGERS.map(|manager| (Origin::Of(manager, root.into()), root.into()));
    let mut owners = Owners::new(origins, trees.into());
    refresh(&mut owners);
    owners
}

fn refresh(owners: &mut Owners) {
    owners.looked = None;
    owners.refresh();
}

/// The package of each file in `etc`, or of what was there.
fn packages<'o>(owners: &'o Owners, root: &Path, names: &[&str]) -> Vec<&'o str> {
    let path = |name: &&str| Text::from(root.join("etc").join(name).into_os_string().into_vec());
    let names = names.iter().map(path);
    names
        .map(|path| owners.of(&path, true).unwrap_or("none"))
        .collect()
}

#[test]
fn files_of_rpm_s_packages_are_known_by_its_database() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let database = root.join("var/lib/rpm");
    for folder in [&database, &root.join("etc")] {
        fs::create_dir_all(folder).unwrap();
    }
    let names = ["a", "b", "both", "new"];
    let mut owners = owners(&root);
    assert_eq!(packages(&owners, &root, &names), ["none"; 4]);
    let connection = rpm::open(&database);
    let folders = ["/etc/", "/opt/"];
    rpm::insert(
        &connection,
        &rpm::with_files("one", &folders, &[(0, "a"), (0, "both"), (1, "a")]),
    );
    rpm::insert(
        &connection,
        &rpm::with_files("two", &folders, &[(0, "b"), (0, "both")]),
    );
    refresh(&mut owners);
    assert_eq!(
        packages(&owners, &root, &names),
        ["none"; 4],
        "it is in the log yet"
    );
    drop(connection);
    refresh(&mut owners);
    assert_eq!(
        packages(&owners, &root, &names),
        ["rpm/one", "rpm/two", "none", "none"]
    );
    assert_eq!(owners.packages.len(), 3, "only what is watched");

    // A new version is there before the old one goes.
    let connection = rpm::open(&database);
    rpm::insert(
        &connection,
        &rpm::with_files("one", &folders, &[(0, "a"), (0, "new")]),
    );
    drop(connection);
    refresh(&mut owners);
    assert_eq!(
        packages(&owners, &root, &names),
        ["rpm/one", "rpm/two", "none", "rpm/one"]
    );
    let connection = rpm::open(&database);
    connection
        .execute("DELETE FROM Packages WHERE hnum < 3", [])
        .unwrap();
    drop(connection);
    refresh(&mut owners);
    assert_eq!(
        packages(&owners, &root, &names),
        ["rpm/one", "rpm/two", "none", "rpm/one"],
        "it was when the file went"
    );
    let is_there = owners.of(
        &Text::from(root.join("etc/b").into_os_string().into_vec()),
        false,
    );
    assert_eq!(is_there, None);
}

#[test]
fn files_of_apk_s_and_pacman_s_packages_are_known_by_their_lists() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let local = root.join("var/lib/pacman/local");
    for folder in ["etc", "lib/apk/db", "var/lib/pacman/local/demo-1.2-1"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let installed = "P:musl\nV:1\nF:etc\nR:ld\nF:lib\nR:libc\n";
    fs::write(root.join("lib/apk/db/installed"), installed).unwrap();
    let lock = root.join("var/lib/pacman/db.lck");
    fs::write(&lock, "").unwrap();
    let mut owners = owners(&root);
    let names = ["ld", "demo.conf", "more.conf"];
    assert_eq!(
        packages(&owners, &root, &names),
        ["apk/musl", "none", "none"]
    );
    // While pacman is at work its folder tells nothing of the lists in it.
    fs::write(
        local.join("demo-1.2-1/files"),
        "%FILES%\netc/\netc/demo.conf\n",
    )
    .unwrap();
    refresh(&mut owners);
    assert_eq!(
        packages(&owners, &root, &names),
        ["apk/musl", "pacman/demo", "none"]
    );
    fs::write(
        local.join("demo-1.2-1/files"),
        "%FILES%\netc/demo.conf\netc/more.conf\n",
    )
    .unwrap();
    fs::remove_file(&lock).unwrap();
    refresh(&mut owners);
    assert_eq!(
        packages(&owners, &root, &names),
        ["apk/musl", "pacman/demo", "pacman/demo"]
    );
    fs::remove_dir_all(local.join("demo-1.2-1")).unwrap();
    fs::write(root.join("lib/apk/db/new"), installed.replace("R:ld\n", "")).unwrap();
    fs::rename(
        root.join("lib/apk/db/new"),
        root.join("lib/apk/db/installed"),
    )
    .unwrap();
    refresh(&mut owners);
    assert_eq!(owners.packages.len(), 1, "the folder is musl's alone now");
    assert_eq!(
        packages(&owners, &root, &names),
        ["apk/musl", "pacman/demo", "pacman/demo"]
    );
}
