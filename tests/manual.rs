//! The manual, `--help`, the parser, the completions, the exit statuses, the README and the change log say the same.

use crate::loopback::{Receiver, Script, Servers, Verdict, ms, wire};
use crate::support::{PROGRAM, PayloadFile, Scratch, agree, has_tool, payload, run, sending};
use crate::tidy::sources;
use mdalp::cli::{self, HELP};
use mdalp::protocol::message::{Ack, DataPacket, INTENT};
use mdalp::protocol::{Assignment, MAX_PACKET_PAYLOAD, QUEUE_SLOT, Seq, TRANSACTION_LIFETIME, Tid, plan};
use mdalp::{ExitStatus, Options};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const MAN: &str = include_str!("../man/mdalp.1");
const PROTOCOL: &str = include_str!("../man/mdalp.7");
const BASH: &str = include_str!("../man/completions/mdalp.bash");
const ZSH: &str = include_str!("../man/completions/_mdalp");
const FISH: &str = include_str!("../man/completions/mdalp.fish");
const PARSER: &str = include_str!("../src/cli/mod.rs");
const README: &str = include_str!("../README.md");
const DEMO: &str = include_str!("scripts/demo.sh");
const CHANGELOG: &str = include_str!("../CHANGELOG.md");

#[test]
fn help_and_the_manual_describe_the_same_options() {
    let names = |options: Vec<Entry>| options.into_iter().map(|option| (option.flags, option.takes_value));
    assert!(in_help().len() > 20, "the help text is not understood");
    agree("man/mdalp.1, OPTIONS, against --help", names(in_help()), names(in_man()));
}

#[test]
fn the_synopsis_names_every_option_once() {
    let synopsis = section(MAN, "SYNOPSIS").replace("Fl h | V", "Fl hV");
    let words = synopsis.split("Fl ").skip(1).map(|rest| rest.split_whitespace().next().unwrap());
    let flags = words.flat_map(|word| match word.starts_with('-') {
        true => vec![format!("-{word}")],
        false => word.chars().map(|c| format!("-{c}")).collect(),
    });
    let expected = in_man().into_iter().map(|option| option.flags[0].clone());
    agree("man/mdalp.1, SYNOPSIS, against OPTIONS", expected, flags);
}

#[test]
fn completions_offer_the_options_of_the_help_text() {
    let flags = || in_help().into_iter().flat_map(|option| option.flags);
    let bash = BASH.split("words='").last().unwrap().split('\'').next().unwrap().split_whitespace();
    agree("man/completions/mdalp.bash, against --help", flags(), bash.map(String::from));

    let zsh = ZSH.split("_arguments -s -S").last().unwrap();
    let words = zsh.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let zsh: BTreeSet<_> =
        words.filter(|word| word.starts_with('-') && *word != "-").map(String::from).collect();
    agree("man/completions/_mdalp, against --help", flags(), zsh);

    let words: Vec<&str> = FISH.split_whitespace().collect();
    let fish = words.windows(2).filter_map(|pair| match pair[0] {
        "-s" => Some(format!("-{}", pair[1])),
        "-l" => Some(format!("--{}", pair[1])),
        _ => None,
    });
    agree("man/completions/mdalp.fish, against --help", flags(), fish);
}

