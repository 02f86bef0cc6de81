//! Packages of other managers than dpkg, seen by programs in the kernel and by fanotify at once: a real rpm here, real
//! pip, gem and pacman in `managers`, and what pip and npm do to their folders when they take long.

mod managers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, Once, PoisonError};

use serde_json::Value;
use tests::wait_for;

use crate::stage::{apt_get, both, dpkg_deb, succeed};

/// rpm locks its database, and what one test does is not another one's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Debian's rpm has its database elsewhere.
const DATABASE: &str = "/var/lib/rpm";
const PIP: &str = "/usr/local/lib/python3.11/dist-packages";
const GEM: &str = "/var/lib/gems/3.1.0/specifications";
const PACMAN: &str = "/var/lib/pacman/local";

/// Makes the databases of package managers, which daemons look for when they start.
pub(crate) fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        for folder in [DATABASE, PIP, GEM, PACMAN] {
            fs::create_dir_all(folder).unwrap();
        }
        rpm(&["--initdb"]);
    });
}

fn rpm(args: &[&str]) -> String {
    let mut rpm = Command::new("rpm");
    rpm.args(["--dbpath", DATABASE]);
    succeed(rpm.args(args))
}

/// Builds a version of a package that has one file.
fn rpmbuild(name: &str, version: &str) -> PathBuf {
    let folder = Path::new("/var/lib/packages/rpm").join(version);
    fs::create_dir_all(&folder).unwrap();
    let spec = folder.join("package.spec");
    let text = format!(
        "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: greets\nLicense: none\nBuildArch: noarch\n\
         %description\nGreets.\n%install\nmkdir -p %{{buildroot}}/opt/{name} %{{buildroot}}/etc\n\
         echo {version} > %{{buildroot}}/opt/{name}/greeting\necho {version} > %{{buildroot}}/etc/{name}.rpm.conf\n\
         %files\n/opt/{name}/greeting\n/etc/{name}.rpm.conf\n"
    );
    fs::write(&spec, text).unwrap();
    let mut rpmbuild = Command::new("rpmbuild");
    rpmbuild.args(["-bb", "--quiet", "--define"]);
    rpmbuild.arg(format!("_topdir {}", folder.display()));
    succeed(rpmbuild.arg(&spec).env("HOME", "/root"));
    folder.join(format!("RPMS/noarch/{name}-{version}-1.noarch.rpm"))
}

fn python(script: &str) {
    succeed(Command::new("python3").args(["-c", script]));
}

/// The newest of exactly so many changes of a subject, in both ways of watching: done by that program.
fn done(subject: &str, (count, op, by): (usize, &str, &str)) -> Value {
    let all = both().map(|daemon| {
        let mut all = wait_for("the change is told", || {
            let all = daemon.ask(&["who", subject, "-n", "100"]);
            let is_told = all.len() >= count;
            is_told
                .then(|| all.clone())
                .ok_or(format!("{subject}: {all:#?}"))
        });
        assert_eq!(all.len(), count, "{subject}: {all:#?}");
        let change = all.remove(0);
        assert_eq!(change["op"], op, "{change:#}");
        assert_eq!(change["certainty"], "exact", "{change:#}");
        let exe = change["actor"]["process"]["exe"].as_str();
        let program = exe.unwrap_or_default().rsplit('/').next();
        assert!(program.unwrap_or_default().starts_with(by), "{change:#}");
        change
    });
    let [first, _] = all;
    first
}

fn versions(change: &Value) -> [Option<&str>; 2] {
    ["before", "after"].map(|side| change[side]["version"].as_str())
}

