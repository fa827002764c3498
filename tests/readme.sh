#!/bin/sh
# Writes what `make demo` shows into README.md, between its two marks: the first run, the verdicts and the comparison.
# Run it as `make readme`.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# On a busy machine packets are resent besides the one that the demo loses on purpose, which tells a reader nothing.
tries=0
until [ -s "$work/demo" ] && ! grep -q 'needless' "$work/demo"; do
    tries=$((tries + 1))
    if [ $tries -gt 5 ]; then
        echo "readme: this machine is too busy: packets are resent needlessly" >&2
        exit 1
    fi
    sh tests/demo.sh >"$work/demo" 2>&1
done

# Sections are paragraphs; the second and third run are left out.
awk 'BEGIN { RS = ""; ORS = "\n\n" } /^[1-9T]/ && !/^[23]\. /' "$work/demo" | sed '$d' >"$work/shown"
awk -v shown="$work/shown" '
    /^<!-- \/DEMO -->/ { inside = 0 }
    !inside
    /^<!-- DEMO:/ {
        inside = 1
        print "```console"
        while ((getline line < shown) > 0) print line
        print "```"
    }
' README.md >"$work/README.md"
cat "$work/README.md" >README.md
