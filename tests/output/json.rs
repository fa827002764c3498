//! JSON: what is written is JSON, safe, and what the manual says.

use super::terminal::{on_a_terminal, screen, slow};
use super::{LONG_TIMEOUTS, Payload, assert_no_control_bytes, run, sending, shown};
use crate::loopback::{Receiver, Script, Servers};
use crate::support::{agree, has_tool};
use std::collections::BTreeSet;
use std::fs::File;
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
    let payload = Payload::new(5000);
    let shown = run(sending(&servers, &payload, "--latency 1,1,1,1 -t 30 --json"));
    assert_eq!(shown.status, 0, "{}", shown.err);
    assert_no_control_bytes(&shown.out);
    let events: Vec<&str> = shown.out.lines().map(|line| line.split('"').nth(5).unwrap()).collect();
    assert_eq!(events, ["assigned", "latencies", "plan", "summary"]);
    let expected = r#"['"\\\\"', '\x1b[2J\x00\n\x7f\x9b', "{'a': \u202e\U000e0001東}", '\x7f#']"#;
    let expected = format!("{}\n", expected.replace('#', "\u{fffd}"));
    let read = "import json\n\
                lines = [json.loads(line) for line in open(0, encoding='utf-8')]\n\
                names = [[r['name'] for r in line['receivers']] for line in lines if 'receivers' in line]\n\
                assert len(names) == 2 and names[0] == names[1], names\n\
                assert [type(line['schema']) for line in lines] == [int] * 4\n\
                assert lines[-1]['acked_bytes'] == 5000 and lines[-1]['exit_status'] == 0\n\
                assert type(lines[-1]['elapsed_s']) is float and lines[-1]['message'] is None\n\
                print(names[0])\n";
    if let Some(said) = python(read, &shown.out) {
        assert_eq!(said, expected);
    }
}

/// The keys of every kind of event are in the manual, and those in the manual are written.
#[test]
fn the_manual_names_every_key_and_every_event() {
    let script = Script::new().receivers(2).receiver(Receiver::named("gone").closed());
    let (servers, payload) = (Servers::start(script), Payload::new(3000));
    let words = "--latency 1,1,1 -t 0.02 --give-up 10 --json --compare";
    let shown = run(sending(&servers, &payload, words));
    assert_eq!(shown.status, 1, "{}", shown.err);
    // Progress that is drawn on a terminal is written four times a second.
    let (servers, payload) = (slow(), Payload::new(6000));
    let transfer = sending(&servers, &payload, &format!("{LONG_TIMEOUTS} --json"));
    let Some(written) = on_a_terminal(transfer, "xterm") else { return };
    let progress = screen(&written).into_iter().filter(|line| line.contains("\"event\":\"progress\""));
    let lines = shown.out + &progress.collect::<Vec<_>>().join("\n");
    let read = "import json\n\
                keys, events = set(), set()\n\
                def walk(value):\n\
                \x20   for item in value.values() if type(value) is dict else value if type(value) is list else []:\n\
                \x20       walk(item)\n\
                \x20   keys.update(value if type(value) is dict else [])\n\
                for line in open(0, encoding='utf-8'):\n\
                \x20   line = json.loads(line)\n\
                \x20   walk(line)\n\
                \x20   events.add(line['event'])\n\
                print(*sorted(keys))\n\
                print(*sorted(events))\n";
    let Some(said) = python(read, &lines) else { return };
    let schema = MAN.split("BEGIN JSON SCHEMA").nth(1).unwrap().split("END JSON SCHEMA").next().unwrap();
    let named = |macro_name: &str| -> BTreeSet<&str> {
        let lines = schema.lines().filter_map(|line| line.strip_prefix(macro_name));
        lines.map(|line| line.trim().split(' ').next().unwrap()).collect()
    };
    let written: Vec<BTreeSet<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
    agree("man/mdalp.1, JSON, .Va", written[0].clone(), named(".Va"));
    let mut events = named(".It");
    assert!(events.remove("every"));
    agree("man/mdalp.1, JSON, .It", written[1].clone(), events);
}

/// What a Python program prints about this input, if python3 is here. It must succeed.
fn python(program: &str, input: &str) -> Option<String> {
    if !has_tool("python3") {
        return None;
    }
    let input_file = Payload::of(input.as_bytes());
    let mut python = Command::new("python3");
    python.arg("-c").arg(program).stdin(File::open(input_file.name()).unwrap()).env("PYTHONUTF8", "1");
    let shown = shown(python.output().unwrap());
    assert_eq!((shown.status, shown.err.as_str()), (0, ""), "{input}");
    Some(shown.out)
}
