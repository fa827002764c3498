//! Payloads that change, fail or do not fit while they are read.

use crate::loopback::{Receiver, Script, Servers, Verdict, ms};
use crate::support::{
    Outcome, PayloadFile, Scratch, finish, long_timeouts, mdalp, payload, run, send_payload, shell, start,
};
use mdalp::{Error, Event, ExitStatus, Mode, Options, Payload, Seq};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::time::SystemTime;

/// More than two blocks for each of two receivers, so that a part of it is read when others are acknowledged.
const LEN: usize = 100_000;

/// A file of [`LEN`] bytes, sent; `trouble` happens when the payload has been shared out or, with `midway`, when the
/// first timeout has fired: the sixth packet of the first receiver is lost once, and meanwhile nothing goes on there.
fn sent_with(midway: bool, trouble: impl Fn(&Path)) -> (Outcome, Vec<u8>) {
    let bytes = payload(LEN);
    let file = PayloadFile::new(&bytes);
    // Else a change within one tick of the file system's clock could not be distinguished from none.
    writable(&file.path).set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let servers = Servers::start(Script::new().receiver(Receiver::named("A").lose(5, 1)).receivers(1));
    let whole = Payload::open(&file.path).unwrap();
    let options = Options { first_timeout: ms(300), ..long_timeouts(&servers, 2) };
    let outcome = send_payload(&servers, options, &whole, Mode::Balance, |event| match event {
        Event::Planned { .. } if !midway => trouble(&file.path),
        Event::TimedOut { seq: Seq(5), transmissions: 1, .. } if midway => trouble(&file.path),
        _ => {}
    });
    (outcome, bytes)
}

/// Status 3, a line that names the file, what happened and how far it came; and no claim beyond that.
fn changed(outcome: &Outcome, what: &str) {
    assert!(matches!(outcome.result, Err(Error::PayloadWhileSending { .. })), "{what}");
    let line = outcome.failure(ExitStatus::Payload);
    assert!(line.contains(&format!("/payload: {what} while it was sent (")), "{line}");
    let report = outcome.report();
    let account = format!("({} of {LEN} bytes acknowledged, ", report.acked_bytes());
    assert!(line.contains(&account), "{line}");
    assert!(line.ends_with("; send it again when nothing writes to it, or send a copy"), "{line}");
    // What is called acknowledged was received: the judge has at least as much of each receiver.
    for receiver in &report.receivers {
        let part = outcome.transaction.part(&receiver.name);
        assert!(part.counts.bytes >= receiver.acked_bytes(), "{receiver:?}");
    }
}