#[test]
fn the_parser_knows_every_option_of_the_help_text_and_no_others() {
    let options = in_help();
    for option in &options {
        let value = match option.long() {
            "--addr" | "--bind" => "192.0.2.1",
            "--progress" => "never",
            _ => "2",
        };
        for flag in &option.flags {
            let words = if option.takes_value { vec![flag.as_str(), value] } else { vec![flag.as_str()] };
            assert_eq!(refusal(&words), None, "{flag}");
        }
    }
    let longs = PARSER.split("Long(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let described = options.iter().map(|option| option.long()[2..].to_owned());
    agree("src/cli/help.txt, against the parser", longs.map(String::from), described);
    for flag in ('!'..='~').filter(|c| *c != '-').map(|c| format!("-{c}")) {
        let is_unknown = refusal(&[&flag]) == Some(format!("{flag}: unknown option").replace('\\', "\\\\"));
        assert_ne!(is_unknown, options.iter().any(|option| option.flags.contains(&flag)), "{flag}");
    }
}

#[test]
fn defaults_are_those_of_the_library() {
    let defaults = Options::default();
    assert_eq!((defaults.bind, defaults.deadline, defaults.intent_resend), (None, None, None));
    assert_eq!(defaults.latencies, None);
    let seconds = |time: Duration| time.as_secs().to_string();
    let expected = [
        ("--mode", "1".to_owned()),
        ("--server", "1".to_owned()),
        ("--bind", "the system's choice".to_owned()),
        ("--receiver-port", defaults.receiver_port.to_string()),
        ("--timeout", seconds(defaults.first_timeout)),
        ("--give-up", seconds(defaults.give_up)),
        ("--deadline", "none".to_owned()),
        ("--intent-timeout", seconds(defaults.intent_timeout)),
        ("--intent-resend", "never".to_owned()),
        ("--latency", "measured".to_owned()),
        ("--progress", "auto".to_owned()),
    ];
    let (help, man) = (in_help(), in_man());
    agree("src/cli/help.txt, [defaults]", expected.clone(), found(&help, "[", "]"));
    agree("man/mdalp.1, Default:", expected, found(&man, "Default: ", ". "));
    agree("man/mdalp.1, Required.", found(&help, "(required", ")"), found(&man, "Required", ". "));
}

#[test]
fn ranges_are_those_of_the_parser() {
    let options = in_man();
    let ranges = found(&options, "Range ", ". ");
    let sized = "port receiver-port timeout give-up deadline intent-timeout intent-resend latency".split(' ');
    agree("man/mdalp.1, Range", sized, ranges.iter().map(|(flag, _)| &flag[2..]));
    for (flag, range) in ranges {
        let (least, most) = range.split_once(" to ").unwrap();
        let (least, most): (f64, f64) = (least.parse().unwrap(), most.parse().unwrap());
        let refused = |value: f64| refusal(&[flag, &value.to_string()]).is_some();
        assert!(!refused(least) && !refused(most), "{flag}: {range} is refused");
        assert!(refused(least - 0.0001) && refused(most + 1.0), "{flag}: beyond {range}");
    }
}

#[test]
fn exit_statuses_are_the_same_everywhere() {
    for (place, text, mark) in [
        ("src/cli/help.txt", HELP.split("Exit status:\n").nth(1).unwrap(), "  "),
        ("man/mdalp.1, EXIT STATUS", &section(MAN, "EXIT STATUS"), ".It "),
        ("README.md, Exit status", README.split("## Exit status").nth(1).unwrap(), "| "),
    ] {
        let words = text.lines().filter_map(|line| line.strip_prefix(mark)?.split(' ').next());
        agree(place, 0..=ExitStatus::Output as u8, words.filter_map(|word| word.parse().ok()));
    }
}

#[test]
fn examples_of_the_help_text_and_the_readme_can_be_parsed() {
    let help = HELP.split("Example:").nth(1).unwrap();
    // In lines that name a file, the arguments of `mdalp` or `cargo run`, up to a comment.
    let lines = help.lines().chain(README.lines()).filter(|line| line.contains(" -f "));
    let arguments = lines.filter_map(|line| line.split_once("mdalp -").or(line.split_once("-- -")));
    let examples: Vec<_> =
        arguments.map(|(_, rest)| format!("-{}", rest.split(" # ").next().unwrap())).collect();
    assert!(examples.len() >= 9, "{examples:?}");
    for example in examples {
        let parsed = cli::parse(example.split_whitespace().map(OsString::from));
        assert!(matches!(parsed, Ok(cli::Command::Send(_))), "{example}: {parsed:?}");
    }
}

#[test]
fn the_examples_of_the_manual_do_what_they_say() {
    let shell = section(MAN, "EXAMPLES").replace("\\-", "-").replace("\\e\n", "");
    let examples: Vec<_> = shell.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(examples.len() >= 6, "{examples:?}");
    let (scratch, bytes) = (Scratch::new(), payload(20_000));
    scratch.file("backup.tar", &bytes);
    let path =
        [Path::new(PROGRAM).parent().unwrap().to_str().unwrap(), &std::env::var("PATH").unwrap()].join(":");
    for example in examples {
        let script = Script::new().receiver(Receiver::named("5th Receiver"));
        let over_ipv6 = example.contains("2001:db8::1");
        let servers = Servers::start(if over_ipv6 { script.ipv6() } else { script.receivers(2) });
        let (orchestrator, receivers) = (servers.orchestrator(), servers.receiver_port());
        let here = format!("-a {} -p {} --receiver-port {receivers}", orchestrator.ip(), orchestrator.port());
        let line = example.replace("-a 192.0.2.1 -p 4650", &here).replace("-a 2001:db8::1 -p 4650", &here);
        assert!(line.contains(&here), "{example}: names another address");
        let mut sh = Command::new("sh");
        let ran = run(sh.args(["-c", &line]).current_dir(scratch.path("")).env("PATH", &path), 0);
        assert!(!ran.stdout.contains("exit status"), "{line}: {}", ran.stderr);
        for transaction in servers.judge_all() {
            let is_compressed = example.contains("gzip") && !transaction.payload.is_empty();
            assert!(is_compressed || transaction.payload == bytes, "{line}: other bytes");
        }
    }
}

#[test]
fn the_demo_in_the_readme_looks_like_a_real_run() {
    let demo = between(README, "<!-- DEMO:", "<!-- /DEMO -->").expect("no demo");
    let (command, shown) = between(demo, "\n$ mdalp ", "\n\n").unwrap().split_once('\n').unwrap();
    let options = command.split_once("-f mdalp ").unwrap().1;
    let receivers = [
        Receiver::named("5th Receiver").ack_delay(ms(6)),
        Receiver::named("4th Receiver").ack_delay(ms(3)).lose(50, 1),
        Receiver::named("2nd Receiver").ack_delay(ms(2)),
    ];
    let servers = Servers::start(Script::new().with(receivers));
    let ran = run(&mut sending(&servers, &PayloadFile::new(&payload(20_000)), options), 0);
    agree("README.md, the demo (`make readme` writes it)", shapes(&ran.stderr), shapes(shown));

    // The rest is what the demo says and what its servers judge.
    let verdicts = [Verdict::Completed.to_string(), Verdict::Violation.to_string()];
    assert!(verdicts.iter().all(|verdict| demo.contains(verdict)));
    for heading in ["The orchestrator's verdicts", "The received bytes against the file"] {
        assert!(demo.contains(&format!("\n{heading}\n")) && DEMO.contains(&format!("\"{heading}\"")));
    }
}

/// A bar for each packet, a cross for each retransmission, and one of either kind in the legend.
#[test]
fn the_picture_shows_every_packet() {
    if !has_tool("awk") {
        return;
    }
    let lossy = Receiver::named("A <lossy> one").ack_delay(ms(2)).lose(1, 1).lose(3, 1);
    let servers = Servers::start(Script::new().receivers(2).receiver(lossy));
    let file = PayloadFile::new(&payload(3000));
    let ran = run(&mut sending(&servers, &file, "-q --compare -vv --latency 1,1,1"), 0);
    let log = PayloadFile::new(ran.stderr.as_bytes());
    let mut awk = Command::new("awk");
    let svg = run(awk.args(["-f", "tests/scripts/plot.awk", log.name()]), 0).stdout;
    let drawn = |class: &str| svg.matches(&format!(" class=\"{class}")).count() as u64;
    let packets: u64 = servers.judge_all().iter().map(|transaction| transaction.packets()).sum();
    assert_eq!(drawn("r") - 3 + drawn("x") - 1, packets, "{svg}");
    assert!(svg.contains("A &lt;lossy> one") && drawn("x") > 1 && !svg.contains("failed"), "{svg}");
}

#[test]
fn what_the_manual_diagnoses_is_what_the_program_says() {
    let source = source_text();
    let section = section(MAN, "DIAGNOSTICS");
    let entries: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix(".It ")).collect();
    assert!(entries.len() >= 10, "{entries:?}");
    for entry in entries {
        assert!(source.contains(entry.trim_matches('"')), "nothing says {entry}");
    }
}

