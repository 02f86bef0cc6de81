//! Real pip, gem and pacman, each with packages that the test makes: installed, upgraded and removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;

use serde_json::Value;

use super::{ONE_AT_A_TIME, done, python, versions};
use crate::stage::{both, succeed};

/// Where packages are made.
const FOLDER: &str = "/var/lib/packages/made";

/// Runs a program that changes packages.
fn change(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.env("HOME", "/root").env("LC_ALL", "C.UTF-8");
    succeed(command.args(arguments).current_dir(FOLDER));
}

/// What a change says of the run that owns it.
fn run_of(change: &Value) -> [String; 2] {
    let id = change["run"].to_string();
    let run = both()[0].ask(&["runs", &id]).remove(0);
    ["kind", "tool"].map(|name| run[name].as_str().unwrap_or_default().to_owned())
}

fn make_folder(name: &str) -> PathBuf {
    let folder = Path::new(FOLDER).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Makes a wheel of a version: an archive with a module and what describes it.
fn wheel(version: &str) -> String {
    make_folder("");
    let name = format!("{FOLDER}/tracer_demo-{version}-py3-none-any.whl");
    let script = format!(
        "
import zipfile
wheel = zipfile.ZipFile('{name}', 'w')
about = 'tracer_demo-{version}.dist-info/'
wheel.writestr('tracer_demo.py', 'version = \"{version}\"')
wheel.writestr(about + 'METADATA', 'Metadata-Version: 2.1\\nName: tracer-demo\\nVersion: {version}\\n')
wheel.writestr(about + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
wheel.writestr(about + 'RECORD', ''.join(about + file + ',,\\n' for file in ('METADATA', 'WHEEL', 'RECORD'))
    + 'tracer_demo.py,,\\n')
wheel.close()
"
    );
    python(&script);
    name
}

#[test]
fn a_package_of_pip_is_installed_upgraded_and_removed() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let [old, new] = ["1.2", "1.10"].map(wheel);
    both();
    let subject = "package:pip/tracer-demo";
    let pip = |arguments: &[&str]| {
        let quiet = [
            "--disable-pip-version-check",
            "--no-input",
            "--no-cache-dir",
        ];
        change("pip", &[&quiet, arguments].concat());
    };
    let install = [
        "install",
        "--break-system-packages",
        "--no-index",
        "--no-compile",
    ];
    pip(&[&install, [old.as_str()].as_slice()].concat());
    let told = done(subject, (1, "install", "python3"));
    assert_eq!(versions(&told), [None, Some("1.2")]);
    assert_eq!(run_of(&told), ["package-manager", "pip"], "{told:#}");
    assert_eq!(told["actor"]["by"], "package-manager", "{told:#}");
    pip(&[&install, [new.as_str()].as_slice()].concat());
    let told = done(subject, (2, "upgrade", "python3"));
    assert_eq!(versions(&told), [Some("1.2"), Some("1.10")]);
    pip(&[
        "uninstall",
        "--break-system-packages",
        "--yes",
        "tracer-demo",
    ]);
    let told = done(subject, (3, "remove", "python3"));
    assert_eq!(versions(&told), [Some("1.10"), None]);
    assert_eq!(run_of(&told), ["package-manager", "pip"], "{told:#}");
}

/// Builds a version of a gem that has no files.
fn gem_build(version: &str) -> String {
    let folder = make_folder("gem");
    let text = format!(
        "Gem::Specification.new do |gem|
  gem.name = 'tracer-demo'
  gem.version = '{version}'
  gem.summary = 'greets'
  gem.authors = ['Nobody']
end
"
    );
    let spec = folder.join("tracer-demo.gemspec");
    fs::write(&spec, text).unwrap();
    let mut gem = Command::new("gem");
    succeed(
        gem.arg("build")
            .arg(&spec)
            .current_dir(&folder)
            .env("HOME", "/root"),
    );
    format!("{FOLDER}/gem/tracer-demo-{version}.gem")
}

#[test]
fn a_gem_is_installed_upgraded_and_removed() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let [old, new] = ["1.2", "1.10"].map(gem_build);
    both();
    let subject = "package:gem/tracer-demo";
    change("gem", &["install", "--local", "--no-document", &old]);
    let told = done(subject, (1, "install", "ruby"));
    assert_eq!(versions(&told), [None, Some("1.2")]);
    assert_eq!(run_of(&told), ["package-manager", "gem"], "{told:#}");
    // The old version stays beside the new one.
    change("gem", &["install", "--local", "--no-document", &new]);
    let told = done(subject, (2, "upgrade", "ruby"));
    assert_eq!(versions(&told), [Some("1.2"), Some("1.10")]);
    assert_eq!(told["after"]["also"], "1.2", "{told:#}");
    change(
        "gem",
        &["uninstall", "--all", "--executables", "tracer-demo"],
    );
    let told = done(subject, (3, "remove", "ruby"));
    assert_eq!(versions(&told), [Some("1.10"), None]);
}

