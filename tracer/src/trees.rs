//! What is watched: the roots that the patterns of the configuration come to on this host, and
//! which paths lie in them. How changes in them are seen is the business of the ways of watching.

mod ignored;
mod mounts;
pub(crate) mod open;
pub(crate) mod path;
mod pattern;
mod pins;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use change::Text;
use rustix::fs::{FileType, Stat};

use self::ignored::Ignored;
pub(crate) use self::ignored::{any_of, is_match};
use self::mounts::Place;
pub(crate) use self::mounts::unescape;
pub use self::mounts::{Mount, Mounts};
use self::pattern::{Awaited, Expansion, Pattern};
use self::pins::{Pin, Pins};

/// Holds what is watched. It can be shared: patterns can come to more roots while it is used.
#[derive(Debug)]
pub struct Trees {
    patterns: Vec<Pattern>,
    ignored: Ignored,
    pins: Pins,
    found: RwLock<Found>,
}

#[derive(Debug, Default)]
struct Found {
    roots: Vec<Root>,
    awaited: Vec<Awaited>,
    /// What was mounted when the roots were last looked for.
    mounts: Arc<Mounts>,
    /// What was mounted when somebody was last told that it is another than before: the roots are looked for on
    /// other occasions too, which must not hide an unmount that came just before one.
    told_mounts: Arc<Mounts>,
    last_id: u32,
}

impl Found {
    /// Whether what is mounted at a path can hide, show or bring watched files.
    fn concerns(&self, point: &[u8]) -> bool {
        let is_near = |root: &Root| {
            let tree = root.path.as_bytes();
            path::is_within(tree, point)
                || root.depth != RootDepth::Children && path::is_within(point, tree)
        };
        let leads = |awaited: &Awaited| awaited.leads_through(point);
        self.roots.iter().any(is_near) || self.awaited.iter().any(leads)
    }
}

/// Names an inode from which watching starts.
#[derive(Clone, Debug)]
pub struct Root {
    /// Its number, never given to another root while the daemon runs.
    pub id: u32,
    /// Its absolute path, without symbolic links.
    pub path: Text,
    /// The device as `stat(2)` gives it.
    pub dev: u64,
    /// The inode number.
    pub inode: u64,
    /// How much of what is below it is watched.
    pub depth: RootDepth,
    // Kept for what it does while it is there.
    _pin: Option<Arc<Pin>>,
}

/// Says how much below a root is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RootDepth {
    /// The whole tree, up to mount points in it, which are roots of their own.
    Whole,
    /// Only what is directly in this directory, because a watched tree or file is there or may
    /// appear there. Which of it is watched is what [`Trees::contains`] says.
    Children,
    /// It is a single file. Its directory is another root, as the file can be replaced.
    File,
}

impl Trees {
    /// Finds what exists of the patterns: absolute paths, where `*` stands for any part of a name.
    ///
    /// Nothing is watched that one of the globs `ignore` stands for, or that lies in
    /// `own_directory`, where the store is.
    pub fn discover(
        patterns: &[String],
        ignore: &[String],
        own_directory: &Path,
    ) -> io::Result<Self> {
        Self::discover_with_names(patterns, &[], ignore, own_directory)
    }

    /// The same, and besides it is told what happens to `names`, patterns likewise, in the
    /// directories that they lie in: they are not watched themselves.
    pub fn discover_with_names(
        patterns: &[String],
        names: &[String],
        ignore: &[String],
        own_directory: &Path,
    ) -> io::Result<Self> {
        let patterns = patterns.iter().map(|pattern| Pattern::parse(pattern));
        let names = names.iter().map(|pattern| Pattern::parse_names(pattern));
        let trees = Self {
            patterns: patterns.chain(names).collect::<io::Result<_>>()?,
            ignored: Ignored::new(ignore, own_directory)?,
            pins: Pins::new()?,
            found: RwLock::default(),
        };
        trees.refresh()?;
        let mut found = trees.found.write().unwrap_or_else(PoisonError::into_inner);
        found.told_mounts = Arc::clone(&found.mounts);
        drop(found);
        Ok(trees)
    }