#[test]
fn the_messages_of_the_protocol_page_are_those_of_the_codec() {
    let examples = section(PROTOCOL, "EXAMPLES").replace("\n ", " ").replace("\\(aq", "'");
    let mut kinds = BTreeSet::new();
    for line in examples.lines().filter(|line| line.starts_with("Type:")) {
        let datagram = line.as_bytes();
        kinds.insert(datagram[5]);
        match datagram[5] {
            b'0' => assert_eq!(datagram, INTENT),
            b'1' => assert!(Assignment::parse(datagram).is_ok(), "{line}"),
            b'2' => {
                let data = wire::parse_data(datagram).expect(line);
                assert_eq!(DataPacket::new(Tid(data.tid)).encode(Seq(data.seq), data.payload), datagram);
            }
            _ => {
                let ack = Ack::parse(datagram).expect(line);
                assert_eq!(wire::ack(ack.tid.0, ack.seq.0), datagram);
            }
        }
    }
    assert_eq!(kinds, BTreeSet::from(*b"0123"));
}

#[test]
fn the_numbers_of_the_protocol_page_are_those_of_the_program() {
    let rows: Vec<Vec<f64>> = section(PROTOCOL, "EXAMPLES")
        .lines()
        .filter_map(|line| line.split_whitespace().map(|word| word.parse().ok()).collect())
        .filter(|row: &Vec<f64>| row.len() == 5)
        .collect();
    let latencies: Vec<Duration> = rows.iter().map(|row| Duration::from_secs_f64(row[0] / 1000.0)).collect();
    let bytes: f64 = rows.iter().map(|row| row[1]).sum();
    let split = plan::balanced(bytes as u64, &latencies).unwrap();
    assert_eq!(split.ranges.len(), rows.len());
    for (row, range) in rows.iter().zip(&split.ranges) {
        let last = range.end().0 - 1;
        let packet = range.packet_bytes(Seq(last));
        let found = [range.len(), range.first().0.into(), last.into(), packet.end - packet.start];
        assert_eq!(found.map(|number| number as f64), row[1..]);
    }
    for (name, value) in [
        ("MAX_PACKET_PAYLOAD", MAX_PACKET_PAYLOAD as u64),
        ("TRANSACTION_LIFETIME", TRANSACTION_LIFETIME.as_secs()),
        ("QUEUE_SLOT", QUEUE_SLOT.as_secs()),
        ("RECEIVER_PORT", Options::default().receiver_port.into()),
    ] {
        assert!(PROTOCOL.contains(&format!(".It Va {name} = {value}\n")), "man/mdalp.7: {name} is {value}");
    }
}

