//! The manual, `--help`, the parser, the exit statuses, the README and the change log say the same.

use crate::loopback::{Receiver, Script, Servers, Verdict, ms, wire};
use crate::support::{self, PayloadFile, agree, has_tool, payload, sending};
use crate::tidy::sources;
use mdalp::cli::{self, Command, HELP};
use mdalp::protocol::message::{Ack, DataPacket, INTENT};
use mdalp::protocol::{Assignment, MAX_PACKET_PAYLOAD, QUEUE_SLOT, Seq, TRANSACTION_LIFETIME, Tid, plan};
use mdalp::{ExitStatus, Options};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::process;
use std::time::Duration;

const MAN: &str = include_str!("../man/mdalp.1");
const PROTOCOL: &str = include_str!("../man/mdalp.7");
const PARSER: &str = include_str!("../src/cli/mod.rs");
const README: &str = include_str!("../README.md");
const DEMO: &str = include_str!("scripts/demo.sh");
const CHANGELOG: &str = include_str!("../CHANGELOG.md");

#[test]
fn help_and_the_manual_describe_the_same_options() {
    let names = |options: Vec<Entry>| options.into_iter().map(|o| (o.long, o.short, o.takes_value));
    assert!(in_help().len() > 20, "the help text is not understood");
    agree("man/mdalp.1, OPTIONS, against --help", names(in_help()), names(in_man()));
}

#[test]
fn the_synopsis_names_every_option_once() {
    let synopsis = man_section("SYNOPSIS");
    let words: Vec<&str> = synopsis.split_whitespace().map(|word| word.trim_start_matches('.')).collect();
    let mut shown = Vec::new();
    for (i, _) in words.iter().enumerate().filter(|(_, word)| **word == "Fl") {
        match words[i + 1].strip_prefix('-') {
            Some(long) => shown.push(long.to_owned()),
            None => shown.extend(words[i + 1].chars().map(String::from)),
        }
    }
    assert!(synopsis.contains(".Fl h | V"));
    shown.push("V".to_owned());
    let expected = in_man().into_iter().map(|o| o.short.map_or(o.long, String::from));
    agree("man/mdalp.1, SYNOPSIS, against OPTIONS", expected, shown);
}

#[test]
fn the_parser_knows_every_option_of_the_help_text_and_no_others() {
    let options = in_help();
    for option in &options {
        let spellings = [Some(format!("--{}", option.long)), option.short.map(|c| format!("-{c}"))];
        for spelling in spellings.into_iter().flatten() {
            let mut line = vec![spelling.clone()];
            line.extend(option.takes_value.then(|| sample(&option.long).to_owned()));
            assert_eq!(refusal(&line), None, "{spelling}");
        }
    }
    let longs = PARSER.split("Long(\"").skip(1).map(|s| s.split('"').next().unwrap());
    agree("src/cli/help.txt, against the parser", longs, options.iter().map(|o| o.long.as_str()));
    let shorts: Vec<char> = options.iter().filter_map(|o| o.short).collect();
    for c in ('!'..='~').filter(|c| *c != '-' && !shorts.contains(c)) {
        assert_eq!(refusal(&[format!("-{c}")]), Some(format!("-{c}: unknown option").replace('\\', "\\\\")));
    }
}

#[test]
fn defaults_are_those_of_the_library() {
    let defaults = Options::default();
    assert_eq!((defaults.bind, defaults.deadline, defaults.intent_resend), (None, None, None));
    assert_eq!(defaults.latencies, None);
    let seconds = |time: Duration| time.as_secs().to_string();
    let expected = [
        ("mode", "1".to_owned()),
        ("server", "1".to_owned()),
        ("bind", "the system's choice".to_owned()),
        ("receiver-port", defaults.receiver_port.to_string()),
        ("timeout", seconds(defaults.first_timeout)),
        ("give-up", seconds(defaults.give_up)),
        ("deadline", "none".to_owned()),
        ("intent-timeout", seconds(defaults.intent_timeout)),
        ("intent-resend", "never".to_owned()),
        ("latency", "measured".to_owned()),
        ("progress", "auto".to_owned()),
    ];
    let expected = expected.into_iter().map(|(long, default)| (long.to_owned(), default));
    let (help, man) = (in_help(), in_man());
    agree("src/cli/help.txt, [defaults]", expected.clone(), found(&help, "[", "]"));
    agree("man/mdalp.1, Default:", expected, found(&man, "Default: ", ". "));
    agree("man/mdalp.1, Required.", found(&help, "(required", ")"), found(&man, "Required", ". "));
}