    /// All roots. None lies in a `Whole` root of the same file system.
    pub fn roots(&self) -> Vec<Root> {
        self.read().roots.clone()
    }

    /// The root with that number.
    pub fn root(&self, id: u32) -> Option<Root> {
        let found = self.read();
        found.roots.iter().find(|root| root.id == id).cloned()
    }

    /// What was mounted when the roots were last looked for.
    pub fn mounts(&self) -> Arc<Mounts> {
        Arc::clone(&self.read().mounts)
    }

    /// Whether the file at a path is watched. The path has no symbolic links in its directories.
    pub fn contains(&self, path: &Text) -> bool {
        let path = path.as_bytes();
        let found = self.read();
        let in_root = |root: &Root| {
            root.depth != RootDepth::Children && path::is_within(path, root.path.as_bytes())
        };
        let is_watched = found.roots.iter().any(in_root)
            || found.awaited.iter().any(|awaited| awaited.contains(path));
        is_watched && !self.ignored.contains(path)
    }

    /// Whether it is told what happens to a path: it is watched, or one of the names, or on the way to these.
    pub(crate) fn tells(&self, path: &Text) -> bool {
        let is_told = |awaited: &Awaited| awaited.is_told(path.as_bytes());
        self.contains(path) || self.read().awaited.iter().any(is_told)
    }

