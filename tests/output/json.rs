//! JSON: what is written is JSON, safe, and what the manual says.

use super::terminal::{on_a_terminal, screen, slow};
use super::{assert_no_control_bytes, file, run, sending};
use crate::loopback::{Receiver, Script, Servers};
use crate::support::{PayloadFile, agree, has_tool};
use std::collections::BTreeSet;
use std::process::Command;

const MAN: &str = include_str!("../../man/mdalp.1");

#[test]
fn json_is_what_the_manual_says_under_hostile_names() {
    // As the list writes them: quotes and backslashes, control characters, invisible ones, no UTF-8.
    let names = [r#"'"\\\\"'"#, r"'\x1b[2J\x00\n\x7f\u009b'", r"'{\'a\': \u202e\U000e0001東}'", "'\u{7f}#'"];
    let entry = |(i, name)| format!("{{'ip_address': '127.0.0.{}', 'name': {name}}}", i + 2);
    let entries: Vec<String> = (0..).zip(names).map(entry).collect();
    let mut list = format!("Type:1;TID:3740;DATA:[{}];", entries.join(", ")).into_bytes();
    list.iter_mut().filter(|byte| **byte == b'#').for_each(|byte| *byte = 0xff);
    let servers = Servers::start(Script::new().receivers(4).raw_assignment(list));
    let shown = run(&mut sending(&servers, &file(5000), "--latency 1,1,1,1 --json"), 0).stdout;
    assert_no_control_bytes(&shown);
    let events: Vec<&str> = shown.lines().map(|line| line.split('"').nth(5).unwrap()).collect();
    assert_eq!(events, ["assigned", "latencies", "plan", "summary"]);
    if !has_tool("python3") {
        return;
    }
    let expected = r#"['"\\\\"', '\x1b[2J\x00\n\x7f\x9b', "{'a': \u202e\U000e0001東}", '\x7f#']"#;
    let read = "import json, sys\n\
                lines = [json.loads(line) for line in open(sys.argv[1], encoding='utf-8')]\n\
                names = [[r['name'] for r in line['receivers']] for line in lines if 'receivers' in line]\n\
                assert len(names) == 2 and names[0] == names[1], names\n\
                assert [type(line['schema']) for line in lines] == [int] * 4\n\
                assert lines[-1]['acked_bytes'] == 5000 and lines[-1]['exit_status'] == 0\n\
                assert type(lines[-1]['elapsed_s']) is float and lines[-1]['message'] is None\n\
                print(names[0])\n";
    let shown = PayloadFile::new(shown.as_bytes());
    let names = run(Command::new("python3").args(["-c", read, shown.name()]).env("PYTHONUTF8", "1"), 0);
    assert_eq!(names.stdout.trim_end(), expected.replace('#', "\u{fffd}"));
}

/// The keys of every kind of event are in the manual, and those in the manual are written. The words that are
/// written for states and causes are in the manual, too.
#[test]
fn the_manual_names_every_key_and_every_event() {
    let servers = Servers::start(Script::new().receivers(2).receiver(Receiver::named("gone").closed()));
    let words = "-t 0.02 --give-up 10 --json --compare";
    let shown = run(&mut sending(&servers, &file(3000), words), 1).stdout;
    // Progress that is drawn on a terminal is written four times a second.
    let Some(written) = on_a_terminal(&sending(&slow(), &file(6000), "--json"), "xterm") else { return };
    let progress = screen(&written).into_iter().filter(|line| line.contains("\"event\":\"progress\""));
    let lines = shown + &progress.collect::<String>();

    let schema = MAN.split("BEGIN JSON SCHEMA").nth(1).unwrap().split("END JSON SCHEMA").next().unwrap();
    let described = |mark: &str| -> BTreeSet<&str> {
        let items = schema.lines().filter_map(|line| line.strip_prefix(mark));
        items.map(|item| item.split(' ').next().unwrap()).collect()
    };
    // What stands in quotes before a colon is a key.
    let pieces: Vec<&str> = lines.split('"').collect();
    let keys = pieces.windows(2).filter(|pair| pair[1].starts_with(':')).map(|pair| pair[0]);
    agree("man/mdalp.1, JSON, .Va", keys.collect::<BTreeSet<_>>(), described(".Va "));
    // What stands in quotes after a colon is a value, of these keys one of a few words.
    let with_words = ["mode", "status", "loss", "latency_source", "reason"];
    let values = pieces.windows(3).filter(|text| text[1] == ":" && with_words.contains(&text[0]));
    let missing: BTreeSet<_> =
        values.map(|text| text[2]).filter(|word| !described(".Cm ").contains(word)).collect();
    assert!(missing.is_empty(), "man/mdalp.1, JSON, .Cm: missing: {missing:?}");
    let events = lines.split("\"event\":\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    agree("man/mdalp.1, JSON, .It", events.chain(["every"]).collect::<BTreeSet<_>>(), described(".It "));
}
