//! On a terminal: progress in place, tables of 79 columns, nothing left behind.

use super::{assert_no_control_bytes, file, run, sending};
use crate::loopback::{Receiver, Script, Servers, ms};
use crate::support::has_tool;
use std::process::Command;

/// Slow enough that a progress line is due several times before it can be over.
pub fn slow() -> Servers {
    let receiver = |name| Receiver::named(name).ack_delay(ms(40));
    Servers::start(Script::new().with(["東京", "B", "C"].map(receiver)))
}

#[test]
fn on_a_terminal_progress_is_drawn_cleared_and_not_left_behind() {
    let (servers, file) = (slow(), file(6000));
    for words in ["", "-vv"] {
        let Some(written) = on_a_terminal(&sending(&servers, &file, words), "xterm") else { return };
        let draws = written.matches("\x1b[?7l").count();
        assert!(draws >= 2, "{written:?}");
        let ends = written.matches("\x1b[K\x1b[?7h").count();
        assert_eq!(ends, draws, "autowrap is off between two draws: {written:?}");
        assert!(written.contains("% ") && written.contains("/6.00 kB "), "{written:?}");
        let screen = screen(&written);
        let (log, table) = screen.split_at(screen.len() - 5);
        assert!(table[0].starts_with("Receiver   Name"), "{screen:?}");
        assert!(table[1].starts_with("127.0.0.2  東京  "), "{screen:?}");
        assert!(table[4].starts_with("6000 bytes in "), "{screen:?}");
        // A line in between clears progress first.
        assert_eq!(log.len() > 120, words == "-vv");
        assert!(log.iter().all(|line| line.starts_with('[')), "{screen:#?}");
    }
}

/// Addresses and names as long as they come, on a terminal of 80 columns: nothing is broken into two lines.
#[test]
fn tables_fit_a_terminal_of_80_columns() {
    let receiver = |(name, host)| Receiver::named(name).at([127, 255, 255, host].into());
    let receivers = [("sixteen columns!", 201), ("a longer name than that", 202)].map(receiver);
    let (servers, file) = (Servers::start(Script::new().with(receivers)), file(6000));
    for (words, rows) in [("", 1), ("-m 2 -s 2", 0), ("--compare", 4)] {
        let command = sending(&servers, &file, &format!("--latency 999.1,999.1 {words}"));
        let Some(written) = on_a_terminal(&command, "xterm") else { return };
        let screen = screen(&written);
        assert!(screen.iter().all(|line| line.chars().count() <= 79), "{screen:#?}");
        let with = |text: &str| screen.iter().filter(|line| line.contains(text)).count();
        assert_eq!((with("127.255.255.201 "), with(" a longer name t… ") > 0), (rows, true), "{screen:#?}");
    }
}

#[test]
fn a_terminal_that_is_dumb_gets_no_control_bytes() {
    let (servers, file) = (slow(), file(3000));
    for words in ["", "--progress=always"] {
        let Some(written) = on_a_terminal(&sending(&servers, &file, words), "dumb") else { return };
        assert_no_control_bytes(&written.replace("\r\n", "\n"));
        assert!(written.contains("3000 bytes in "), "{written}");
    }
}

/// What the lines of a terminal show in the end, as far as progress needs one: carriage return, erase to the end of
/// the line, autowrap (lines here are as wide as need be).
pub fn screen(written: &str) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let mut column = 0;
    let text = written.replace("\x1b[?7l", "").replace("\x1b[?7h", "").replace("\x1b[K", "\u{1b}");
    for c in text.chars() {
        let line = lines.last_mut().unwrap();
        match c {
            '\r' => column = 0,
            '\n' => lines.push(Vec::new()),
            '\u{1b}' => line.truncate(column),
            c => {
                assert!(!c.is_control(), "{c:?} in {written:?}");
                line.splice(column..line.len().min(column + 1), [c]);
                column += 1;
            }
        }
    }
    assert_eq!(lines.pop(), Some(Vec::new()), "something is left behind: {written:?}");
    lines.into_iter().map(String::from_iter).collect()
}

/// Runs a command on a pseudo-terminal; what it wrote there, if python3 is here to make one. It must succeed.
pub fn on_a_terminal(command: &Command, term: &str) -> Option<String> {
    if !has_tool("python3") {
        return None;
    }
    let script = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(command.get_program()).args(command.get_args()).env("TERM", term);
    Some(run(&mut python, 0).stdout)
}