/// Makes an archive of a version that has one file, as makepkg does.
fn pacman_package(version: &str) -> String {
    let folder = make_folder(&format!("pacman-{version}"));
    fs::create_dir_all(folder.join("etc")).unwrap();
    fs::write(
        folder.join("etc/demo.pacman.conf"),
        format!("version = {version}\n"),
    )
    .unwrap();
    let about = format!(
        "pkgname = tracer-demo\npkgver = {version}-1\npkgdesc = greets\nbuilddate = 1700000000\n\
         packager = Nobody\nsize = 16\narch = any\n"
    );
    fs::write(folder.join(".PKGINFO"), about).unwrap();
    let file = format!("{FOLDER}/tracer-demo-{version}-1-any.pkg.tar");
    let mut tar = Command::new("tar");
    tar.arg("-C")
        .arg(&folder)
        .args(["--owner=0", "--group=0", "-cf", &file]);
    succeed(tar.args([".PKGINFO", "etc"]));
    file
}

#[test]
fn a_package_of_pacman_is_installed_upgraded_downgraded_and_removed() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let [old, new] = ["1.2", "1.10"].map(pacman_package);
    let config = format!("{FOLDER}/pacman.conf");
    fs::write(
        &config,
        "[options]\nSigLevel = Never\nArchitecture = auto\n",
    )
    .unwrap();
    both();
    let subject = "package:pacman/tracer-demo";
    let pacman = |arguments: &[&str]| {
        let always = ["--noconfirm", "--config", &config];
        change("pacman", &[arguments, &always].concat());
    };
    pacman(&["--upgrade", &old]);
    let told = done(subject, (1, "install", "pacman"));
    assert_eq!(versions(&told), [None, Some("1.2-1")]);
    assert_eq!(run_of(&told), ["package-manager", "pacman"], "{told:#}");
    let path = "/etc/demo.pacman.conf";
    done(path, (1, "create", "pacman"));
    pacman(&["--upgrade", &new]);
    let told = done(subject, (2, "upgrade", "pacman"));
    assert_eq!(versions(&told), [Some("1.2-1"), Some("1.10-1")]);
    for daemon in both() {
        // pacman removes the old file and makes a new one, which the one way tells as a `modify`.
        let told = &daemon.ask(&["who", path])[0];
        assert!(
            ["create", "modify"].map(Value::from).contains(&told["op"]),
            "{told:#}"
        );
        assert_eq!(told["package"], "pacman/tracer-demo", "{told:#}");
    }
    pacman(&["--upgrade", &old]);
    let told = done(subject, (3, "downgrade", "pacman"));
    assert_eq!(versions(&told), [Some("1.10-1"), Some("1.2-1")]);
    pacman(&["--remove", "tracer-demo"]);
    let told = done(subject, (4, "remove", "pacman"));
    assert_eq!(versions(&told), [Some("1.2-1"), None]);
}
