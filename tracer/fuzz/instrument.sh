#!/bin/sh
# Compiles what cargo asks for (`RUSTC_WORKSPACE_WRAPPER`) so that libFuzzer sees where the code goes and what it
# compares, by the flags of cargo-fuzz 0.13. Build scripts run without a fuzzer.
case " $* " in
*' --crate-name build_script_'*) exec "$@" ;;
esac
exec "$@" --cfg=fuzzing \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
