//! The thread that the kernel tells of what the service manager starts and ends, and of changes of unit files.
//! Nothing is read until something has happened.

use std::collections::BTreeMap;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use change::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use crate::capture::Capture;
use crate::daemon::kernel::Settler;
use crate::daemon::now;
use crate::inventory::{Facts, Services, is_started, unit_of_drop_ins};

/// What is done together is looked at together: a restart ends a service and starts it.
const REST: Duration = Duration::from_millis(100);

/// So long after the boot began all that it starts has been started, mostly. What has not been is looked for then.
pub(super) const BOOTING: Duration = Duration::from_mins(2);

/// How often it is looked again at most where something goes on happening.
const LOOKS: usize = 10;

/// So many names of files that changed are known at most between two looks.
const MOST_FILES: usize = 1024;

const ROOT: &str = "/";

/// What happened to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Happened {
    /// The manager began to start it.
    Began,
    /// It has ended: well, as far as is known yet.
    Ended,
    /// It has ended, and not well.
    Failed,
}

/// What one look at the services found.
pub(in crate::daemon) struct Look {
    pub(super) services: Arc<Services>,
    pub(super) found: Facts,
    /// What happened until then since the last look, in order, each with the unit.
    pub(super) happened: Vec<(String, Timestamp, Happened)>,
    /// The unit files and links that changed.
    pub(super) files: Files,
    /// When it was looked.
    pub(super) at: Timestamp,
}

/// Unit files and links that changed, and when.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Files {
    /// When the first of them did.
    first: Option<Timestamp>,
    /// When each did last, by its name.
    each: BTreeMap<String, Timestamp>,
}

impl Files {
    fn changed(&mut self, name: Option<&str>, time: Timestamp) {
        self.first.get_or_insert(time);
        if let Some(name) = name
            && (self.each.len() < MOST_FILES || self.each.contains_key(name))
        {
            self.each.insert(name.to_owned(), time);
        }
    }

    /// When something of a unit changed last, where that is known by a name of it, else when the first did; none if
    /// nothing changed.
    pub(super) fn time_of(&self, is_of_it: impl Fn(&str) -> bool) -> Option<Timestamp> {
        let times = self.each.iter().filter(|(name, _)| is_of_it(name));
        times.map(|(_, time)| *time).max().or(self.first)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

/// Tells of what happens to services, as long as the process lives.
pub(in crate::daemon) fn watch(settler: &Settler, capture: &Capture) {
    let root = Path::new(ROOT);
    if !Services::started_folder(root).is_dir() {
        tracing::debug!("this host has no systemd: services are not watched");
        return;
    }
    match Watch::open(root, capture) {
        Ok(mut watch) => {
            if let Err(error) = watch.run(settler) {
                tracing::error!("wait for what happens to services: {error}");
            }
        }
        Err(error) => tracing::error!("watch the services: {error}"),
    }
}

/// What is known between two looks.
struct Watch<'r> {
    root: &'r Path,
    capture: &'r Capture,
    inotify: OwnedFd,
    /// The number of the folder where the manager keeps what it has started.
    started: i32,
    /// The other folders by their numbers, with whether unit files lie there.
    folders: BTreeMap<i32, (PathBuf, bool)>,
    services: Arc<Services>,
    happened: Vec<(String, Timestamp, Happened)>,
    files: Files,
}

impl<'r> Watch<'r> {
    fn open(root: &'r Path, capture: &'r Capture) -> Result<Self, Errno> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let folder = Services::started_folder(root);
        let started = inotify::add_watch(&inotify, &folder, CHANGES)?;
        let mut watch = Self {
            root,
            capture,
            inotify,
            started,
            folders: BTreeMap::new(),
            services: Arc::default(),
            happened: Vec::new(),
            files: Files::default(),
        };
        watch.read_files();
        Ok(watch)
    }

    /// Watches the folders of unit files that there are, and then reads them.
    fn read_files(&mut self) {
        for folder in Services::folders(self.root) {
            self.watch_folder(folder, true);
        }
        let mut services = self.read_services();
        let mut are_new = false;
        for folder in services.environment_folders() {
            are_new |= self.watch_folder(folder, false);
        }
        if are_new {
            // What was written there before it was watched.
            services = self.read_services();
        }
        self.services = Arc::new(services);
    }

    fn read_services(&self) -> Services {
        let is_secret = |path: &Path, bytes: &[u8]| self.capture.is_secret(path, bytes);
        Services::read(self.root, &is_secret)
    }

