//! mdalp as a user has it: installed by `make install`.

use crate::support::{PROGRAM, Scratch, agree, has_tool, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn make(target: &str, destination: &Path) {
    let mut make = Command::new("make");
    make.current_dir(env!("CARGO_MANIFEST_DIR")).args([target, "PREFIX=/opt/some where"]);
    make.arg(format!("DESTDIR={}", destination.display())).arg(format!("BINARY={PROGRAM}"));
    run(&mut make, 0);
}

fn files_under(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

#[test]
fn what_is_installed_runs_can_be_read_and_is_taken_away_again() {
    if !(has_tool("make") && has_tool("gzip")) {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch.path("");
    make("install", &root);
    let installed = [
        "bin/mdalp",
        "share/man/man1/mdalp.1.gz",
        "share/man/man7/mdalp.7.gz",
        "share/bash-completion/completions/mdalp",
        "share/zsh/site-functions/_mdalp",
        "share/fish/vendor_completions.d/mdalp.fish",
    ]
    .map(|path| root.join("opt/some where").join(path));
    agree("what make install installs", installed.clone(), files_under(&root));

    let [program, manual, protocol, ..] = installed;
    let version = run(Command::new(program).arg("--version"), 0).stdout;
    assert_eq!(version, format!("mdalp {}\n", env!("CARGO_PKG_VERSION")));
    if has_tool("man") {
        for (path, expected) in [(manual, "--give-up"), (protocol, "LOAD BALANCING")] {
            let mut man = Command::new("man");
            let page = run(man.arg("-l").arg(path).env("MANWIDTH", "80").env("LC_ALL", "C"), 0).stdout;
            assert!(page.contains(expected), "{page}");
        }
    }

    make("uninstall", &root);
    assert!(files_under(&root).is_empty());
}
