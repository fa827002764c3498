#!/bin/sh
# Fuzzes the codec with coverage guidance: each target for FUZZ_SECONDS (600), one after the other, on one core.
# `sh tests/fuzz/run.sh ack` does one of them. What it makes goes to fuzz/ in the target directory: the corpus, from which
# later runs go on, and the inputs that were findings. Exit status 1 if there was a finding, 2 if it could not be run.
#
# It needs cargo-fuzz and a C++ compiler, which builds libFuzzer. Any toolchain will do, stable or nightly: the crate forbids
# unsafe code, so it is fuzzed without a sanitizer, and only sanitizers need nightly. Debug assertions and overflow checks
# are on.
set -eu
cd "$(dirname "$0")/../.."
CARGO=${CARGO:-cargo}
seconds=${FUZZ_SECONDS:-600}
work=${CARGO_TARGET_DIR:-target}/fuzz

die() {
    echo "fuzz: $*" >&2
    exit 2
}

case $seconds in
    '' | *[!0-9]* | 0*) die "FUZZ_SECONDS is '$seconds', and must be whole seconds from 1 on" ;;
esac
if [ $# = 0 ]; then set -- assignment ack; fi
for target; do
    test -f "tests/fuzz/targets/$target.rs" || die "'$target' is no target: there are assignment and ack"
done
command -v "${CARGO%% *}" > /dev/null || die "no cargo: a Rust toolchain is needed"
$CARGO fuzz --version > /dev/null 2>&1 || die "no cargo-fuzz; to install it: cargo install cargo-fuzz --locked"
command -v "${CXX:-c++}" > /dev/null || die "no C++ compiler (${CXX:-c++}), e.g. Debian's package g++; CXX= names another"

host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$work"
work=$(cd "$work" && pwd)

# cargo-fuzz takes no --locked.
$CARGO fetch --quiet --locked --manifest-path tests/fuzz/Cargo.toml ||
    die "tests/fuzz/Cargo.lock does not fit; to renew it: cargo update --workspace --manifest-path tests/fuzz/Cargo.toml"

build() {
    $CARGO fuzz build --fuzz-dir tests/fuzz --target-dir "$work" --target "$host" --sanitizer none "$1" ||
        die "the target '$1' does not build"
}

# Runs one target and says how it went.
fuzz() {
    corpus=$work/corpus/$1
    findings=$work/findings/$1
    log=$work/$1.log
    mkdir -p "$corpus" "$findings"
    echo "fuzz: $1 for $seconds s, log in $log"
    status=0
    # Earlier findings are tried first.
    RUST_BACKTRACE=0 "$work/$host/release/$1" "$corpus" "$findings" "tests/fuzz/seeds/$1" -dict="tests/fuzz/dict/$1.dict" \
        -max_total_time="$seconds" -max_len="$(max_len "$1")" -timeout=20 -rss_limit_mb=1024 \
        -artifact_prefix="$findings/" -print_final_stats=1 > "$log" 2>&1 || status=$?
    summary "$log"
    case $status in
        0) ;;
        72) die "interrupted" ;; # libFuzzer's status for it
        *) finding "$1" "$log" ;;
    esac
}

# What was wrong, and how to see it again.
finding() {
    found=1
    echo "fuzz: $1: FINDING"
    sed -n -e '/panicked at/,/^note:/p' -e '/^==.*ERROR/p' -e '/^SUMMARY/p' "$2" | cut -c 1-1000
    sed -n "s|^.*Test unit written to |fuzz: again with: $work/$host/release/$1 |p" "$2"
}

# An assignment may fill a datagram; acks and data packets are short, and some forty of them in turn are enough.
max_len() {
    if [ "$1" = assignment ]; then echo 65507; else echo 1024; fi
}

# Executions, and what of the code they reached: edges, features (edges with how often), inputs kept for reaching more.
summary() {
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$1")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$1")
    reached=$(sed -n 's/^#[0-9].* cov: \([0-9]*\) ft: \([0-9]*\) corp: \([0-9]*\).*/\1 edges, \2 features, \3 inputs/p' \
        "$1" | tail -n 1)
    echo "fuzz: $(basename "$1" .log): ${executions:-?} executions (${rate:-?}/s), ${reached:-no coverage}"
}

found=0
for target; do build "$target"; done
for target; do fuzz "$target"; done
if [ "$found" = 0 ]; then echo "fuzz: no findings"; fi
exit "$found"