    /// The path of a file by the names that lead to it from a root, the one next to the root first.
    pub fn path_of<'a>(
        &self,
        root_id: u32,
        components: impl IntoIterator<Item = &'a [u8]>,
    ) -> Option<Text> {
        let root = self.root(root_id)?;
        let names = components.into_iter();
        Some(names.fold(root.path, |path, name| path::join(path.as_bytes(), name)))
    }

    /// Whether a directory at a path is a root, or on the way to one, as far as the patterns await it.
    pub fn leads_to_root(&self, path: &Text) -> bool {
        let leads = |awaited: &Awaited| awaited.leads_through(path.as_bytes());
        self.read().awaited.iter().any(leads)
    }

    /// Tells that a directory appeared at a path, by whatever means, and gives the roots that the
    /// patterns come to in addition now. What was made in them meanwhile is the caller's to find.
    pub fn on_created_directory(&self, path: &Text) -> Vec<Root> {
        if !self.leads_to_root(path) {
            return Vec::new();
        }
        self.refresh().unwrap_or_else(|error| {
            tracing::warn!("look for watched trees at `{path}`: {error}");
            Vec::new()
        })
    }

    /// Looks for the roots again and gives those that are new; to be called, too, after something
    /// was mounted or a directory on the way to a root renamed. Roots that are gone are forgotten,
    /// those that remain keep their number.
    pub fn refresh(&self) -> io::Result<Vec<Root>> {
        let mounts = Arc::new(Mounts::read()?);
        let mut expansion = Expansion::default();
        for pattern in &self.patterns {
            pattern.expand(&mut expansion);
        }
        let candidates = self.candidates(&expansion, &mounts);
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        let mut roots: Vec<Root> = Vec::with_capacity(candidates.len());
        let mut fresh = Vec::new();
        for (path, depth) in candidates {
            let Some((file, stat)) = open_root(&path, depth) else {
                continue;
            };
            let same = |other: &&Root| {
                (other.dev, other.inode, other.depth) == (stat.st_dev, stat.st_ino, depth)
            };
            if roots.iter().any(|other| same(&other)) {
                continue;
            }
            if let Some(known) = found.roots.iter().find(same) {
                let known = known.clone();
                roots.push(Root { path, ..known });
                continue;
            }
            found.last_id += 1;
            let root = Root {
                id: found.last_id,
                dev: stat.st_dev,
                inode: stat.st_ino,
                depth,
                _pin: self.pin(&path, file, &mounts),
                path,
            };
            fresh.push(root.clone());
            roots.push(root);
        }
        found.roots = roots;
        found.awaited = expansion.awaited;
        found.mounts = mounts;
        Ok(fresh)
    }

    /// Looks for the roots again if what is mounted in a watched tree, or on the way to one, is
    /// another than at the last call, and gives those that are new; none if nothing of it concerns the trees.
    pub fn on_mounts_changed(&self) -> io::Result<Option<Vec<Root>>> {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        let now = Arc::new(Mounts::read()?);
        let before = std::mem::replace(&mut found.told_mounts, Arc::clone(&now));
        found.mounts = Arc::clone(&now);
        let concerned = |mount: &&Mount| found.concerns(mount.point.as_bytes());
        let is_same = now
            .iter()
            .filter(concerned)
            .eq(before.iter().filter(concerned));
        drop(found);
        if is_same {
            return Ok(None);
        }
        self.refresh().map(Some)
    }

    /// Pins the inode of a root. Without a pin a tree that is removed and made anew can have the
    /// same number, which is no worse than a root that was there all the time.
    fn pin(&self, path: &Text, file: OwnedFd, mounts: &Mounts) -> Option<Arc<Pin>> {
        let mount = mounts.containing(path.as_bytes());
        let may_go = mount.is_none_or(|mount| mount.point.as_bytes() != b"/");
        let pin = self.pins.pin(file, may_go);
        let pin = pin.inspect_err(|error| tracing::warn!("keep `{path}` in memory: {error}"));
        pin.ok().map(Arc::new)
    }

    /// Which paths should be roots: no tree twice, whatever names it has.
    fn candidates(&self, expansion: &Expansion, mounts: &Mounts) -> Vec<(Text, RootDepth)> {
        let mut trees = BTreeSet::new();
        for target in &expansion.targets {
            let is_below =
                |mount: &&Mount| path::is_within(mount.point.as_bytes(), target.as_bytes());
            trees.extend(mounts.iter().filter(is_below).map(|mount| &mount.point));
            trees.insert(target);
        }
        let awaiting = expansion.awaited.iter().map(|awaited| &awaited.directory);
        let holds_files = |path: &&Text| {
            let mount = mounts.containing(path.as_bytes());
            mount.is_some_and(Mount::holds_files) && !self.ignored.contains(path.as_bytes())
        };

        // Outer places come first, and of two names for one place the one that sorts first.
        let mut whole: BTreeMap<Place, Text> = BTreeMap::new();
        let mut files = Vec::new();
        for path in trees.into_iter().filter(holds_files) {
            let Some(place) = mounts.place(path.as_bytes()) else {
                continue;
            };
            match path::as_path(path.as_bytes()).symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => {
                    whole.entry(place).or_insert_with(|| path.clone());
                }
                Ok(_) => files.push((path.clone(), place)),
                Err(_gone) => {}
            }
        }
        let covered = |place: &Place| {
            let strictly = |tree: &&Place| *tree != place && place.is_within(tree);
            whole.keys().any(|tree| strictly(&tree))
        };
        let mut roots: Vec<_> = whole
            .iter()
            .filter(|(place, _)| !covered(place))
            .map(|(_, path)| (path.clone(), RootDepth::Whole))
            .collect();
        files.retain(|(_, place)| !covered(place));
        roots.extend(files.into_iter().map(|(path, _)| (path, RootDepth::File)));
        let awaiting: BTreeSet<_> = awaiting.filter(holds_files).collect();
        for path in awaiting {
            let place = mounts.place(path.as_bytes());
            if place.is_some_and(|place| !covered(&place) && !whole.contains_key(&place)) {
                roots.push((path.clone(), RootDepth::Children));
            }
        }
        roots
    }

    fn read(&self) -> RwLockReadGuard<'_, Found> {
        self.found.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens what is to be a root; none if it is gone or has become something else meanwhile.