#[test]
fn a_package_of_rpm_is_installed_upgraded_downgraded_and_removed() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let [old, new] = ["1.2", "1.10"].map(|version| rpmbuild("greet", version));
    let [old, new] = [&old, &new].map(|file| file.to_str().unwrap());
    let subject = "package:rpm/greet";
    both();
    rpm(&["--nodeps", "--install", old]);
    let change = done(subject, (1, "install", "rpm"));
    assert_eq!(versions(&change), [None, Some("1.2-1")]);
    assert_eq!(change["after"]["arch"], "noarch", "{change:#}");
    let path = "/etc/greet.rpm.conf";
    done(path, (1, "create", "rpm"));
    fs::write(path, "mine\n").unwrap();
    let change = done(path, (2, "modify", ""));
    assert_eq!(change["package"], "rpm/greet", "{change:#}");
    rpm(&["--nodeps", "--upgrade", new]);
    let change = done(subject, (2, "upgrade", "rpm"));
    assert_eq!(versions(&change), [Some("1.2-1"), Some("1.10-1")]);
    rpm(&["--nodeps", "--upgrade", "--oldpackage", old]);
    let change = done(subject, (3, "downgrade", "rpm"));
    assert_eq!(versions(&change), [Some("1.10-1"), Some("1.2-1")]);

    // rpm itself is not kept from anything, and its database not touched.
    let known = rpm(&["--query", "--all"]);
    assert_eq!(known.trim(), "greet-1.2-1.noarch");
    let listed = both()[0].ask(&["facts", "--kind", "package"]);
    let is_of_rpm = |fact: &&Value| {
        let key = fact["subject"]["key"].as_str();
        key.is_some_and(|key| key.starts_with("rpm/"))
    };
    assert_eq!(listed.iter().filter(is_of_rpm).count(), 1, "{listed:#?}");

    rpm(&["--nodeps", "--erase", "greet"]);
    let change = done(subject, (4, "remove", "rpm"));
    assert_eq!(change["after"], Value::Null, "{change:#}");
    let change = &both()[0].ask(&["who", path])[0];
    assert_eq!(change["op"], "delete", "{change:#}");
    assert_eq!(change["package"], "rpm/greet", "{change:#}");
    for daemon in both() {
        let files = daemon.ask(&["log", "--kind", "file", "--path", "/var/lib/rpm/**"]);
        assert!(files.is_empty(), "{files:#?}");
    }
}

#[test]
fn a_package_of_rpm_is_known_that_a_library_within_a_program_installs() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    both();
    let package = rpmbuild("greet-more", "3");
    // The program is another one by its name, and never asks for anything through `rpm`.
    fs::copy("/usr/bin/rpm", "/usr/bin/provision").unwrap();
    let mut provision = Command::new("/usr/bin/provision");
    provision.args([
        "--dbpath",
        DATABASE,
        "--nodeps",
        "--nosignature",
        "--install",
    ]);
    succeed(provision.arg(&package));
    done("package:rpm/greet-more", (1, "install", "provision"));
    rpm(&["--nodeps", "--erase", "greet-more"]);
    done("package:rpm/greet-more", (2, "remove", "rpm"));
}

#[test]
fn what_pip_does_to_its_folder_is_an_upgrade() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    both();
    let subject = "package:pip/left-pad";
    // pip renames the old one out of the way, makes the new one, and removes what is left of the old one.
    let install = "
import os
folder = '/usr/lib/python3/dist-packages/'
os.mkdir(folder + 'left_pad-1.9.dist-info')
open(folder + 'left_pad-1.9.dist-info/METADATA', 'w').write('Name: left-pad\\nVersion: 1.9\\n')
";
    python(install);
    let change = done(subject, (1, "install", "python3"));
    assert_eq!(versions(&change), [None, Some("1.9")]);
    let upgrade = "
