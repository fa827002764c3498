//! Command lines, good and bad.

use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

/// The args that `line` makes after the three required options.
fn sent(line: &str) -> Args {
    match parse(words(&format!("-a 192.0.2.1 -p 2222 -f data.bin {line}"))) {
        Ok(Command::Send(args)) => *args,
        other => panic!("{line}: {other:?}"),
    }
}

/// What is said about `line`.
fn refused(line: &str) -> String {
    match parse(words(line)) {
        Err(error) => error.to_string(),
        Ok(command) => panic!("{line}: {command:?}"),
    }
}

/// What is said about `line` after the three required options.
fn wrong(line: &str) -> String {
    refused(&format!("-a 192.0.2.1 -p 2222 -f data.bin {line}"))
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn three_options_are_enough_the_rest_is_the_library_s_default() {
    let plain = sent("");
    assert_eq!(plain.orchestrator, "192.0.2.1:2222".parse().unwrap());
    assert_eq!(plain.file, "data.bin");
    assert_eq!(plain.mode, Mode::Balance);
    assert_eq!(format!("{:?}", plain.options), format!("{:?}", Options::default()));
    assert_eq!((plain.show, plain.compare, plain.unused_server), (Show::default(), false, None));
}

#[test]
fn a_value_may_be_attached_or_stand_apart() {
    for line in ["-m2", "-m 2", "-m=2", "--mode 2", "--mode=2", "-m single", "--mode=single"] {
        assert_eq!(sent(line).mode, Mode::Single(1), "{line}");
    }
    for line in ["-m1", "-m balance", "-m 2 -m 1", "-s 4", "-m 1 -s 4"] {
        assert_eq!(sent(line).mode, Mode::Balance, "{line}");
    }
    for line in ["-m2 -s3", "-s 3 -m single", "--server=3 -m 2", "-m 2 -s 9 -s 3"] {
        assert_eq!(sent(line).mode, Mode::Single(3), "{line}");
    }
}

#[test]
fn each_option_reaches_its_setting() {
    let all = sent(
        "-b 192.0.2.9 --receiver-port 5000 -t .3 --fixed-timeout --give-up 1.5 -w 90 --intent-timeout 60 \
         --intent-resend 0.1 --latency 335.148,0,156 --no-failover --rebalance --compare --json -q",
    );
    let o = all.options;
    assert_eq!(o.bind, Some("192.0.2.9".parse().unwrap()));
    assert_eq!(o.receiver_port, 5000);
    assert_eq!((o.first_timeout, o.fixed_timeout, o.give_up), (millis(300), true, millis(1500)));
    assert_eq!((o.deadline, o.intent_timeout), (Some(millis(90_000)), millis(60_000)));
    assert_eq!(o.intent_resend, Some(millis(100)));
    assert_eq!(o.latencies, Some(vec![Duration::from_nanos(335_148_000), Duration::ZERO, millis(156)]));
    assert_eq!((o.failover, o.rebalance), (false, true));
    assert_eq!((all.compare, all.show.json, all.show.quiet), (true, true, true));
}

#[test]
fn long_names_are_the_same_as_short_ones() {
    let line = "--addr ::1 --port 1 --file - --bind ::1 --timeout 1 --deadline 2 --quiet --verbose";
    let Ok(Command::Send(long)) = parse(words(line)) else { panic!() };
    let Ok(Command::Send(short)) = parse(words("-a[::1] -p1 -f- -b::1 -t1 -w2 -q -v")) else { panic!() };
    assert_eq!(format!("{long:?}"), format!("{short:?}"));
    assert_eq!(long.orchestrator, "[::1]:1".parse().unwrap());
    assert_eq!(long.file, "-");
}

#[test]
fn v_counts_and_chooses_the_trace() {
    let traces =
        [("", Trace::Off), ("-v", Trace::Timeouts), ("-vv", Trace::Packets), ("-vqv -v", Trace::Packets)];
    for (line, trace) in traces {
        assert_eq!(sent(line).options.trace, trace, "{line}");
    }
    assert_eq!(sent("-vv --verbose").show.verbose, 3);
    assert_eq!(sent(&"-v ".repeat(300)).show.verbose, 255);
}

#[test]
fn progress_when_is_optional() {
    use ProgressWhen::{Always, Auto, Never};
    let cases = [
        ("--progress", Always),
        ("--progress --json", Always),
        ("--progress=auto", Auto),
        ("--progress=never", Never),
        ("--progress never", Never),
        ("--progress always -q", Always),
        ("-q", Auto),
    ];
    for (line, when) in cases {
        assert_eq!(sent(line).show.progress, when, "{line}");
    }
    assert!(sent("--progress --json").show.json);
}

#[test]
fn a_file_name_is_any_bytes() {
    use std::os::unix::ffi::OsStringExt;
    let name = OsString::from_vec(b"\xff\n-".to_vec());
    let mut line = words("-a 192.0.2.1 -p 1 -f");
    line.push(name.clone());
    let Ok(Command::Send(args)) = parse(line) else { panic!() };
    assert_eq!(args.file, name);
}

#[test]
fn help_and_version_need_nothing_else() {
    for line in ["-h", "--help", "-vh", "-m 2 --help --bogus", "-a 192.0.2.1 -h"] {
        assert!(matches!(parse(words(line)), Ok(Command::Help)), "{line}");
    }
    for line in ["-V", "--version", "-V -h"] {
        assert!(matches!(parse(words(line)), Ok(Command::Version)), "{line}");
    }
    let stray = "'x': unexpected argument; the payload is named with -f";
    for line in ["-V x", "--version x", "-h x", "-vh -- x"] {
        assert_eq!(refused(line), stray, "{line}");
    }
    assert_eq!(refused("--help=1"), "--help '1': this option takes no value");
    assert_eq!(refused("-V=1"), "-V '1': this option takes no value");
    assert_eq!(VERSION, format!("mdalp {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(refused(""), "missing required option: -a ADDR, -p PORT, -f FILE");
    assert_eq!(refused("-p 1 -f x"), "missing required option: -a ADDR");
    assert_eq!(refused("-a 192.0.2.1 -f x"), "missing required option: -p PORT");
    assert_eq!(refused("-a 192.0.2.1 -p 1"), "missing required option: -f FILE");
    assert_eq!(refused("-p 1 -f"), "-f: requires a value");
    assert_eq!(wrong("--give-up"), "--give-up: requires a value");
}

#[test]
fn unknown_and_stray_words_are_named() {
    assert_eq!(wrong("-x"), "-x: unknown option");
    assert_eq!(wrong("-vx"), "-x: unknown option");
    assert_eq!(wrong("--bogus"), "--bogus: unknown option");
    assert_eq!(wrong("--bogus=3"), "--bogus: unknown option");
    assert_eq!(wrong("--mod 2"), "--mod: unknown option");
    assert_eq!(wrong("--fixed"), "--fixed: unknown option");
    assert_eq!(wrong("more"), "'more': unexpected argument; the payload is named with -f");
    assert_eq!(wrong("-- -v"), "'-v': unexpected argument; the payload is named with -f");
    assert_eq!(wrong("-"), "'-': unexpected argument; the payload is named with -f");
    assert_eq!(
        wrong("--progress sometimes"),
        "'sometimes': unexpected argument; the payload is named with -f"
    );
    assert_eq!(wrong("--json=yes"), "--json 'yes': this option takes no value");
    assert_eq!(wrong("--rebalance=no -v"), "--rebalance 'no': this option takes no value");
}

#[test]
fn a_wrong_value_is_quoted_with_its_option_and_what_is_allowed() {
    let port = "a port must be 1 to 65535";
    for value in ["0", "65536", "+80", "-1", "http", "80.0", "99999999999999999999"] {
        assert_eq!(wrong(&format!("-p {value}")), format!("-p '{value}': {port}"));
        assert_eq!(wrong(&format!("--receiver-port={value}")), format!("--receiver-port '{value}': {port}"));
    }
    for value in ["0", "-1", "+1", "one", "1.0", "99999999999999999999"] {
        assert_eq!(wrong(&format!("-s {value}")), format!("-s '{value}': receivers are counted from 1"));
    }
    for value in ["0", "3", "12", "Single", "-1"] {
        assert_eq!(
            wrong(&format!("-m {value}")),
            format!("-m '{value}': a mode is 1 (balance) or 2 (single)")
        );
    }
    assert_eq!(wrong("--progress=on"), "--progress 'on': must be auto, always or never");
    assert_eq!(wrong("--progress="), "--progress '': must be auto, always or never");
    assert_eq!(wrong("--file="), "--file '': a file name is required; - is standard input");
}

#[test]
fn times_have_bounds_and_both_ends_are_allowed() {
    let cases = [
        ("-t", "0.001", "3600"),
        ("--timeout", "0.001", "3600"),
        ("--give-up", "1", "3600"),
        ("-w", "0.001", "604800"),
        ("--deadline", "0.001", "604800"),
        ("--intent-timeout", "0.001", "604800"),
        ("--intent-resend", "0.1", "604800"),
    ];
    for (option, least, most) in cases {
        sent(&format!("{option} {least} {option} {most}"));
        for value in
            ["0", "0.0009999", "604800.000000001", "-3", "1e3", "nan", "inf", "abc", "3s", "1,5", "."]
        {
            let said = format!("{option} '{value}': must be {least} to {most} seconds");
            assert_eq!(wrong(&format!("{option} {value}")), said);
        }
    }
}

#[test]
fn latencies_are_milliseconds_separated_by_commas() {
    assert_eq!(sent("--latency 3600000").options.latencies, Some(vec![Duration::from_secs(3600)]));
    assert_eq!(sent("--latency 1,2 --latency=.5").options.latencies, Some(vec![Duration::from_micros(500)]));
    for value in ["", "1,", ",1", "1,,2", "1;2", "-1", "1,nan", "3600000.1", "1,1e9"] {
        let said = format!("--latency '{value}': must be milliseconds, 0 to 3600000, separated by commas");
        assert_eq!(wrong(&format!("--latency={value}")), said);
    }
}

#[test]
fn a_host_name_gets_a_hint_and_other_words_do_not() {
    assert_eq!(
        refused("-a host.example"),
        "-a 'host.example': not an IP address; find it with 'getent ahosts host.example'"
    );
    assert_eq!(
        refused("--addr=localhost"),
        "--addr 'localhost': not an IP address; find it with 'getent ahosts localhost'"
    );
    for value in [
        "",
        "1.2.3",
        "256.1.1.1",
        "1.2.3.4.5",
        "[192.0.2.1]",
        "[::1",
        "::g",
        "a$(b)",
        "-p",
        "1.2.3.4%1",
        "[::1%1",
    ] {
        assert_eq!(
            refused(&format!("--addr={value}")),
            format!("--addr '{value}': not an IPv4 or IPv6 address")
        );
    }
    for value in ["224.0.0.1", "255.255.255.255", "ff02::1"] {
        assert_eq!(refused(&format!("-a {value}")), format!("-a '{value}': not the address of one host"));
    }
    let bind = "an address without a port is required; the system chooses the local port";
    for group in ["224.0.0.1", "255.255.255.255", "ff02::1"] {
        assert_eq!(wrong(&format!("-b {group}")), format!("-b '{group}': not the address of one host"));
    }
    assert_eq!(wrong("-b 192.0.2.1:80"), format!("-b '192.0.2.1:80': {bind}"));
    assert_eq!(wrong("-b eth0"), "-b 'eth0': not an IP address; find it with 'getent ahosts eth0'");
}

#[test]
fn the_orchestrator_s_port_may_stand_with_its_address() {
    let address = |line: &str| match parse(words(&format!("-f x {line}"))) {
        Ok(Command::Send(args)) => args.orchestrator.to_string(),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(address("-a 192.0.2.1:80"), "192.0.2.1:80");
    assert_eq!(address("-a [2001:db8::1]:80"), "[2001:db8::1]:80");
    assert_eq!(address("-a [2001:db8::1] -p 80"), "[2001:db8::1]:80");
    assert_eq!(address("-a 2001:db8::1:80 -p 81"), "[2001:db8::1:80]:81");
    assert_eq!(address("-p 81 -a 192.0.2.1:80"), "192.0.2.1:81", "-p counts");
    assert_eq!(refused("-a ::1:80 -f x"), "missing required option: -p PORT");
    for value in ["192.0.2.1:0", "192.0.2.1:", "[::1]:65536", "192.0.2.1:+1"] {
        assert_eq!(refused(&format!("-a {value}")), format!("-a '{value}': a port must be 1 to 65535"));
    }
    assert_eq!(
        refused("-a host.example:80"),
        "-a 'host.example:80': not an IP address; find it with 'getent ahosts host.example'"
    );
}

#[test]
fn an_ipv6_zone_is_a_number_or_an_interface_of_this_host() {
    let address = |line: &str| match parse(words(&format!("-f x {line}"))) {
        Ok(Command::Send(args)) => args.orchestrator.to_string(),
        other => panic!("{line}: {other:?}"),
    };
    for value in ["-a fe80::1%1 -p 80", "-a [fe80::1%1] -p 80", "-a [fe80::1%1]:80", "-a [fe80::1%lo]:80"] {
        assert_eq!(address(value), "[fe80::1%1]:80", "{value}");
    }
    assert_eq!(
        refused("-a fe80::1"),
        "-a 'fe80::1': a link-local address needs its network interface, as in fe80::1%eth0"
    );
    for zone in ["", "nosuch0", "../net/lo", "..", "99999999999"] {
        assert_eq!(
            refused(&format!("-a fe80::1%{zone}")),
            format!("-a 'fe80::1%{zone}': this host has no such network interface; see 'ip link'")
        );
    }
}

#[test]
fn an_s_that_mode_1_ignores_is_noted() {
    assert_eq!(sent("-s 4").unused_server, Some(4));
    assert_eq!(sent("-s 4 --compare").unused_server, Some(4));
    assert_eq!(sent("-s 4 -m 2").unused_server, None);
}

#[test]
fn what_cannot_be_combined_is_refused_and_the_rest_is_not() {
    assert_eq!(wrong("--compare -m 2"), "--compare: runs both modes by itself; leave out -m 2");
    assert_eq!(wrong("-m single --compare"), "--compare: runs both modes by itself; leave out -m 2");
    assert!(sent("--compare -m 1 -s 2 -w 5 --latency 1,2").compare);
    let both = sent("-q -v");
    assert!(both.show.quiet && both.show.verbose == 1);
}

#[test]
fn a_usage_error_is_one_line_whatever_it_quotes() {
    for word in ["-a\x1b[2J\n", "--\x1b]0;x\x07", "-\u{7}", "x\r\ny", "--json=\u{202e}", "--mode=\n"] {
        let error = parse([OsString::from(word)]).unwrap_err().to_string();
        assert!(!error.chars().any(|c| c.is_control() || c == '\u{202e}'), "{error:?}");
    }
    use std::os::unix::ffi::OsStringExt;
    for word in [&b"-\xff"[..], b"--\xff", b"-p\xff", b"\xff", b"--latency=\xff"] {
        assert!(parse([OsString::from_vec(word.to_vec())]).is_err());
    }
}

#[test]
fn the_help_text_fits_a_narrow_terminal() {
    assert!(HELP.lines().all(|line| line.chars().count() <= 80 && line == line.trim_end()));
    assert!(HELP.ends_with('\n') && !HELP.ends_with("\n\n") && HELP.is_ascii());
}