    /// Watches a folder where there is one, and tells whether it was not watched before.
    fn watch_folder(&mut self, folder: PathBuf, has_units: bool) -> bool {
        match inotify::add_watch(&self.inotify, &folder, CHANGES) {
            Ok(number) => {
                let known = self.folders.get(&number);
                let has_units = has_units || known.is_some_and(|(_, has_units)| *has_units);
                self.folders.insert(number, (folder, has_units)).is_none()
            }
            Err(Errno::NOENT) => false,
            Err(error) => {
                tracing::warn!("watch `{}`: {error}", folder.display());
                false
            }
        }
    }

    /// A file changed that may say something of services.
    fn file_changed(&mut self, folder: i32, name: Option<&str>, time: Timestamp) {
        let Some(((folder, has_units), name)) = self.folders.get(&folder).zip(name) else {
            return self.files.changed(None, time);
        };
        let file = folder.join(name);
        for unit in self.services.units_of_environment(&file) {
            self.files.changed(Some(unit), time);
        }
        if *has_units {
            let unit = folder
                .file_name()
                .and_then(|folder| unit_of_drop_ins(folder.to_str()?));
            self.files.changed(Some(unit.unwrap_or(name)), time);
        }
    }

    /// Goes on until waiting fails.
    fn run(&mut self, settler: &Settler) -> Result<(), Errno> {
        let mut again = BOOTING.checked_sub(since_boot());
        loop {
            self.hand_on(settler)?;
            if !self.wait(again)? {
                again = None;
            }
            self.gather()?;
        }
    }

    /// Waits until something has happened; false when that took too long.
    fn wait(&self, patience: Option<Duration>) -> Result<bool, Errno> {
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        let mut polled = [PollFd::new(&self.inotify, PollFlags::IN)];
        match poll(&mut polled, patience.as_ref()) {
            Ok(count) => Ok(count > 0),
            // Reading tells that there is nothing.
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Takes in what happens until a moment passes in which nothing does, but not for ever.
    fn gather(&mut self) -> Result<(), Errno> {
        for _ in 0..LOOKS {
            self.take()?;
            if !self.wait(Some(REST))? {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Result<(), Errno> {
        let mut memory = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut memory);
        let mut files: Vec<(i32, Option<String>, Timestamp)> = Vec::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error),
            };
            let now = now();
            let name = event.file_name().map(std::ffi::CStr::to_bytes);
            if event.wd() != self.started {
                let name = name.and_then(|name| str::from_utf8(name).ok());
                files.push((event.wd(), name.map(str::to_owned), now));
                continue;
            }
            let Some(unit) = name.and_then(is_started) else {
                continue;
            };
            let gone = ReadFlags::DELETE | ReadFlags::MOVED_FROM;
            let (happened, time) = if event.events().intersects(gone) {
                (Happened::Ended, now)
            } else {
                (Happened::Began, made_at(self.root, unit).unwrap_or(now))
            };
            self.happened.push((unit.to_owned(), time, happened));
        }
        for (folder, name, time) in files {
            self.file_changed(folder, name.as_deref(), time);
        }
        Ok(())
    }

    /// Looks at all services, and hands that on.
    fn hand_on(&mut self, settler: &Settler) -> Result<(), Errno> {
        let mut found = self.look();
        for _ in 0..LOOKS {
            // What happened while it was looked may be in it, and is to be known then.
            if !self.wait(Some(Duration::ZERO))? {
                break;
            }
            self.gather()?;
            found = self.look();
        }
        settler.services_changed(Look {
            services: Arc::clone(&self.services),
            found,
            happened: std::mem::take(&mut self.happened),
            files: std::mem::take(&mut self.files),
            at: now(),
        });
        Ok(())
    }

    fn look(&mut self) -> Facts {
        let mut units = self.happened.iter().map(|(unit, ..)| unit);
        if !self.files.is_empty() || !units.all(|unit| self.services.has(unit)) {
            self.read_files();
        }
        self.services.facts()
    }
}

/// What comes and goes in a folder, under which name ever.
const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CLOSE_WRITE);

/// When the manager made the link of a unit, if it is there still.
fn made_at(root: &Path, unit: &str) -> Option<Timestamp> {
    let link = Services::started_link(root, unit);
    let found = fs::symlink_metadata(link).ok()?;
    let nanos = u32::try_from(found.mtime_nsec()).ok()?;
    Some(Timestamp::from_parts(found.mtime(), nanos))
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_of_a_unit_is_timed_by_its_own_names() {
        let at = Timestamp::from_nanos;
        let mut files = Files::default();
        assert_eq!(files.time_of(|_| true), None);
        files.changed(Some("a.service"), at(1));
        files.changed(Some("b.service"), at(5));
        files.changed(Some("b.service"), at(7));
        files.changed(None, at(9));
        assert_eq!(files.time_of(|name| name == "b.service"), Some(at(7)));
        assert_eq!(files.time_of(|name| name == "c.service"), Some(at(1)));
    }
}