import os, shutil, time
folder = '/usr/lib/python3/dist-packages/'
os.rename(folder + 'left_pad-1.9.dist-info', folder + '~eft_pad-1.9.dist-info')
time.sleep(3)
os.mkdir(folder + 'left_pad-1.10.dist-info')
shutil.rmtree(folder + '~eft_pad-1.9.dist-info')
";
    python(upgrade);
    let change = done(subject, (2, "upgrade", "python3"));
    assert_eq!(versions(&change), [Some("1.9"), Some("1.10")]);
    let folder = change["after"]["folder"].as_str();
    assert_eq!(folder, Some("/usr/lib/python3/dist-packages"), "{change:#}");
    // pip takes the folder along with the last package in it, and may have done so in another test.
    fs::create_dir_all(Path::new(PIP).join("left_pad-1.2.dist-info")).unwrap();
    let change = done(subject, (3, "downgrade", ""));
    assert_eq!(versions(&change), [Some("1.10"), Some("1.2")]);
    let also = change["after"]["also"].as_str();
    assert_eq!(also, Some("1.10 in /usr/lib/python3/dist-packages"));
    let listed = both()[0].ask(&["facts", "--kind", "package"]);
    let is_ansible = |fact: &&Value| fact["subject"]["key"] == "pip/ansible";
    assert!(
        listed.iter().any(|fact| is_ansible(&fact)),
        "Debian's own, too"
    );
}

#[test]
fn a_package_of_npm_is_known_once_it_is_in_its_folder() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    both();
    // npm makes the folder, fetches the package, and unpacks it. This is the first one on this host.
    let install = "
import os, time
folder = '/usr/local/lib/node_modules/@scope/left-pad'
os.makedirs(folder)
time.sleep(3)
package = open(folder + '/package.json', 'w')
time.sleep(2)
package.write('{\"version\": \"1.3.0\"}')
";
    python(install);
    let change = done("package:npm/@scope/left-pad", (1, "install", "python3"));
    assert_eq!(versions(&change), [None, Some("1.3.0")]);
    let upgrade = "
import os, time
os.chdir('/usr/local/lib/node_modules/@scope')
os.rename('left-pad', '.left-pad-Xy')
os.mkdir('left-pad')
time.sleep(3)
open('left-pad/package.json', 'w').write('{\"version\": \"1.10.0\"}')
";
    python(upgrade);
    let change = done("package:npm/@scope/left-pad", (2, "upgrade", "python3"));
    assert_eq!(versions(&change), [Some("1.3.0"), Some("1.10.0")]);
}

#[test]
fn a_gem_is_known_by_its_specification() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    both();
    let install = "
folder = '/var/lib/gems/3.1.0/specifications'
open(folder + '/rack-2.2.4.gemspec', 'w').write('x')
";
    python(install);
    let change = done("package:gem/rack", (1, "install", "python3"));
    assert_eq!(versions(&change), [None, Some("2.2.4")]);
    fs::remove_file(Path::new(GEM).join("rack-2.2.4.gemspec")).unwrap();
    done("package:gem/rack", (2, "remove", ""));
}

#[test]
fn a_change_of_a_file_knows_the_package_that_owns_it() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    both();
    let path = "/etc/owned.conf";
    apt_get(&dpkg_deb("owned", "1.0", &[path]));
    let change = done(path, (1, "create", "dpkg"));
    assert_eq!(change["package"], "owned", "{change:#}");
    fs::write(path, "greeting = another\n").unwrap();
    let change = done(path, (2, "modify", ""));
    assert_eq!(change["package"], "owned", "{change:#}");
    for daemon in both() {
        let told = daemon.tell(&["who", path]);
        assert!(
            told.contains("the file belongs to the package owned"),
            "{told}"
        );
    }
    let mut purge = Command::new("apt-get");
    purge.env("DEBIAN_FRONTEND", "noninteractive");
    succeed(purge.args(["purge", "-y", "owned"]));
    let change = done(path, (3, "delete", "dpkg"));
    assert_eq!(
        change["package"], "owned",
        "it was when it went: {change:#}"
    );
    fs::write(path, "mine\n").unwrap();
    let change = done(path, (4, "create", ""));
    assert_eq!(change["package"], Value::Null, "{change:#}");
}
