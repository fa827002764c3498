//! On a terminal: progress in place, tables of 79 columns, nothing left behind.

use super::{LONG_TIMEOUTS, Payload, assert_no_control_bytes, sending, shown};
use crate::loopback::{Receiver, Script, Servers, ms};
use crate::support::has_tool;
use std::process::{Command, Stdio};

/// Slow enough that a progress line is due several times before it can be over.
pub fn slow() -> Servers {
    let receiver = |name| Receiver::named(name).ack_delay(ms(40));
    Servers::start(Script::new().receiver(receiver("東京")).receiver(receiver("B")).receiver(receiver("C")))
}

#[test]
fn on_a_terminal_progress_is_drawn_cleared_and_not_left_behind() {
    let (servers, payload) = (slow(), Payload::new(6000));
    let Some(written) = on_a_terminal(sending(&servers, &payload, LONG_TIMEOUTS), "xterm") else { return };
    let draws = written.matches("\x1b[?7l").count();
    assert!(draws >= 2, "{written:?}");
    assert_eq!(
        written.matches("\x1b[K\x1b[?7h").count(),
        draws,
        "autowrap is off between two draws: {written:?}"
    );
    assert!(written.contains("% ") && written.contains("/6.00 kB "), "{written:?}");
    let screen = screen(&written);
    assert!(screen[0].starts_with("Receiver   Name"), "{screen:?}");
    assert!(screen[1].starts_with("127.0.0.2  東京  "), "{screen:?}");
    assert!(screen[4].starts_with("6000 bytes in ") && screen.len() == 5, "{screen:?}");
}

/// Addresses and names as long as they come, on a terminal of 80 columns: nothing is broken into two lines.
#[test]
fn tables_fit_a_terminal_of_80_columns() {
    let receiver = |name: &str, host: u8| Receiver::named(name).at([127, 255, 255, 200 + host].into());
    let script = Script::new()
        .receiver(receiver("sixteen columns!", 1))
        .receiver(receiver("a longer name than that", 2));
    let (servers, payload) = (Servers::start(script), Payload::new(6000));
    for (words, rows) in [("", 1), ("-m 2 -s 2", 0), ("--compare", 4)] {
        let words = format!("--latency 999.1,999.1 -t 30 --give-up 120 {words}");
        let Some(written) = on_a_terminal(sending(&servers, &payload, &words), "xterm") else { return };
        let screen = screen(&written);
        assert!(screen.iter().all(|line| line.chars().count() <= 79), "{screen:#?}");
        let with = |text: &str| screen.iter().filter(|line| line.contains(text)).count();
        assert_eq!((with("127.255.255.201 "), with(" a longer name t… ") > 0), (rows, true), "{screen:#?}");
    }
}

#[test]
fn a_line_in_between_clears_progress_first() {
    let (servers, payload) = (slow(), Payload::new(6000));
    let Some(written) = on_a_terminal(sending(&servers, &payload, &format!("{LONG_TIMEOUTS} -vv")), "xterm")
    else {
        return;
    };
    assert!(written.matches("\x1b[?7l").count() >= 2, "{written:?}");
    let screen = screen(&written);
    let is_text =
        |line: &String| ["[", "Receiver ", "127.0.0.", "6000 bytes"].iter().any(|s| line.starts_with(s));
    assert!(screen.iter().all(is_text) && screen.len() > 120, "{screen:#?}");
}

#[test]
fn a_terminal_that_is_dumb_gets_no_control_bytes() {
    let (servers, payload) = (slow(), Payload::new(3000));
    for words in ["", " --progress=always"] {
        let command = sending(&servers, &payload, &format!("{LONG_TIMEOUTS}{words}"));
        let Some(written) = on_a_terminal(command, "dumb") else { return };
        assert_no_control_bytes(&written.replace("\r\n", "\n"));
        assert!(written.contains("3000 bytes in "), "{written}");
    }
}

/// What the lines of a terminal show in the end, as far as progress needs one: carriage return, erase to the end of
/// the line, autowrap (lines here are as wide as need be).
pub fn screen(written: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut column = 0;
    let text = written.replace("\x1b[?7l", "").replace("\x1b[?7h", "").replace("\x1b[K", "\u{1b}");
    for c in text.chars() {
        let line = lines.last_mut().unwrap();
        match c {
            '\r' => column = 0,
            '\n' => lines.push(String::new()),
            '\u{1b}' => *line = line.chars().take(column).collect(),
            c => {
                assert!(!c.is_control(), "{c:?} in {written:?}");
                let (before, after): (String, String) =
                    (line.chars().take(column).collect(), line.chars().skip(column + 1).collect());
                *line = format!("{before}{c}{after}");
                column += 1;
            }
        }
    }
    assert_eq!(lines.pop().as_deref(), Some(""), "something is left behind: {written:?}");
    lines
}

/// Runs a command on a pseudo-terminal; what it wrote there, if python3 is here to make one. It must succeed.
pub fn on_a_terminal(command: Command, term: &str) -> Option<String> {
    if !has_tool("python3") {
        return None;
    }
    let script = "import os, pty, sys\n\
                  child, terminal = pty.fork()\n\
                  if child == 0:\n\
                  \x20   os.execv(sys.argv[1], sys.argv[1:])\n\
                  while True:\n\
                  \x20   try:\n\
                  \x20       data = os.read(terminal, 65536)\n\
                  \x20   except OSError:\n\
                  \x20       break\n\
                  \x20   if not data:\n\
                  \x20       break\n\
                  \x20   os.write(1, data)\n\
                  sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n";
    let mut python = Command::new("python3");
    python.arg("-c").arg(script).arg(command.get_program()).args(command.get_args()).env("TERM", term);
    let output = python.stdin(Stdio::null()).output().unwrap();
    let shown = shown(output);
    assert_eq!((shown.status, shown.err.as_str()), (0, ""), "{}", shown.out);
    Some(shown.out)
}
