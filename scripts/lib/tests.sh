# shellcheck shell=bash
# Runs the programs that cargo has built of the tests. To be sourced after broker.sh.
#
# cargo runs them one after another, and most of them wait most of their time: for a broker that stays away,
# for pauses between tries.

# These compare times with and without something beside them, or look at what lasts for moments, so nobody else
# runs then.
tests_alone=(attacks callers sick_queues)
# The longest begin first, so that none of them is left over at the end.
tests_long=(faults amqpost outages cluster waiting memory)

# tests_run FOLDER PROGRAM: runs one, and tells what it says, which FOLDER keeps meanwhile, when it has ended.
tests_run() {
    local program=$2 name started=$SECONDS failed=
    name=$(basename "$program")
    "$program" >"$1/$name" 2>&1 </dev/null || failed=1
    (
        flock 9
        printf '\n     Running %s (%s s)\n' "$name" "$((SECONDS - started))"
        cat "$1/$name"
        [ -z "$failed" ] || printf '%s\n' "$name" >>"$1/failed"
    ) 9>"$1/lock"
}

# tests_pick NAME...: of the programs on standard input, one a line, those with these names, in this order.
tests_pick() {
    local programs name
    programs=$(cat)
    for name in "$@"; do
        grep -E "/$name-[0-9a-f]+\$" <<<"$programs" || true
    done
}

# tests_all: builds all tests and runs them, and fails when one has failed.
tests_all() {
    local folder built programs long alone
    built=$(cargo test --locked --package amqpost --package log_vfs --no-run --message-format json) || return 1
    programs=$(sed -n '/"profile":{[^}]*"test":true}/s/.*"executable":"\([^"]*\)".*/\1/p' <<<"$built" | sort -u)
    [ -n "$programs" ] || die 'cargo has built no tests'
    folder=$(mktemp -d)
    export -f tests_run
    long=$(tests_pick "${tests_long[@]}" <<<"$programs")
    alone=$(tests_pick "${tests_alone[@]}" <<<"$programs")
    {
        printf '%s\n' "$long"
        grep -vxF "$long"$'\n'"$alone" <<<"$programs"
    } | xargs -d '\n' -P 2 -I {} bash -c 'tests_run "$@"' _ "$folder" {}
    xargs -d '\n' -I {} bash -c 'tests_run "$@"' _ "$folder" {} <<<"$alone"
    cargo test --locked --doc || echo 'the examples in the documentation' >>"$folder/failed"
    if [ -e "$folder/failed" ]; then
        printf '\n'
        sed 's/^/failed: /' "$folder/failed" >&2
        rm -rf "$folder"
        return 1
    fi
    rm -rf "$folder"
}
