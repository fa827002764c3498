#!/bin/sh
# A source tarball of the last commit with all crates in it, and its checksum, in dist/.
# With `check`: unpacks that somewhere else, and builds and tests it with cargo offline.
set -eu
cd "$(dirname "$0")/../.."
CARGO=${CARGO:-cargo}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
name=mdalp-$version
tarball=$name.tar.gz

make_tarball() {
    rm -rf "dist/$name"
    mkdir -p dist
    git archive --prefix="$name/" HEAD | tar -xf - -C dist
    (
        cd "dist/$name"
        mkdir -p .cargo
        $CARGO vendor --locked --versioned-dirs vendor > .cargo/config.toml 2> ../vendor.log || {
            cat ../vendor.log >&2
            exit 1
        }
        empty_crates_for_other_systems
    )
    rm -f dist/vendor.log
    # The same commit makes the same tarball: names in order, one owner, the commit's time.
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" \
        -C dist -cf - "$name" | gzip -9n > "dist/$tarball"
    rm -rf "dist/$name"
    (cd dist && sha256sum "$tarball" > "$tarball.sha256" && cat "$tarball.sha256")
}

# Cargo wants every crate of the lock file to be there, also those for Windows and WASI, which are nine tenths of all and
# are never compiled here. An empty crate of the same name, version and features will do.
empty_crates_for_other_systems() {
    for crate in vendor/windows* vendor/winapi* vendor/wasi-*; do
        package=$(sed -n 's/.*"package":"\([0-9a-f]*\)".*/\1/p' "$crate/.cargo-checksum.json")
        find "$crate" -mindepth 1 ! -name Cargo.toml ! -name .cargo-checksum.json -delete
        mkdir "$crate/src"
        : > "$crate/src/lib.rs"
        printf '{"files":{},"package":"%s"}' "$package" > "$crate/.cargo-checksum.json"
    done
}

check_tarball() {
    test -f "dist/$tarball" || { echo "dist-check: dist/$tarball is not there: run 'make dist' first" >&2; exit 1; }
    (cd dist && sha256sum -c "$tarball.sha256")
    there=$(mktemp -d)
    trap 'rm -rf "$there"' EXIT
    tar -xzf "dist/$tarball" -C "$there"
    # An empty cargo home: nothing but what is in the tarball can be used.
    cd "$there/$name"
    mkdir "$there/home"
    unset CARGO_TARGET_DIR
    export CARGO_HOME="$there/home" CARGO_NET_OFFLINE=true
    $CARGO build --release --locked --offline
    $CARGO test --locked --offline
}

case ${1:-} in
    check) check_tarball ;;
    *) make_tarball ;;
esac
