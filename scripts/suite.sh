#!/bin/sh
# Run the tests: scripts/suite.sh PROCESSES PYTEST [ARGUMENT...], where PYTEST is the command.
# The processes share the files (tests/sharing.py). The first one writes to the terminal, what the
# others wrote comes behind it. With SECOND_TRY=1, as in CI, the few that failed run once more, one
# after the other: thousands of tests against real servers meet a coincidence now and then. What
# fails twice fails, and so does a run with many failures.
set -u
MANY=5
processes=$1
shift
place=.cache/suite
rm -rf "$place"
mkdir -p "$place/taken"
rm -f .cache/pytest*/v/cache/lastfailed # what fails now, is listed by one of them alone
# a container often forbids it: two processes and their hundreds of children would each compile all
unset PYTHONDONTWRITEBYTECODE
others=
number=2
while [ "$number" -le "$processes" ]; do
    end=$([ "$number" -eq 2 ] && echo --from-end)
    # shellcheck disable=SC2086 # an option or none
    "$@" "--share=$place/taken" $end -o "cache_dir=.cache/pytest-$number" \
        >"$place/$number.log" 2>&1 &
    others="$others $!"
    number=$((number + 1))
done
# shellcheck disable=SC2086 # process numbers
trap 'kill -INT $others 2>/dev/null; wait; exit 130' INT TERM
echo "$processes at once: $*"
if [ "$processes" -gt 1 ]; then "$@" "--share=$place/taken"; else "$@"; fi
code=$?
number=2
for other in $others; do
    wait "$other"
    its=$?
    # 5: no test was left for it
    if [ "$its" -gt "$code" ] && [ "$its" -ne 5 ]; then code=$its; fi
    echo "== process $number"
    cat "$place/$number.log"
    number=$((number + 1))
done
# a test that ends its process, and well, would hide all that come behind it
if [ "$processes" -gt 1 ]; then
    told=$(find "$place/taken" -name '*.counts' | wc -l)
    if [ "$told" -ne "$processes" ]; then
        echo "want the counts of $processes processes, got $told: one ended in the middle of a test"
        exit 1
    fi
fi
[ "$processes" -eq 1 ] || awk '
    { sum[$2] += $1 }
    END { for (name in sum) { printf "%s%d %s", sep, sum[name], name; sep = ", " } print " in all" }
' "$place"/taken/*.counts
if [ "$code" -ne 1 ] || [ "${SECOND_TRY:-}" != 1 ]; then
    exit "$code"
fi
number=1
code=0
while [ "$number" -le "$processes" ]; do
    cache=.cache/pytest$([ "$number" -gt 1 ] && echo "-$number")
    number=$((number + 1))
    count=$(grep -c '": true' "$cache/v/cache/lastfailed" 2>/dev/null)
    [ "${count:-0}" -gt 0 ] || continue
    if [ "$count" -gt "$MANY" ]; then
        echo "$count failed: too many for a coincidence"
        code=1
        continue
    fi
    echo "$count failed: once more"
    "$@" --last-failed --last-failed-no-failures none -o "cache_dir=$cache" || code=1
done
exit "$code"
