#!/bin/sh
# The main job: a real file goes to three different receivers on loopback, balanced and through one of them, and
# comes out the same. Run it as `make demo`.

. tests/scripts/servers.sh

file=$mdalp # the program sends itself: some hundred kilobytes, every byte value among them
say() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/.\[[01]m//g'; fi; }
show() { printf '$ mdalp -a %s -p %s' "$orchestrator" "$port"; printf ' %s' "$@"; printf '\n'; }
run() {
    show --receiver-port "$receiver_port" -f mdalp "$@"
    "$mdalp" -a "$orchestrator" -p "$port" --receiver-port "$receiver_port" -f "$file" "$@"
}

start_servers --transactions 3 --expect "$file" --store "$work/received" \
    --receiver 'name=5th Receiver,delay=6,jitter=0.1' \
    --receiver 'name=4th Receiver,delay=3,jitter=0.1,lose=1500:1' \
    --receiver 'name=2nd Receiver,delay=2,jitter=0.1'

say "1. Balanced: shares by inverse latency, all receivers in parallel, one packet lost on purpose"
run -v --latency 6,3,2

say "2. The same, with the latencies measured (on loopback they are noise)"
run -v

say "3. Everything through one receiver"
run -v -m 2 -s 3

await_servers
say "The orchestrator's verdicts"
sed -n "/^TID/,\$p" "$work/servers.log"
cat <<EOF

The third transaction failed by the protocol though every byte arrived: each listed receiver is to get at
least a tenth of the payload, and two of them got nothing. That is mode 2, as recorded with the original servers.
EOF

say "The received bytes against the file"
for received in "$work"/received/*.bin; do
    cmp "$file" "$received"
    echo "$(basename "$received"): $(wc -c <"$received") bytes, identical"
done
