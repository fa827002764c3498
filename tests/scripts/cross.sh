#!/bin/sh
# Builds the program for other processors and runs it there against the loopback servers: `make cross`.
#
#     cross.sh [TRIPLE]...      (i686-unknown-linux-musl aarch64-unknown-linux-musl)
#
# A target needs Rust's library (rustup target add TRIPLE), and a foreign one qemu-user to run, e.g. Debian's package of
# that name. With the source of Rust's library (rustup component add rust-src), it also checks that everything compiles for
# a 32-bit processor without 64-bit atomics. What cannot be done is said in a line with "SKIPPED".
set -eu
cargo=${CARGO:-cargo}
rustc=${RUSTC:-rustc}
directory=${CARGO_TARGET_DIR:-target}
if [ $# = 0 ]; then set -- i686-unknown-linux-musl aarch64-unknown-linux-musl; fi

skipped() { echo "cross: SKIPPED: $*" >&2; }

# The program that runs a foreign target's programs; empty where the kernel does, which a 64-bit x86 does for a 32-bit one.
runner() {
    case ${1%%-*}/$(uname -m) in
        i?86/x86_64 | "$(uname -m)"/*) ;;
        i?86/*) echo qemu-i386 ;;
        armv*/* | arm*/*) echo qemu-arm ;;
        riscv64*/*) echo qemu-riscv64 ;;
        *) echo "qemu-${1%%-*}" ;;
    esac
}

ran=0
for target; do
    if ! ls "$($rustc --print target-libdir --target "$target")"/libstd-*.rlib >/dev/null 2>&1; then
        skipped "$target: Rust's library is missing; to add it: rustup target add $target"
        continue
    fi
    sh tests/scripts/static.sh "$target"
    runner=$(runner "$target")
    if [ -n "$runner" ] && ! command -v "$runner" >/dev/null; then
        skipped "$target is built but not run, since $runner is missing: package qemu-user"
        continue
    fi
    sh tests/scripts/battery.sh "$directory/$target/release/mdalp" "$runner"
    ran=$((ran + 1))
done

if [ -f "$($rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ]; then
    RUSTC_BOOTSTRAP=1 $cargo check --quiet --locked --all-targets -Z build-std=std,panic_abort,test \
        --target mipsel-unknown-linux-musl --target-dir "$directory/cross"
    echo "cross: mipsel-unknown-linux-musl compiles, tests included"
else
    skipped "the check for processors without 64-bit atomics: rustup component add rust-src"
fi
echo "cross: $ran of $# targets ran"