#[test]
fn the_change_log_begins_with_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let latest = CHANGELOG.split("\n## [").skip(1).find(|entry| !entry.starts_with("Unreleased]"));
    assert!(latest.is_some_and(|line| line.starts_with(&format!("{version}]"))), "{latest:?}");
}

/// What a text says about an option.
struct Entry {
    /// As they are typed: a short one, if there is any, and a long one.
    flags: Vec<String>,
    takes_value: bool,
    /// The words of its description.
    text: Vec<String>,
}

impl Entry {
    fn long(&self) -> &str {
        self.flags.last().unwrap()
    }
}

/// The options of `--help`: `  -x, --long VALUE  text` or `      --long`, and the lines below that are indented more.
fn in_help() -> Vec<Entry> {
    let options = HELP.split("Exit status:").next().unwrap();
    entries(&options.replace("\n  -", "\n.It -").replace("\n      --", "\n.It --").replace("  ", "\n"))
}

fn in_man() -> Vec<Entry> {
    entries(&section(MAN, "OPTIONS").replace("Fl ", "-"))
}

/// The entries that begin with `.It -x VALUE , --long VALUE`, and the lines up to the next one.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines() {
        if let Some(names) = line.strip_prefix(".It ") {
            let words = names.split([' ', ',', '=', '[']).filter(|word| !word.is_empty()).map(String::from);
            let (flags, values): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with('-'));
            entries.push(Entry { flags, takes_value: !values.is_empty(), text: Vec::new() });
        } else if let Some(entry) = entries.last_mut() {
            entry.text.extend(line.split_whitespace().map(String::from));
        }
    }
    entries
}

/// The kinds of lines in `text`, each once: without numbers, units that depend on their size, and the width of columns. How
/// often one comes (a busy machine resends) and in which order does not count.
fn shapes(text: &str) -> BTreeSet<String> {
    let shape = |line: &str| {
        let words = line.split(|c: char| c.is_ascii_digit() || ".-[] ".contains(c));
        let units = ["", "s", "ms", "B/s),", "kB/s),", "MB/s),"];
        words.filter(|word| !units.contains(word)).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(shape).collect()
}

/// All that the program is made of, a line that a string continues joined to the one before.
fn source_text() -> String {
    let files = sources("src").into_iter().map(|path| fs::read_to_string(path).unwrap());
    let text: String = files.map(|code| code.split("\n#[cfg(test)]\n").next().unwrap().to_owned()).collect();
    text.split("\\\n").map(str::trim_start).collect()
}

/// What the text of each option has between two marks, by long name.
fn found<'a>(options: &'a [Entry], before: &str, after: &str) -> Vec<(&'a str, String)> {
    let value = |entry: &Entry| Some(between(&(entry.text.join(" ") + " "), before, after)?.to_owned());
    options.iter().filter_map(|entry| Some((entry.long(), value(entry)?))).collect()
}

fn section(page: &str, name: &str) -> String {
    let start = format!(".Sh {name}\n");
    page.split(&start).nth(1).expect(name).split("\n.Sh ").next().unwrap().to_owned() + "\n"
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

/// What the parser has against these words besides a required option that is missing.
fn refusal(words: &[&str]) -> Option<String> {
    let error = cli::parse(words.iter().map(OsString::from)).err()?.to_string();
    (!error.starts_with("missing required option")).then_some(error)
}
