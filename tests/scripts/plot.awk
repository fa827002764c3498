# Draws the log of `mdalp --compare -vv` as an SVG: SEQ over time, the transaction that is balanced above the receivers
# alone. A bar lasts from a packet's first transmission to its ack; a cross is a retransmission.
# Usage: awk -f plot.awk LOG >picture.svg

# The log: "[  0.000543] to 127.0.0.2: SEQ 0, transmission 1, ..." and the like, split into a time and words.
{
    at = index($0, "] ")
    time = substr($0, 2, at - 2) - start
    split(substr($0, at + 2), word, " ")
    address = word[2]; sub(/:$/, "", address)
}
word[1] == "transaction" && word[3] == "assigned" { start += time; panel = transactions++ ? 2 : 1; next }
word[2] ~ /^\(/ && / SEQ [0-9]+-[0-9]+$/ && !(word[1] in number) {   # the plan: ADDRESS (NAME): ...
    number[word[1]] = ++receivers
    label[receivers] = $0; sub(/^[^(]*\(/, "", label[receivers]); sub(/\): .*/, "", label[receivers])
    gsub(/&/, "\\&amp;", label[receivers]); gsub(/</, "\\&lt;", label[receivers])
}
word[1] == "end:" && word[2] != word[4] { delete ends[transactions] }
!(address in number) { next }
word[1] == "to" && word[6] + 0 == 1 {
    bar[++bars] = panel " " number[address] " " time " " word[4] + 0
    waiting[address] = bars
    if (word[4] + 0 > highest) highest = word[4] + 0
}
word[1] == "to" && word[6] + 0 > 1 { cross[++crosses] = panel " " number[address] " " time " " word[4] + 0 }
word[1] == "from" && / after [0-9.]+ ms$/ && (address in waiting) {
    acked[waiting[address]] = time
    ends[transactions] = time
    if (time > longest) longest = time
}

function at_time(t) { return sprintf("%.1f", LEFT + t / longest * WIDTH) }
function at_seq(p, seq) { return sprintf("%.1f", TOP + (p - 1) * (HEIGHT + GAP) + HEIGHT - (seq + 0.5) / (highest + 1) * HEIGHT) }
function seconds(n) { return n in ends ? sprintf("%.1f s", ends[n]) : "failed" }
function text(x, y, anchor, class, words) {
    printf "<text x=\"%s\" y=\"%s\" text-anchor=\"%s\" class=\"%s\">%s</text>\n", x, y, anchor, class, words
}
function line(x1, y1, x2, y2, class) {
    printf "<line x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\" class=\"%s\"/>\n", x1, y1, x2, y2, class
}
function mark(x, y, class) { printf "<path d=\"M%.1f %.1fl7 7m0-7l-7 7\" class=\"%s\"/>\n", x - 3.5, y - 3.5, class }
# A round distance between some six ticks up to `most`.
function step(most,    s) {
    for (s = 0.001; s * 6 < most; s *= 10) {
        if (s * 2 * 6 >= most) return s * 2
        if (s * 5 * 6 >= most) return s * 5
    }
    return s
}

END {
    if (!transactions || !longest) { print "plot.awk: no packets in this log" >"/dev/stderr"; exit 1 }
    LEFT = 48; TOP = 62; WIDTH = 730; HEIGHT = 200; GAP = 44
    total = TOP + 2 * HEIGHT + GAP + 46
    print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 " total "\" font-family=\"sans-serif\">"
    print "<title>SEQ over time: one payload balanced among " receivers " receivers, and sent to each of them alone</title>"
    print "<style>"
    print "text { font-size: 13px; fill: #57606a } .h { font-weight: bold } line, path { fill: none; stroke-width: 1 }"
    print ".a { stroke: #8c959f } .g { stroke: #8c959f; stroke-opacity: 0.25 } .x { stroke: #d1242f; stroke-width: 2 }"
    print ".r1, .r2, .r3, .r4, .r5 { stroke-width: 2.5 }"
    print ".r1 { stroke: #0969da } .r2 { stroke: #bf8700 } .r3 { stroke: #1a7f37 } .r4 { stroke: #8250df } .r5 { stroke: #57606a }"
    print "@media (prefers-color-scheme: dark) {"
    print "text { fill: #c9d1d9 } .x { stroke: #ff7b72 }"
    print ".r1 { stroke: #58a6ff } .r2 { stroke: #e3b341 } .r3 { stroke: #56d364 } .r4 { stroke: #d2a8ff } .r5 { stroke: #c9d1d9 }"
    print "}</style>"
    legend = LEFT
    for (r = 1; r <= receivers; r++) {
        line(legend, 18, legend + 22, 18, "r" (r - 1) % 5 + 1)
        text(legend + 28, 22, "start", "", label[r])
        legend += 48 + 7 * length(label[r])
    }
    mark(legend + 4, 18, "x"); text(legend + 14, 22, "start", "", "retransmission")
    for (panel = 1; panel <= 2; panel++) {
        bottom = TOP + (panel - 1) * (HEIGHT + GAP) + HEIGHT
        heading = panel == 1 ? "Balanced among all receivers: " seconds(1) : "All to one receiver, each in turn: " seconds(2)
        for (n = 3; panel == 2 && n <= transactions; n++) heading = heading ", " seconds(n)
        text(LEFT, bottom - HEIGHT - 10, "start", "h", heading)
        for (t = 0; t <= longest * 1.001; t += step(longest)) {
            line(at_time(t), bottom - HEIGHT, at_time(t), bottom, "g")
            text(at_time(t), bottom + 16, "middle", "", t + 0)
        }
        for (s = 0; s <= highest; s += step(highest) < 1 ? 1 : step(highest)) text(LEFT - 8, at_seq(panel, s) + 4, "end", "", s)
        line(LEFT, bottom, LEFT + WIDTH, bottom, "a"); line(LEFT, bottom - HEIGHT, LEFT, bottom, "a")
        text(14, bottom - HEIGHT / 2, "middle\" transform=\"rotate(-90 14 " bottom - HEIGHT / 2 ")", "", "SEQ")
    }
    text(LEFT + WIDTH / 2, total - 8, "middle", "", "seconds since the assignment")
    for (i = 1; i <= bars; i++) if (i in acked) {
        split(bar[i], b, " ")
        line(at_time(b[3]), at_seq(b[1], b[4]), at_time(acked[i]), at_seq(b[1], b[4]), "r" (b[2] - 1) % 5 + 1)
    }
    for (i = 1; i <= crosses; i++) { split(cross[i], b, " "); mark(at_time(b[3]), at_seq(b[1], b[4]), "x") }
    print "</svg>"
}
