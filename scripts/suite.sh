#!/bin/sh
# Run the tests by the command that is given. With SECOND_TRY=1, as in CI, the few that failed run
# once more in a process of their own: a worker that was ended with its stacks (tests/starvation.py)
# takes the test down that it was at. What fails twice fails, and so does a run with many failures.
set -u
MANY=5
echo "$*"
"$@"
code=$?
if [ "$code" -ne 1 ] || [ "${SECOND_TRY:-}" != 1 ]; then
    exit "$code"
fi
count=$(grep -c '": true' .cache/pytest/v/cache/lastfailed)
if [ "$count" -eq 0 ] || [ "$count" -gt "$MANY" ]; then
    exit "$code"
fi
echo "$count failed: once more, in a process of their own"
exec "$1" -n 0 --last-failed --last-failed-no-failures none