#[test]
fn ranges_are_those_of_the_parser() {
    let ranges: BTreeMap<_, _> = found(&in_man(), "Range ", ". ").collect();
    let sized = "deadline give-up intent-resend intent-timeout latency port receiver-port timeout".split(' ');
    agree("man/mdalp.1, Range", sized, ranges.keys().map(String::as_str));
    for (long, range) in &ranges {
        let (least, most) =
            range.split_once(" to ").map(|(a, b)| (a.parse::<f64>(), b.parse::<f64>())).unwrap();
        let (least, most) = (least.unwrap(), most.unwrap());
        let refused = |value: f64| refusal(&[format!("--{long}={value}")]).is_some();
        assert!(!refused(least) && !refused(most), "--{long}: {range} is refused");
        assert!(refused(least - 0.0001) && refused(most + 1.0), "--{long}: beyond {range}");
    }
}

#[test]
fn exit_statuses_are_the_same_everywhere() {
    let expected = (0..=ExitStatus::Output as u8).map(|status| status.to_string());
    for (place, text, mark) in [
        ("src/cli/help.txt", HELP.split("Exit status:\n").nth(1).unwrap(), "  "),
        ("man/mdalp.1, EXIT STATUS", &man_section("EXIT STATUS"), ".It "),
        ("README.md, Exit status", README.split("## Exit status").nth(1).unwrap(), "| "),
    ] {
        let words = text.lines().filter_map(|line| line.strip_prefix(mark)?.split(' ').next());
        let numbers = words.filter(|word| word.bytes().all(|b| b.is_ascii_digit())).map(String::from);
        agree(place, expected.clone(), numbers.filter(|word| !word.is_empty()));
    }
}

/// Those of the manual are run: `installed::the_examples_of_the_manual_do_what_they_say`.
#[test]
fn examples_of_the_help_text_and_the_readme_can_be_parsed() {
    let help = commands(HELP.split("Example:").nth(1).expect("an example"));
    assert_eq!(help.len(), 1, "{help:?}");
    let readme = commands(README);
    assert!(readme.len() >= 8, "{readme:?}");
    for words in help.into_iter().chain(readme) {
        assert!(matches!(cli::parse(words.clone()), Ok(Command::Send(_))), "{words:?}");
    }
}

#[test]
fn the_demo_in_the_readme_looks_like_a_real_run() {
    let demo = between(README, "<!-- DEMO:", "<!-- /DEMO -->").expect("no demo");
    let run = between(&demo, "\n$ mdalp ", "\n\n").unwrap();
    let (command, shown) = run.split_once('\n').unwrap();
    let options = command.split_once("-f mdalp ").unwrap().1;
    let receivers = [
        Receiver::named("5th Receiver").ack_delay(ms(6)),
        Receiver::named("4th Receiver").ack_delay(ms(3)).lose(50, 1),
        Receiver::named("2nd Receiver").ack_delay(ms(2)),
    ];
    let servers = Servers::start(Script::new().with(receivers));
    let ran = support::run(&mut sending(&servers, &PayloadFile::new(&payload(20_000)), options), 0);
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
    let ran = support::run(&mut sending(&servers, &file, "-q --compare -vv --latency 1,1,1"), 0);
    let log = PayloadFile::new(ran.stderr.as_bytes());
    let mut awk = process::Command::new("awk");
    let svg = support::run(awk.args(["-f", "tests/scripts/plot.awk", log.name()]), 0).stdout;
    let drawn = |class: &str| svg.matches(&format!(" class=\"{class}")).count() as u64;
    let packets: u64 = servers.judge_all().iter().map(|transaction| transaction.packets()).sum();
    assert_eq!(drawn("r") - 3 + drawn("x") - 1, packets, "{svg}");
    assert!(svg.contains("A &lt;lossy> one") && drawn("x") > 1 && !svg.contains("failed"), "{svg}");
}

