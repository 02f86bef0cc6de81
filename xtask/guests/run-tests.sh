#!/bin/sh
# Runs the test executable inside a guest, with its output on the second serial port, which xtask reads.
# After a failure it appends what the daemon logged.
exec > /dev/ttyS1 2>&1
stty -opost < /dev/ttyS1
logs=/var/log/tracer-tests
mkdir -p "$logs"
. /usr/lib/tracer-tests/environment
eval "/usr/lib/tracer-tests/tests $TEST_ARGUMENTS"
code=$?
if [ "$code" != 0 ]; then
    for log in "$logs"/*; do
        [ -f "$log" ] || continue
        echo "--- $log (last 300 lines)"
        tail -n 300 "$log"
    done
fi
echo "@@guest ended with $code"
sync
