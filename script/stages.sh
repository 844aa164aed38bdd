# Runs stages and reports on them. Sourced by script/check and script/test, which define
# stages ("name | what it shows" a line), logs (a directory) and a function stage_NAME each.
# shellcheck shell=bash disable=SC2154

# A line of the table without its decoration, or nothing.
table_line() {
    sed -n "s/^$1 *| //p" <<<"$stages"
}

table_names() {
    sed -n 's/ *|.*//p' <<<"$stages"
}

table_list() {
    sed '/^$/d; s/^\([^ |]*\) *| */\1\t/' <<<"$stages" | while IFS=$'\t' read -r name what; do
        printf '%-14s %s\n' "$name" "$what"
    done
}

seconds_since() {
    awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", to - from }'
}

# Runs stage_NAME with its output in a log, which is shown where it fails, and adds its line to the
# summary. To be called as a command by itself: where its status is tested, set -e is lost, also in
# the background, and only a stage's last command would count.
run_stage() {
    local name=$1 log=$logs/$1.log from=$EPOCHREALTIME result=ok status=0
    printf '== %-14s %s\n' "$name" "$(table_line "$name")"
    (
        set -euo pipefail
        "stage_${name//-/_}"
    ) >"$log" 2>&1 </dev/null &
    wait $! || status=$?
    if [ "$status" != 0 ]; then
        result=FAILED
        sed 's/^/   /' "$log"
    fi
    printf '%-14s %9s  %s\n' "$name" "$(seconds_since "$from")" $result >>"$logs/summary"
}

# Runs stages one after the other.
run_lane() {
    local name
    for name in "$@"; do
        run_stage "$name"
    done
}

# Where a run is ended, what it started ends too: each lane is a process group of its own.
end_lanes() {
    local lane
    trap '' INT TERM HUP
    for lane in $(jobs -p); do
        kill -TERM -- "-$lane" 2>/dev/null || true
    done
    wait 2>/dev/null
    exit 130
}

# Runs the named stages and prints the table. Fails where one of them failed. Those that $beside
# names run beside the others, with what these leave of the processors.
run_stages() {
    local name failed from=$EPOCHREALTIME first=() second=()
    [ $# -gt 0 ] || return 2
    for name in "$@"; do
        if [ -z "$(table_line "$name")" ]; then
            echo "unknown stage: $name (see --list)" >&2
            return 2
        fi
        if [[ " ${beside:-} " == *" $name "* && $# -gt 1 ]]; then
            second+=("$name")
        else
            first+=("$name")
        fi
    done
    mkdir -p "$logs"
    : >"$logs/summary"
    set -m
    trap end_lanes INT TERM HUP
    run_lane "${first[@]}" &
    if [ ${#second[@]} -gt 0 ]; then
        run_lane "${second[@]}" &
        renice -n 19 "$!" >/dev/null
    fi
    wait
    set +m
    trap - INT TERM HUP
    failed=$(grep -c 'FAILED$' "$logs/summary" || true)
    printf '\n%s\n%-14s %9s  %s\n' "$(cat "$logs/summary")" total "$(seconds_since "$from")" \
        "$([ "$failed" = 0 ] && echo ok || echo FAILED)"
    [ "$failed" = 0 ] && [ "$(wc -l <"$logs/summary")" = $# ]
}

# build_in DIRECTORY OPTION... [-- TARGET...]
# Brings a build directory to be with these options, and builds these targets, or everything. One at
# a time builds in a directory.
build_in() {
    local directory=$1 options=() turn
    shift
    mkdir -p build/stages
    exec {turn}>"build/stages/${directory//\//,}.turn"
    flock "$turn"
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    if [ ! -f "$directory/build.ninja" ]; then
        meson setup "$directory" "${options[@]}"
    elif [ "$(meson introspect "$directory" --buildoptions |
        jq -r '.[] | select(.name == "tests") | .value')" = false ] &&
        [[ " ${options[*]} " == *" -Dtests=true "* ]]; then
        meson configure "$directory" -Dtests=true
    fi
    ninja -C "$directory" -j "$(nproc)" "${@:2}"
    exec {turn}>&-
}