fn open_root(path: &Text, depth: RootDepth) -> Option<(OwnedFd, Stat)> {
    let file = open::file(path).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    (is_directory == (depth != RootDepth::File)).then_some((file, stat))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    struct Host(tempfile::TempDir);

    impl Host {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, below: &str) -> Text {
            path::join(
                self.0.path().as_os_str().as_encoded_bytes(),
                below.as_bytes(),
            )
        }

        fn mkdir(&self, below: &str) {
            fs::create_dir_all(self.0.path().join(below)).unwrap();
        }

        fn trees(&self, patterns: &[&str]) -> Trees {
            let absolute: Vec<_> = patterns.iter().map(|p| self.path(p).to_lossy()).collect();
            Trees::discover(
                &absolute,
                &["*.swp".to_owned()],
                &self.0.path().join("store"),
            )
            .unwrap()
        }

        /// The roots as `depth path` with the path below the temporary directory.
        fn roots(&self, roots: &[Root]) -> Vec<String> {
            let prefix = self.0.path().as_os_str().as_encoded_bytes();
            let mut lines: Vec<_> = roots
                .iter()
                .map(|root| {
                    let below = path::below(root.path.as_bytes(), prefix).unwrap();
                    format!("{:?} {}", root.depth, String::from_utf8_lossy(below))
                })
                .collect();
            lines.sort();
            lines
        }
    }

    #[test]
    fn another_mount_is_told_though_the_roots_were_looked_for_since() {
        let host = Host::new();
        host.mkdir("etc");
        let trees = host.trees(&["etc"]);
        assert!(trees.on_mounts_changed().unwrap().is_none());
        // As if something had been mounted there, and were no more.
        let gone = format!("990 1 0:99 / {} rw - tmpfs none rw\n", host.path("etc/sub"));
        let before = Arc::new(Mounts::parse(gone.as_bytes()).unwrap());
        let mut found = trees.found.write().unwrap();
        found.mounts = Arc::clone(&before);
        found.told_mounts = before;
        drop(found);
        trees.refresh().unwrap();
        assert!(trees.on_mounts_changed().unwrap().is_some());
        assert!(trees.on_mounts_changed().unwrap().is_none());
    }

    #[test]
    fn a_tree_is_a_root_and_its_directory_is_watched_for_another_one() {
        let host = Host::new();
        host.mkdir("etc/ssh");
        let trees = host.trees(&["etc", "etc/ssh"]);
        assert_eq!(host.roots(&trees.roots()), ["Children ", "Whole etc"]);
        let etc = trees
            .roots()
            .into_iter()
            .find(|root| root.depth == RootDepth::Whole)
            .unwrap();
        let metadata = fs::metadata(host.0.path().join("etc")).unwrap();
        assert_eq!((etc.dev, etc.inode), (metadata.dev(), metadata.ino()));
        assert_eq!(
            trees.path_of(etc.id, [b"a".as_slice(), b"\xff"]),
            Some(path::join(host.path("etc/a").as_bytes(), b"\xff"))
        );
        assert!(trees.contains(&host.path("etc/ssh/x")));
        assert!(!trees.contains(&host.path("etc/.x.swp")));
        assert!(!trees.contains(&host.path("etcetera")));
        assert!(!trees.contains(&host.path("")));
    }

    #[test]
    fn a_tree_that_appears_later_becomes_a_root() {
        let host = Host::new();
        host.mkdir("home/alice");
        let trees = host.trees(&["home/*/.ssh"]);
        assert_eq!(
            host.roots(&trees.roots()),
            ["Children home", "Children home/alice"]
        );
        assert!(trees.contains(&host.path("home/alice/.ssh")));
        assert!(!trees.contains(&host.path("home/alice/x")));
        host.mkdir("home/alice/x");
        assert!(
            trees
                .on_created_directory(&host.path("home/alice/x"))
                .is_empty()
        );
        host.mkdir("home/alice/.ssh");
        let fresh = trees.on_created_directory(&host.path("home/alice/.ssh"));
        assert_eq!(host.roots(&fresh), ["Whole home/alice/.ssh"]);
        host.mkdir("home/bob/.ssh");
        let fresh = trees.on_created_directory(&host.path("home/bob"));
        assert_eq!(
            host.roots(&fresh),
            ["Children home/bob", "Whole home/bob/.ssh"]
        );
    }

    #[test]
    fn a_replaced_tree_is_a_new_root_and_the_others_keep_their_numbers() {
        let host = Host::new();
        host.mkdir("a");
        host.mkdir("b");
        let trees = host.trees(&["a", "b"]);
        let before = trees.roots();
        fs::remove_dir(host.0.path().join("a")).unwrap();
        host.mkdir("a");
        let fresh = trees.on_created_directory(&host.path("a"));
        assert_eq!(host.roots(&fresh), ["Whole a"]);
        assert!(before.iter().all(|root| root.id != fresh[0].id));
        assert_eq!(trees.roots().len(), before.len());
        let kept = |root: &&Root| before.iter().any(|old| old.id == root.id);
        assert_eq!(trees.roots().iter().filter(kept).count(), 2);
    }

    #[test]
    fn a_tree_behind_a_symbolic_link_is_watched_once_under_its_own_name() {
        let host = Host::new();
        host.mkdir("usr/lib/modprobe.d");
        symlink("usr/lib", host.0.path().join("lib")).unwrap();
        let trees = host.trees(&["lib/modprobe.d", "usr/lib/modprobe.d"]);
        assert_eq!(
            host.roots(&trees.roots()),
            ["Children usr/lib", "Whole usr/lib/modprobe.d"]
        );
        let later = host.trees(&["lib/sysctl.d"]);
        assert!(later.contains(&host.path("usr/lib/sysctl.d/x")));
    }

    #[test]
    fn a_single_file_is_watched_together_with_its_place() {
        let host = Host::new();
        fs::write(host.0.path().join("motd"), "hello").unwrap();
        let trees = host.trees(&["motd"]);
        assert_eq!(host.roots(&trees.roots()), ["Children ", "File motd"]);
        assert!(trees.contains(&host.path("motd")));
        assert!(!trees.contains(&host.path("motd2")));
    }

    #[test]
    fn names_are_told_of_in_their_directory_and_not_watched() {
        let host = Host::new();
        host.mkdir("lib/python3.11/packages/a.info");
        host.mkdir("lib/python3.9");
        let names = ["lib/python3*/packages/*", "lib/apk/installed"];
        let names = names.map(|names| host.path(names).to_lossy());
        let trees = Trees::discover_with_names(&[], &names, &[], Path::new("/nowhere")).unwrap();
        let roots = [
            "Children lib",
            "Children lib/python3.11/packages",
            "Children lib/python3.9",
        ];
        assert_eq!(host.roots(&trees.roots()), roots);
        assert!(!trees.contains(&host.path("lib/python3.11/packages/a.info")));
        assert!(trees.tells(&host.path("lib/python3.11/packages/a.info")));
        assert!(trees.tells(&host.path("lib/python3.11/packages")));
        assert!(!trees.tells(&host.path("lib/python3.11/other")));
        assert!(!trees.leads_to_root(&host.path("lib/python3.11/packages/b.info")));
        assert!(!trees.contains(&host.path("lib/apk/installed")));
        host.mkdir("lib/python3.9/packages");
        let fresh = trees.on_created_directory(&host.path("lib/python3.9/packages"));
        assert_eq!(host.roots(&fresh), ["Children lib/python3.9/packages"]);
        host.mkdir("lib/apk");
        let fresh = trees.on_created_directory(&host.path("lib/apk"));
        assert_eq!(host.roots(&fresh), ["Children lib/apk"]);
    }

    #[test]
    fn the_store_s_own_directory_is_never_watched() {
        let host = Host::new();
        host.mkdir("store/x");
        let trees = host.trees(&["*"]);
        assert_eq!(host.roots(&trees.roots()), ["Children "]);
        assert!(!trees.contains(&host.path("store/x")));
    }

    #[test]
    fn files_made_up_by_the_kernel_are_no_tree() {
        let trees = Trees::discover(&["/proc/sys".to_owned()], &[], Path::new("/nowhere")).unwrap();
        assert!(trees.roots().is_empty());
    }
}