fn writable(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

#[test]
fn a_file_that_shrinks_is_status_3_with_how_far_it_came() {
    for midway in [false, true] {
        for len in [0, 50, 30_000, LEN as u64 - 1] {
            let (outcome, bytes) = sent_with(midway, |path| writable(path).set_len(len).unwrap());
            changed(&outcome, &format!("shrank from {LEN} to {len} bytes"));
            // What did arrive is what was there before: no zeros in place of what was cut off.
            let read = &outcome.transaction.payload;
            assert!(read[..] == bytes[..read.len()], "{len}");
        }
    }
}

#[test]
fn a_file_that_grows_is_status_3_although_all_of_it_arrived() {
    for midway in [false, true] {
        let grow = |path: &Path| writable(path).write_all_at(b"more", LEN as u64).unwrap();
        let (outcome, bytes) = sent_with(midway, grow);
        changed(&outcome, &format!("grew from {LEN} to {} bytes", LEN + 4));
        assert!(outcome.transaction.payload == bytes, "what it had when it was opened");
        assert!(outcome.report().is_complete());
    }
}

#[test]
fn a_file_that_is_rewritten_in_place_is_status_3() {
    for midway in [false, true] {
        let rewrite = |path: &Path| writable(path).write_all_at(b"other bytes", 70_000).unwrap();
        let (outcome, _) = sent_with(midway, rewrite);
        changed(&outcome, "changed");
    }
}

/// The name goes; the file stays as long as it is open.
#[test]
fn a_file_that_is_replaced_or_removed_is_sent_as_it_was() {
    let replace = |path: &Path| {
        let new = path.with_extension("new");
        std::fs::write(&new, b"another file").unwrap();
        std::fs::rename(new, path).unwrap();
    };
    let remove = |path: &Path| std::fs::remove_file(path).unwrap();
    for trouble in [&replace as &dyn Fn(&Path), &remove] {
        let (outcome, bytes) = sent_with(true, trouble);
        outcome.arrived(&bytes);
        assert_eq!(outcome.transaction.verdict, Verdict::Completed);
    }
}

/// Runs a line of the shell, in which `MDALP` is the program. It must refuse what the line feeds it, before anything is asked
/// of the orchestrator. Returns the error's line.
fn refused(line: &str) -> String {
    let servers = Servers::start(Script::new().receivers(1));
    let ran = run(&mut shell(&servers, &line.replace("MDALP", "\"$0\" -q \"$@\"")), 3);
    assert_eq!(servers.intents(), 0, "{line}");
    ran.line().to_owned()
}

#[test]
fn what_cannot_be_read_is_status_3_before_anything_is_asked_for() {
    let scratch = Scratch::new();
    let fifo = scratch.path("fifo").to_str().unwrap().to_owned();
    let empty = "is empty; give at least one byte to send";
    for (line, wanted) in [
        ("MDALP -f $(printf '/nonexistent\\33[2J')", "/nonexistent\\u{1b}[2J: no such file; "),
        ("MDALP -f /", "/: is a directory; "),
        ("MDALP -f - < /", "standard input: cannot be read: Is a directory; "),
        // It says that it is a regular file; reading the page at 0 fails with EIO.
        ("MDALP -f /proc/self/mem", "/proc/self/mem: cannot be read: Input/output error; "),
        ("MDALP -f - < /proc/self/mem", "standard input: cannot be read: Input/output error; "),
        ("MDALP -f /dev/null", &format!("/dev/null: {empty}")),
        ("MDALP -f - < /dev/null", &format!("standard input: {empty}")),
        ("MDALP -f - <&-", &format!("standard input: {empty}")),
        (": | MDALP -f -", &format!("standard input: {empty}")),
        ("MDALP -f /dev/stdin <&-", "/dev/stdin: "),
        (&format!("mkfifo {fifo}; : > {fifo} & MDALP -f {fifo}"), &format!("{fifo}: {empty}")),
        (&format!(": > {fifo}.empty; MDALP -f {fifo}.empty"), &format!("{fifo}.empty: {empty}")),
    ] {
        let said = refused(line);
        assert!(said.starts_with(wanted) && !said.contains("os error"), "{line}: {said}");
    }
}

/// Without the limit all of the machine's memory would be the bound.
#[test]
fn a_stream_that_does_not_fit_into_memory_is_status_3() {
    for source in ["-f /dev/zero", "-f - < /dev/zero"] {
        let line = refused(&format!("ulimit -v 65536; MDALP {source}"));
        assert!(line.contains(": out of memory after "), "{line}");
        assert!(line.ends_with(" bytes; save it as a file and send that"), "{line}");
    }
}

/// Who writes into a pipe and is killed leaves an end like any other: what came until then is the payload. That cannot
/// be distinguished; `set -o pipefail` is the shell's way to know.
#[test]
fn a_stream_that_ends_early_is_sent_as_far_as_it_came() {
    let servers = Servers::start(Script::new().receivers(1));
    let line = "sh -c 'printf 12345; kill -9 $$' | \"$0\" \"$@\" -f - --latency 1";
    run(&mut shell(&servers, line), 0);
    assert_eq!(servers.finish().payload, b"12345");
}

#[test]
fn a_slow_stream_is_read_to_its_end_before_the_intent() {
    let servers = Servers::start(Script::new().receivers(1));
    let mut child = start(mdalp(&servers, "-f - --latency 1").stdin(Stdio::piped()));
    let mut pipe = child.stdin.take().unwrap();
    for part in ["one ", "", "two ", "three"] {
        pipe.write_all(part.as_bytes()).unwrap();
        std::thread::sleep(ms(30));
        assert_eq!(servers.intents(), 0);
    }
    drop(pipe);
    finish(child, 0);
    assert_eq!(servers.finish().payload, b"one two three");
}