#[test]
fn what_the_manual_diagnoses_is_what_the_program_says() {
    let source = source_text();
    let section = man_section("DIAGNOSTICS");
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
    assert_eq!(split.ranges().len(), rows.len());
    for (row, range) in rows.iter().zip(split.ranges()) {
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
    assert_eq!(cli::version(), format!("mdalp {version}"));
    let latest = CHANGELOG.split("\n## [").skip(1).find(|entry| !entry.starts_with("Unreleased]"));
    assert!(latest.is_some_and(|line| line.starts_with(&format!("{version}]"))), "{latest:?}");
}

/// What a text says about an option. Every option has a long name.
#[derive(Debug)]
struct Entry {
    long: String,
    short: Option<char>,
    takes_value: bool,
    /// All of its description in one line, ending with a blank.
    text: String,
}

/// The options of `--help`: `  -x, --long VALUE  text` or `      --long`, and the lines below that are indented more.
fn in_help() -> Vec<Entry> {
    let mut options = Vec::new();
    for line in HELP.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.starts_with('-') && (indent == 2 || indent == 6) {
            let (head, text) = text.split_once("  ").unwrap_or((text, ""));
            let (short, head) = match head.split_once(", ") {
                Some((short, long)) => (short.chars().nth(1), long),
                None => (None, head),
            };
            let long = head.strip_prefix("--").expect(line);
            let name = long.split(['=', ' ', '[']).next().unwrap();
            let (takes_value, text) = (name != long, format!("{} ", text.trim()));
            options.push(Entry { long: name.to_owned(), short, takes_value, text });
        } else if indent > 6 {
            options.last_mut().expect(line).text += &format!("{text} ");
        }
    }
    options
}

/// The options of the manual: `.It Fl x Ar value , Fl -long Ar value` and the lines up to the next one.
fn in_man() -> Vec<Entry> {
    let mut options: Vec<Entry> = Vec::new();
    for line in man_section("OPTIONS").lines() {
        if let Some(head) = line.strip_prefix(".It ") {
            let words: Vec<&str> = head.split_whitespace().collect();
            let mut flags: Vec<&str> = words.windows(2).filter(|w| w[0] == "Fl").map(|w| w[1]).collect();
            let long = flags.pop().and_then(|flag| flag.strip_prefix('-')).expect(line).to_owned();
            let short = flags.pop().and_then(|flag| flag.chars().next());
            options.push(Entry { long, short, takes_value: words.contains(&"Ar"), text: String::new() });
        } else if let Some(option) = options.last_mut() {
            option.text += &format!("{line} ");
        }
    }
    options
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
    let mut pieces = text.split("\\\n");
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |joined, piece| joined + piece.trim_start())
}

/// What the text of each option has between two marks, by long name.
fn found<'a>(
    options: &'a [Entry],
    before: &'a str,
    after: &'a str,
) -> impl Iterator<Item = (String, String)> + 'a {
    options.iter().filter_map(move |o| Some((o.long.clone(), between(&o.text, before, after)?)))
}

fn man_section(name: &str) -> String {
    section(MAN, name)
}

fn section(page: &str, name: &str) -> String {
    let start = format!(".Sh {name}\n");
    page.split(&start).nth(1).expect(name).split("\n.Sh ").next().unwrap().to_owned() + "\n"
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    Some(text.split_once(before)?.1.split_once(after)?.0.to_owned())
}

/// A value that the option takes.
fn sample(long: &str) -> &'static str {
    match long {
        "addr" | "bind" => "192.0.2.1",
        "progress" => "never",
        _ => "2",
    }
}

/// What the parser has against `line` besides a required option that is missing.
fn refusal(line: &[String]) -> Option<String> {
    let error = cli::parse(line.iter().map(OsString::from)).err()?.to_string();
    (!error.starts_with("missing required option")).then_some(error)
}

/// The arguments of each `mdalp` or `cargo run` in the lines of `text` that name a file, up to a comment.
fn commands(text: &str) -> Vec<Vec<OsString>> {
    let lines = text.lines().filter(|line| line.contains(" -f "));
    let arguments = lines.filter_map(|line| line.split_once("mdalp -").or(line.split_once("-- -")));
    let words =
        |line: String| line.split_whitespace().take_while(|word| *word != "#").map(OsString::from).collect();
    arguments.map(|(_, rest)| words(format!("-{rest}"))).collect()
}
