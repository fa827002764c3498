//! mdalp as a user has it: installed by `make install`, and used as the manual's examples show.

use crate::loopback::{Receiver, Script, Servers};
use crate::support::{Scratch, agree, has_tool};
use mdalp::cli::HELP;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mdalp");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
    output
}

fn make(target: &str, destination: &Path) {
    let destination = format!("DESTDIR={}", destination.display());
    let program = format!("BINARY={PROGRAM}");
    run(Command::new("make").current_dir(ROOT).args([
        target,
        &destination,
        &program,
        "PREFIX=/opt/some where",
    ]));
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
    let installed = root.join("opt/some where");
    let [program, manual, protocol] = ["bin/mdalp", "share/man/man1/mdalp.1.gz", "share/man/man7/mdalp.7.gz"]
        .map(|path| installed.join(path));
    let completions = [
        "bash-completion/completions/mdalp",
        "zsh/site-functions/_mdalp",
        "fish/vendor_completions.d/mdalp.fish",
    ]
    .map(|path| installed.join("share").join(path));
    let expected = [&program, &manual, &protocol].into_iter().chain(&completions).cloned();
    agree("what make install installs", expected, files_under(&root));

    let version = run(Command::new(&program).arg("--version")).stdout;
    assert_eq!(version, format!("mdalp {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
    if has_tool("man") {
        for (path, expected) in [(manual, "--give-up"), (protocol, "LOAD BALANCING")] {
            let mut man = Command::new("man");
            let page = run(man.arg("-l").arg(path).env("MANWIDTH", "80").env("LC_ALL", "C")).stdout;
            let page = String::from_utf8_lossy(&page).into_owned();
            assert!(page.contains(expected), "{page}");
        }
    }

    make("uninstall", &root);
    assert!(files_under(&root).is_empty());
}

/// `--help` has the parser's options: `manual::the_parser_knows_every_option_of_the_help_text_and_no_others`.
#[test]
fn completions_offer_the_options_of_the_help_text() {
    let options = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        words
            .map(|word| word.trim_end_matches('-'))
            .filter(|w| w.starts_with('-'))
            .map(String::from)
            .collect()
    };
    let lines = |text: &str, start: &str| -> String {
        text.lines()
            .map(str::trim_start)
            .filter(|line| line.starts_with(start))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let entries = lines(HELP, "-");
    let expected =
        options(&entries.lines().map(|line| line.split("  ").next().unwrap()).collect::<Vec<_>>().join(" "));
    let read = |name: &str| fs::read_to_string(Path::new(ROOT).join("man/completions").join(name)).unwrap();
    let bash = read("mdalp.bash");
    let bash = bash.split("words='").last().unwrap().split('\'').next().unwrap();
    let fish = read("mdalp.fish").replace("-s ", "-").replace("-l ", "--");
    let fish: Vec<&str> = fish.lines().filter_map(|line| line.strip_prefix("complete -c mdalp ")).collect();
    let fish =
        fish.iter().map(|line| line.split(" -d ").next().unwrap().replace(" -x", "").replace(" -r -F", ""));
    let fish: Vec<String> = fish.filter(|line| line != "-f").collect();
    for (name, found) in [
        ("mdalp.bash", options(bash)),
        ("_mdalp", options(&lines(&read("_mdalp"), "'"))),
        ("mdalp.fish", options(&fish.join("\n"))),
    ] {
        agree(&format!("man/completions/{name}, against --help"), expected.clone(), found);
    }
}

#[test]
fn the_examples_of_the_manual_do_what_they_say() {
    let manual = fs::read_to_string(Path::new(ROOT).join("man/mdalp.1")).unwrap();
    let section = manual.split(".Sh EXAMPLES\n").nth(1).unwrap().split("\n.Sh ").next().unwrap();
    let shell = section.replace("\\-", "-").replace("\\e\n", "");
    let examples: Vec<_> = shell.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(examples.len() >= 6, "{examples:?}");

    let scratch = Scratch::new();
    let file: Vec<u8> = (0..20_000u32).map(|i| (i % 251) as u8).collect();
    scratch.file("backup.tar", &file);
    let directory = Path::new(PROGRAM).parent().unwrap();
    let path = std::env::join_paths(
        [directory.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    for example in examples {
        let over_ipv6 = example.contains("2001:db8::1");
        let script = Script::new().receiver(Receiver::named("5th Receiver"));
        let servers = Servers::start(if over_ipv6 { script.ipv6() } else { script.receivers(2) });
        let (orchestrator, receivers) = (servers.orchestrator(), servers.receiver_port());
        let here = format!("-a {} -p {} --receiver-port {receivers}", orchestrator.ip(), orchestrator.port());
        let line = example.replace("-a 192.0.2.1 -p 4650", &here).replace("-a 2001:db8::1 -p 4650", &here);
        assert!(line.contains(&here), "{example}: names another address");
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(scratch.path("")).env("PATH", path.as_ref().unwrap());
        let output = run(&mut shell);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!said.contains("exit status"), "{line}: {said}");
        for transaction in servers.judge_all() {
            let expected = if example.contains("gzip") {
                !transaction.payload.is_empty()
            } else {
                transaction.payload == file
            };
            assert!(expected, "{line}: other bytes");
        }
    }
}
